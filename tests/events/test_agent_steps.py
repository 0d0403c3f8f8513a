"""Agent tasks by their real trigger: one whose message comes twice or never, whose worker is killed, or has a rival."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from emulator.seed import seed_models
from shared.ai.agents.documents import job_path
from shared.ai.agents.store import AgentTaskStore
from shared.ai.agents.task import Task
from shared.kernel.clock import to_datetime
from shared.kernel.documents import Patch, PreconditionFailed
from shared.kernel.events import TopicMessage
from shared.platform.firestore.documents import connect
from shared.platform.pubsub.publisher import PubSubPublisher
from shared.sagas.engine.leases import FREE
from tests.support.processes import wait_for
from tests.support.served import SECONDS_MAX, Person, kill, ledger_of

PLAN = {"name": "plan", "arguments": {"steps": [{"title": "count", "status": "doing"}]}}
COUNT = {"name": "calculator", "arguments": {"expression": "2^12"}}
PAINT = {"name": "generate_image", "arguments": {"prompt": "a tower"}}


@pytest.fixture
def ann(suite):
    seed_models(suite.project)
    return Person(suite)


@pytest.fixture
def documents(suite):
    return connect(suite.project)


@pytest.fixture
def ledger(suite, documents):
    return ledger_of(suite, documents)


def begin(person: Person, goal: str, **more) -> str:
    begun = person.call("POST", "/v1/chat/agent-tasks", json={"goal": goal, "budget": "50", **more})
    assert begun.status_code == 202, begun.text
    return str(begun.json()["id"])


def resting(documents, person: Person, task_ids: list[str]) -> list[str]:
    tasks = AgentTaskStore(documents)
    return [task_id for task_id in task_ids if tasks.get(person.uid, task_id).due_at is None]


def rested(documents, person: Person, task_id: str) -> Task:
    wait_for(lambda: resting(documents, person, [task_id]) != [], seconds=SECONDS_MAX, what="the task rests")
    return AgentTaskStore(documents).get(person.uid, task_id)


def thoughts_about(upstream, goal: str) -> int:
    return sum(goal in str(seen["body"].get("messages")) for seen in upstream.requests)


def charges(ledger, person: Person) -> list[int]:
    found = ledger.history(person.uid, before=None, limit=100, kinds=frozenset({"charge"})).items
    return [-entry.amount for entry in found]


def as_if_its_lease_had_ended(documents, task_id: str) -> None:
    known = documents.get(job_path(task_id))
    lease = {**known.data["lease"], "until": to_datetime(0)}
    documents.commit([Patch(known.path, {"lease": lease, "due_at": to_datetime(0)})])


def is_brought_forward(documents, task_id: str) -> bool:
    """Whether the next sweep takes it up: whoever works at it is left in peace."""
    known = documents.get(job_path(task_id))
    lease = known.data.get("lease", FREE)  # whom nobody has claimed yet has none
    if known.data["due_at"] is None or lease["until"] > datetime.now(UTC):
        return False
    try:
        documents.commit([Patch(known.path, {"due_at": to_datetime(0)}, known.version)])
    except PreconditionFailed:
        return False
    return True


def test_a_worker_that_is_killed_while_it_thinks_is_replaced(suite, suite_upstream, ann, documents, ledger):
    goal = f"count {uuid.uuid4().hex}"
    suite_upstream.script(contains=goal, tool_calls=[PLAN])
    suite_upstream.script(contains=goal, reply="never heard", delay_ms=120_000)
    suite_upstream.script(contains=goal, tool_calls=[COUNT])
    suite_upstream.script(contains=goal, reply="4096")
    task_id = begin(ann, goal)
    wait_for(lambda: thoughts_about(suite_upstream, goal) == 2, seconds=SECONDS_MAX, what="it thinks again")

    kill(suite, "run_agent_step")
    as_if_its_lease_had_ended(documents, task_id)
    assert suite.fire_schedule("every_minute") == 200
    task = rested(documents, ann, task_id)

    assert (task.status, task.answer) == ("completed", "4096")
    assert list(task.trail) == [
        "think",
        "act plan",
        "observe plan",
        "think",
        "act calculator",
        "observe calculator",
        "answer",
    ]
    assert thoughts_about(suite_upstream, goal) == 4
    assert [task.charge_of(step) > 0 for step in (1, 4, 7)] == [True] * 3
    assert len(charges(ledger, ann)) == 2, "that of the killed worker's thought, and that of the two after it"
    assert sum(charges(ledger, ann)) == task.spent
    assert (ledger.balance(ann.uid).held, ledger.verify(ann.uid)) == (0, [])


def test_a_message_that_comes_again_and_again_has_no_effect(suite, suite_upstream, ann, documents, ledger):
    goal = f"count {uuid.uuid4().hex}"
    suite_upstream.script(contains=goal, tool_calls=[COUNT, PAINT], delay_ms=500)
    suite_upstream.script(contains=goal, reply="4096", delay_ms=100)
    publisher = PubSubPublisher(suite.project)

    task_id = begin(ann, goal)
    publisher.publish([TopicMessage(topic="agent-steps", data={"task_id": task_id})] * 6)
    task = rested(documents, ann, task_id)
    publisher.publish([TopicMessage(topic="agent-steps", data={"task_id": task_id})] * 2)

    assert (task.status, len(task.images)) == ("completed", 1)
    assert thoughts_about(suite_upstream, goal) == 2
    assert len(charges(ledger, ann)) == 3
    assert sum(charges(ledger, ann)) == task.spent
    assert (ledger.balance(ann.uid).held, ledger.verify(ann.uid)) == (0, [])
    publisher.close()


def test_two_tasks_on_a_balance_for_one_picture_paint_one(suite, suite_upstream, ann, documents, ledger):
    goals = [f"paint {uuid.uuid4().hex}" for _ in range(2)]
    for goal in goals:
        suite_upstream.script(contains=goal, tool_calls=[PAINT])
        suite_upstream.script(contains=goal, reply="painted")
    reserved = ann.call("POST", "/v1/credits/reserve", json={"amount": "993"}).json()["id"]
    assert ann.call("POST", f"/v1/credits/reservations/{reserved}/capture", json={"amount": "993"}).status_code == 200
    (before,) = charges(ledger, ann)

    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(lambda goal: begin(ann, goal), goals))

    def both_rest() -> bool:
        """One may have to be tried again, for what the other held."""
        waiting = set(begun).difference(resting(documents, ann, begun))
        if brought_forward := [task_id for task_id in waiting if is_brought_forward(documents, task_id)]:
            assert suite.fire_schedule("every_minute") == 200, brought_forward
        return not waiting

    wait_for(lambda: resting(documents, ann, begun) != [], seconds=SECONDS_MAX, what="one of them rests")
    wait_for(both_rest, seconds=SECONDS_MAX, what="both rest")
    ended = [rested(documents, ann, task_id) for task_id in begun]

    assert sorted((task.status, task.reason, len(task.images)) for task in ended) == [
        ("completed", None, 1),
        ("paused", "insufficient_credits", 0),
    ]
    assert sum(charges(ledger, ann)) - before == sum(task.spent for task in ended)
    assert ledger.verify(ann.uid) == []
