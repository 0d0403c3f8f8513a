"""Agent tasks: think, act, observe, each step recorded and charged once, within the budget, to an end that is named."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.ai.agents.task import ModelWithoutTools, TaskEnded, TaskNotFound, TaskRunning, TooManyTasks
from shared.ai.agents.thinking import Thought
from shared.ai.models.catalogue import ModelNotFound
from shared.ai.ports import UpstreamRejected, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.clock import MINUTE
from shared.kernel.errors import IdempotencyMismatch, InvalidValue
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import Close, Freeze
from shared.platform.memory.chat_model import says
from shared.sagas.agents.slice import ATTEMPTS_MAX
from shared.sagas.agents.tasks import TASKS_LIVE_MAX, ResumeRequest, TaskRequest
from shared.sagas.engine.jobs import JobRun
from tests.support.agents import (
    ANN,
    BY_OUTPUT,
    CREDIT,
    JOB,
    JOB_COST,
    LEAST,
    PAINTED,
    SAID,
    THOUGHT,
    TOLD,
    AgentWorld,
    asking,
    kinds,
    thinks,
)


@pytest.fixture
def world():
    return AgentWorld()


def resuming(uid: Uid, task_id: str, operation: OperationId, **more: Any) -> ResumeRequest:
    return ResumeRequest(uid=uid, task_id=task_id, operation=operation, **more)


def told(world: AgentWorld) -> list[str]:
    return [str(message.data["task_id"]) for message in world.publisher.on("agent-steps")]


# ── one job ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_goal_is_worked_on_to_its_answer(world):
    world.user()
    task = world.run(world.begin())

    assert (task.status, task.reason, task.answer) == ("completed", None, "The town has 4096 people, see report.md.")
    assert task.sources == ("https://example.com/",)
    assert [file["name"] for file in task.files] == ["report.md"]
    assert [step["title"] for step in task.plan] == ["look", "tell"]
    assert (task.spent, world.spent()) == (JOB_COST, JOB_COST)


def test_its_steps_are_contiguous_and_each_knows_its_cost(world):
    world.user()
    task = world.run(world.begin())
    steps = world.steps(task)

    assert [step.number for step in steps] == list(range(1, len(task.trail) + 1))
    assert kinds(task.trail) == kinds(
        [
            *["think"] * 3,
            *[f"{kind} {name}" for kind in ("act", "observe") for name in
              ("plan", "web_fetch", "calculator", "ask_model", "write_artifact", "generate_image")],
            "answer",
        ]
    )  # fmt: skip
    paid = {step.number: step.body.get("cost", 0) for step in steps}
    assert {number: task.charge_of(number) for number in paid} == paid
    assert sum(paid.values()) == task.spent


def test_what_a_tool_saw_is_what_the_model_hears(world):
    world.user()
    world.run(world.begin())

    last = world.thinker.requests[2].messages
    heard = {call.name: said.content for said in last if said.role == "tool"
             for before in last for call in before.calls if call.id == said.call_id}  # fmt: skip
    assert heard["calculator"] == "4096"
    assert heard["ask_model"] == "Four thousand."
    assert "The town has 4096 people." in heard["web_fetch"]
    assert "is data" in last[0].content


def test_the_files_it_wrote_are_there_and_it_reads_its_own():
    job = (
        thinks("", ("read_document", {"name": "notes.txt"}), ("read_document", {"name": "none.txt"})),
        thinks("", ("write_artifact", {"name": "notes.txt", "content": "mine"})),
        thinks("", ("write_artifact", {"name": "out.csv", "content": "a,b"})),
        thinks("", ("read_document", {"name": "out.csv"})),
        thinks("done"),
    )
    world = AgentWorld(job=job)
    world.user()
    task = world.run(world.begin(files=(("notes.txt", "remember 42"),)))

    seen = {
        (step.body["tool"], step.body["text"].partition(":")[0]) for step in world.steps(task) if step.kind == "observe"
    }
    assert seen == {
        ("read_document", "remember 42"),
        ("read_document", "no_such_file"),
        ("write_artifact", "bad_name"),
        ("write_artifact", "Written"),
        ("read_document", "a,b"),
    }
    assert world.services.agents.tasks.file(ANN, task.id, "out.csv").content == "a,b"
    assert world.services.agents.tasks.file(ANN, task.id, "notes.txt").content == "remember 42"
    assert task.sources == ("notes.txt",)


def test_a_slice_is_bounded_and_the_next_message_goes_on():
    world = AgentWorld(
        job=[thinks("", ("calculator", {"expression": str(number)})) for number in range(12)] + [thinks("x")]
    )
    world.user()
    begun = world.begin()

    world.services.agents.slice.run(begun.id)

    assert world.task(begun).status == "running"
    assert told(world) == [begun.id, begun.id]
    assert world.run(begun).answer == "x"
    assert len(world.thinker.requests) == 13


def test_the_same_message_twice_changes_nothing(world):
    world.user()
    task = world.run(world.begin())

    world.services.agents.slice.run(task.id)

    assert world.task(task) == task
    assert len(world.thinker.requests) == 4


def test_a_message_for_a_task_that_is_not_there_is_dealt_with(world):
    world.services.agents.slice.run("task_none")


# ── beginning ────────────────────────────────────────────────────────────────────────────────────────────────────────


def request(**more: Any) -> TaskRequest:
    wanted = {"uid": ANN, "goal": "g", "budget": Micro(CREDIT), "operation": OperationId("op_1"), "fingerprint": "f"}
    return TaskRequest(**{**wanted, **more})


def test_the_same_operation_is_the_same_task(world):
    world.user()
    first, second = world.services.agents.tasks.begin_task(request()), world.services.agents.tasks.begin_task(request())

    assert first == second
    with pytest.raises(IdempotencyMismatch):
        world.services.agents.tasks.begin_task(request(fingerprint="other"))


def test_who_leaves_the_choice_of_a_model_to_us_has_the_platform_s(world):
    world.user()
    world.services.models.preferences.put(ANN, {"chat_model": "auto"})

    assert [world.begin(model=model).model for model in (None, "auto")] == ["smart", "smart"]


def test_what_cannot_be_begun_is_refused(world):
    world.user()
    world.services.models.catalogue.put("plain", {**_model(), "capabilities": []})

    with pytest.raises(ModelWithoutTools):
        world.begin(model="plain")
    with pytest.raises(ModelNotFound):
        world.begin(model="none")
    with pytest.raises(InvalidValue):
        world.begin(tools=("shell",))
    for files in ((("../x", "y"),), ((".env", "y"),), (("a", "x"), ("a", "y")), (("a", "x" * 600_000),)):
        with pytest.raises(InvalidValue):
            world.begin(files=files)


def test_a_user_has_so_many_tasks_under_way(world):
    world.user()
    paused = world.run(world.begin(max_steps=1))
    first = world.services.agents.tasks.begin_task(request())
    for _ in range(TASKS_LIVE_MAX - 1):
        world.begin()

    with pytest.raises(TooManyTasks):
        world.begin()
    with pytest.raises(TooManyTasks):
        world.services.agents.tasks.resume(resuming(ANN, paused.id, OperationId("op_r"), max_steps=9))
    assert world.services.agents.tasks.begin_task(request()).id == first.id
    world.services.agents.tasks.cancel(ANN, first.id)
    assert world.begin().status == "queued"


def _model() -> dict[str, Any]:
    return {
        "kind": "chat",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "2",
        "context_window": 9,
        "max_output_tokens": 9,
    }


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fifty_tool_calls_under_a_budget_for_ten_are_ten():
    world = asking(50)
    world.user()
    task = world.run(world.begin(budget=SAID + 10 * TOLD + TOLD - 1))

    assert (task.status, task.reason) == ("paused", "budget_exceeded")
    assert len(world.chat_model.requests) == 10
    assert world.charges() == sorted([SAID, *[TOLD] * 10])
    assert (task.spent, world.spent(), len(task.pending)) == (SAID + 10 * TOLD, SAID + 10 * TOLD, 40)


def test_resumed_with_a_larger_budget_it_does_the_rest_and_nothing_twice():
    world = asking(50)
    world.user()
    task = world.run(world.begin(budget=LEAST))
    resumed = world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r"), budget=Micro(CREDIT)))
    again = world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r"), budget=Micro(CREDIT)))

    task = world.run(task)

    assert (resumed.status, again) == ("queued", resumed)
    assert (task.status, task.answer) == ("completed", "done")
    assert len(world.chat_model.requests) == 50
    assert world.charges() == sorted([SAID, SAID, *[TOLD] * 50])


def test_two_tasks_on_one_balance_never_overspend_it():
    world = asking(20)
    balance = 2 * SAID + 25 * TOLD
    world.user(balance)
    tasks = [world.begin() for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(world.run, tasks))

    assert {task.reason for task in ended} == {"insufficient_credits"}
    assert world.services.credits.ledger.balance(ANN).held == 0
    assert sum(task.spent for task in ended) == world.spent(of=balance) <= balance
    assert world.charges() == sorted([*[SAID] * 2, *[TOLD] * len(world.chat_model.requests)])


def test_what_others_hold_is_waited_for():
    world = asking(1)
    world.user(LEAST + 1)
    lent = world.services.credits.ledger.holding(
        ANN, Micro(LEAST), operation=OperationId("op_other"), expected_step=Micro(1)
    )
    task = world.begin()
    world.services.agents.slice.run(task.id)
    assert (world.task(task).status, world.task(task).reason) == ("queued", "insufficient_credits")

    lent.release()
    world.clock.advance(MINUTE)

    assert world.run(task).status == "paused"
    assert world.charges() == [TOLD, SAID]


def test_without_credits_it_pauses_at_once_and_goes_on_when_there_are_some(world):
    world.user(1)
    task = world.run(world.begin())
    assert (task.status, task.reason, task.steps) == ("paused", "insufficient_credits", 0)

    world.user()
    world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r")))

    assert world.run(task).status == "completed"


def test_a_thought_that_was_cut_for_want_of_credits_is_no_answer():
    cut = Thought(text="The answer is", usage=Usage(input_tokens=100, output_tokens=70), finish_reason="length")
    world = AgentWorld(job=(cut,), prices=BY_OUTPUT)
    world.user()
    task = world.run(world.begin(budget=70 * 200))

    assert (task.status, task.reason, task.answer) == ("paused", "budget_exceeded", None)
    assert task.trail == ("think",)
    assert world.thinker.requests[0].max_output_tokens < 1_000


def test_usage_that_is_not_reported_is_estimated_and_never_beyond_the_budget():
    world = AgentWorld(job=(Thought(text="word " * 2_000),), prices=BY_OUTPUT)
    world.user()
    task = world.run(world.begin(budget=50_000))

    assert task.status == "completed"
    assert world.spent() == task.spent == 50_000


def test_output_beyond_what_was_asked_for_is_not_the_users():
    """Of a model that keeps to no limit: neither its thoughts nor its answers to questions."""
    endless = Usage(input_tokens=100, output_tokens=1_000_000)
    question = thinks("", ("ask_model", {"question": "How many?", "max_output_tokens": 20}))
    thought = Thought(text="done", usage=endless)
    world = AgentWorld(job=(question, thought), prices=BY_OUTPUT)
    world.chat_model.scripts = [says("many", usage=endless)]
    world.user()

    task = world.run(world.begin())

    assert task.status == "completed"
    asked = world.thinker.requests[-1].max_output_tokens
    assert world.spent() == task.spent == SAID + 20 * 200 + asked * 200 < 10 * CREDIT


def test_the_cap_of_the_key_it_was_asked_for_with_counts_too(world):
    world.user()
    key = world.key("chat", "images", cap=2 * THOUGHT)
    task = world.run(world.begin(**world.by(key)))

    assert (task.status, task.reason) == ("paused", "budget_exceeded")
    assert world.spent() == task.spent <= 2 * THOUGHT


def test_a_paused_budget_is_remembered_although_the_account_forgot_it():
    world = asking(50)
    world.user()
    task = world.run(world.begin(budget=LEAST))
    world.clock.advance(60 * 24 * 30 * MINUTE)
    assert world.services.credits.ledger.budgets(ANN) == {}

    world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r")))
    task = world.run(task)

    assert (task.reason, world.spent()) == ("budget_exceeded", SAID + 10 * TOLD)


def test_a_frozen_account_pauses_a_closed_one_cancels(world):
    world.user()
    first, second = world.begin(), world.begin()
    world.services.credits.ledger.execute(ANN, Freeze(operation=OperationId("op_f")))
    assert (world.run(first).status, world.task(first).reason) == ("paused", "account_frozen")

    world.services.credits.ledger.execute(ANN, Close(operation=OperationId("op_c")))
    assert (world.run(second).status, world.task(second).reason) == ("cancelled", "account_closed")


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_stops_at_its_step_limit_and_goes_on_with_more(world):
    world.user()
    task = world.run(world.begin(max_steps=2))
    assert (task.status, task.reason, task.thoughts) == ("paused", "step_limit", 2)

    world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r"), max_steps=10))

    assert world.run(task).status == "completed"
    assert world.spent() == JOB_COST


def test_cancelled_before_it_began_it_costs_nothing(world):
    world.user()
    task = world.services.agents.tasks.cancel(ANN, world.begin().id)

    assert (task.status, task.due_at, world.run(task).steps, world.spent()) == ("cancelled", None, 0, 0)
    assert world.services.agents.tasks.cancel(ANN, task.id) == task


def test_cancelled_while_the_model_thinks_that_step_is_the_last(world):
    world.user()
    task = world.begin()

    def cancelling(_):
        if len(world.thinker.requests) == 2:
            world.services.agents.tasks.cancel(ANN, task.id)

    world.thinker.before = cancelling
    ended = world.run(task)

    assert (ended.status, ended.thoughts) == ("cancelled", 2)
    assert ended.trail[-4:] == ("think", "act web_fetch", "act calculator", "act ask_model")
    assert (sum(world.charges()), ended.spent) == (2 * THOUGHT, 2 * THOUGHT)
    with pytest.raises(TaskEnded):
        world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r")))


def test_a_task_that_is_over_is_not_cancelled_and_one_that_runs_is_not_resumed(world):
    world.user()
    running = world.begin()
    with pytest.raises(TaskRunning):
        world.services.agents.tasks.resume(resuming(ANN, running.id, OperationId("op_r")))

    task = world.run(running)

    with pytest.raises(TaskEnded):
        world.services.agents.tasks.cancel(ANN, task.id)


def test_a_budget_below_what_was_spent_is_refused(world):
    world.user()
    task = world.run(world.begin(max_steps=1))

    with pytest.raises(InvalidValue):
        world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r"), budget=Micro(1), max_steps=5))


def test_an_upstream_that_is_down_is_tried_again_later_and_not_for_ever(world):
    world.user()
    task = world.begin()

    def down(_):
        raise UpstreamUnavailable

    world.thinker.before = down
    paused = world.run(task)

    assert (paused.status, paused.reason) == ("paused", "upstream_unavailable")
    assert len(world.thinker.requests) == ATTEMPTS_MAX
    assert (world.spent(), world.services.credits.ledger.balance(ANN).held) == (0, 0)

    world.thinker.before = None
    world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r")))
    assert world.run(task).status == "completed"


def test_task_asks_again_at_once_after_the_first_empty_answer(world):
    world.user()
    task = world.begin()

    def down(_):
        raise UpstreamUnavailable(has_begun=True)

    world.thinker.before = down
    told = [len(world.publisher.on("agent-steps"))]
    for _ in range(2):
        world.services.agents.slice.run(task.id)
        told.append(len(world.publisher.on("agent-steps")))

    assert told == [1, 2, 2]


def test_while_it_waits_to_be_tried_again_a_task_says_why(world):
    world.user()
    task = world.begin()

    def down(_):
        raise UpstreamUnavailable

    world.thinker.before = down
    world.services.agents.slice.run(task.id)
    waiting = world.task(task)
    world.thinker.before = None

    assert (waiting.status, waiting.reason) == ("queued", "upstream_unavailable")
    assert waiting.due_at is not None
    assert (world.run(task).status, world.task(task).reason) == ("completed", None)


def test_a_model_that_refuses_pauses_the_task(world):
    world.user()

    def refuse(_):
        raise UpstreamRejected

    world.thinker.before = refuse

    assert world.run(world.begin()).reason == "upstream_rejected"
    assert (world.spent(), world.services.credits.ledger.balance(ANN).held) == (0, 0)


def test_a_task_that_fails_again_and_again_is_buried_with_an_alert(world):
    world.user()

    def poison(_):
        raise RuntimeError("poison")

    world.thinker.before = poison
    task = world.run(world.begin())

    assert (task.status, task.reason, task.due_at) == ("failed", "internal_error", None)
    assert [(alert.event, alert.fields["task_id"]) for alert in world.alerts.raised] == [("agent_task_dead", task.id)]
    assert len(world.thinker.requests) == ATTEMPTS_MAX
    world.settle()
    assert (world.spent(), world.services.credits.ledger.balance(ANN).held) == (0, 0)

    world.thinker.before = None
    world.services.agents.tasks.resume(resuming(ANN, task.id, OperationId("op_r")))
    assert world.run(task).status == "completed"


def test_a_tool_that_breaks_is_told_to_the_model(world):
    class Broken:
        name = "calculator"
        description = "d"
        parameters: Mapping[str, object] = {"type": "object", "properties": {}, "additionalProperties": False}

        def use(self, arguments, use):
            raise RuntimeError("secret detail")

    world = AgentWorld(job=(thinks("", ("calculator", {})), thinks("done")))
    world.user()
    world.services.agents.slice._acts._tools = {"calculator": Broken()}
    task = world.run(world.begin())

    assert task.status == "completed"
    assert world.steps(task)[2].body["failure"] == "tool_failed"
    assert "secret" not in str(world.steps(task)[2].body)


def test_a_conversation_longer_than_the_window_loses_its_oldest_rounds():
    pages = {"https://example.com/": "word " * 5_000}
    job = [thinks("", ("web_fetch", {"url": "https://example.com/"}))] * 6 + [thinks("never")]
    world = AgentWorld(job=job, pages=pages, prices={"context_window": 9_000})
    world.user()
    task = world.run(world.begin(max_steps=5, goal="the goal"))

    assert (task.reason, task.thoughts) == ("step_limit", 5)
    for asked in world.thinker.requests:
        called = {call.id for said in asked.messages for call in said.calls}
        assert {said.call_id for said in asked.messages if said.role == "tool"} == called
        assert [said.content for said in asked.messages if said.role == "user"] == ["the goal"]


# ── others ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_user_s_task_does_not_exist(world):
    world.user()
    eve = world.user(uid=Uid("eve"))
    task = world.run(world.begin())
    agents = world.services.agents.tasks

    for touch in (
        lambda: agents.get(eve, task.id),
        lambda: agents.steps(eve, task.id, after=0, limit=1),
        lambda: agents.file(eve, task.id, "report.md"),
        lambda: agents.cancel(eve, task.id),
        lambda: agents.resume(resuming(eve, task.id, OperationId("op"))),
    ):
        with pytest.raises(TaskNotFound):
            touch()
    assert agents.page(eve, cursor=None, limit=10).items == ()


def test_tasks_are_listed_newest_first_page_by_page(world):
    world.user()
    begun = []
    for _ in range(5):
        begun.append(world.begin().id)
        world.clock.advance(1)

    first = world.services.agents.tasks.page(ANN, cursor=None, limit=3)
    second = world.services.agents.tasks.page(ANN, cursor=first.next_cursor, limit=3)

    assert [task.id for task in (*first.items, *second.items)] == begun[::-1]
    assert second.next_cursor is None


def test_the_sweep_tells_again_of_tasks_that_nobody_works_on(world):
    world.user()
    task = world.begin()
    world.clock.advance(MINUTE)

    assert world.services.jobs.run_schedule("every_minute")["agent_tasks"] == 1
    assert told(world) == [task.id, task.id]


def test_an_idle_task_costs_nothing(world):
    world.user()
    paused, done = world.run(world.begin(max_steps=1)), world.run(world.begin())
    before = [world.documents.get(f"agent_jobs/{task.id}") for task in (paused, done)]
    count = len(told(world))
    world.clock.advance(60 * 24 * MINUTE)

    assert world.services.jobs.run_schedule("every_minute")["agent_tasks"] == 0

    assert [world.documents.get(f"agent_jobs/{task.id}") for task in (paused, done)] == before
    assert len(told(world)) == count


def test_a_sweep_stops_when_its_time_is_up(world):
    from shared.sagas.agents.sweep import AgentJobs

    turn = JobRun("1:5:agent_tasks/task_x", world.clock, 0)
    AgentJobs(world.services.agents.tasks).sweep(turn)

    assert turn.cursor == "1:5:agent_tasks/task_x"


def test_whoever_leaves_leaves_no_task_behind(world):
    world.user()
    world.run(world.begin(files=(("notes.txt", "private"),)))
    begun = world.begin()

    def leaving(_):
        world.services.agents.tasks.erase(ANN)

    world.thinker.before = leaving
    world.services.agents.slice.run(begun.id)
    world.services.agents.tasks.erase(ANN)

    left = [path for path in world.documents.inner._documents if path.startswith(("agent_tasks", "agent_jobs"))]
    assert left == []


def test_no_prompt_no_page_and_no_answer_is_logged(world, capsys):
    world = AgentWorld(job=JOB)
    world.user()
    world.run(world.begin(goal="my secret goal", files=(("secret.txt", "secret content"),)))

    logged = capsys.readouterr().out
    assert "agent_thought" in logged
    for secret in ("secret", "4096", "example.com", "report.md", "people"):
        assert secret not in logged


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_image_is_among_its_user_s_and_the_step_says_what_it_cost(world):
    world.user()
    task = world.run(world.begin())

    (image,) = world.services.images.store.list(ANN).items
    assert task.images == (image.id,)
    assert (image.prompt, image.cost, image.task_id) == ("a town", PAINTED, task.id)
    assert world.services.images.store.content(image)
    assert PAINTED in task.charges.values()


@pytest.mark.parametrize(
    ("failure", "given", "code"),
    [
        (UpstreamUnavailable(), {}, "upstream_unavailable"),
        (UpstreamRejected(), {}, "upstream_rejected"),
        (b"no picture", {}, "no_picture"),
        (None, {"model": "none"}, "model_not_found"),
        (None, {"model": "smart"}, "model_not_found"),
        (None, {"size": "9x9"}, "size_not_offered"),
        (None, {"quality": "ultra"}, "quality_not_offered"),
    ],
)
def test_an_image_that_is_not_made_costs_nothing(failure, given, code):
    world = AgentWorld(job=(thinks("", ("generate_image", {"prompt": "x", **given})), thinks("done")))
    world.image_model.script = [failure]
    world.user()
    task = world.run(world.begin())

    assert world.steps(task)[2].body["failure"] == code
    assert (task.status, task.spent, world.services.credits.ledger.balance(ANN).held) == ("completed", 2 * THOUGHT, 0)
    assert world.services.images.store.list(ANN).items == ()


@pytest.mark.parametrize(
    ("given", "cost", "quality"),
    [({}, PAINTED, None), ({"quality": "auto"}, PAINTED, None), ({"quality": "high"}, 4 * PAINTED, "high")],
)
def test_image_of_an_agent_costs_what_its_quality_costs(given, cost, quality):
    world = AgentWorld(job=(thinks("", ("generate_image", {"prompt": "x", **given})), thinks("done")))
    price = {"kind": "image", "image_usd": "0.01", "image_usd_by_quality": {"high": {"1024x1024": "0.04"}}}
    world.services.models.catalogue.put("gpt-image-1", price)
    world.user()

    task = world.run(world.begin())

    assert [image.cost for image in world.services.images.store.list(ANN).items] == [cost]
    assert (world.image_model.requests[0].quality, task.spent) == (quality, cost + 2 * THOUGHT)


def test_twenty_images_on_a_budget_for_one_are_one():
    world = AgentWorld(job=(thinks("", *[("generate_image", {"prompt": "x"})] * 20), thinks("done")), prices=BY_OUTPUT)
    world.user()
    task = world.run(world.begin(budget=SAID + PAINTED))

    assert (task.reason, task.spent) == ("budget_exceeded", SAID + PAINTED)
    assert len(world.image_model.requests) == len(world.services.images.store.list(ANN).items) == 1
