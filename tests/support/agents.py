"""A backend in memory that can work on agent tasks: the real ledger and repositories, scripted models and web."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from shared.ai.agents.live import step_data, task_data
from shared.ai.agents.task import Task, TaskStep, step_id
from shared.ai.agents.thinking import ThinkRequest, Thought, ToolCall
from shared.ai.tokens import Usage
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import MINUTE
from shared.kernel.ids import LotId, OperationId, Uid, new_id
from shared.kernel.money import Micro
from shared.ledger.commands import Grant
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.chat_model import ScriptedChatModel, says
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.image_model import ScriptedImageModel
from shared.platform.memory.objects import MemoryObjects
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.memory.web import MemoryWeb
from shared.sagas.agents.tasks import TaskRequest
from shared.users.api_keys import KeyWanted
from shared.users.principal import KeyUse, Scope, key_spender
from shared.users.spend_cap import SpendCap
from tests.rules.table import COLLECTIONS
from tests.support.faults import Crash, FaultyDocuments
from tests.support.indexes import IndexCheckedDocuments

ANN = Uid("ann")
CREDIT = 1_000_000
MODEL: Mapping[str, Any] = {
    "kind": "chat",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "2",
    "context_window": 16_000,
    "max_output_tokens": 1_000,
    "expected_output_tokens": 50,
    "capabilities": ["tools"],
}
"""A model whose token costs 100 µcr going in and 200 µcr coming out."""
THOUGHT = 100 * 100 + 10 * 200
"""What a scripted thought costs, in µcr."""
ASKED = 20 * 100 + 5 * 200
"""What a question to another model costs."""
BY_OUTPUT = {"input_usd_per_mtok": "0"}
"""A model that costs what it says only, so that a test can count."""
SAID, TOLD = 10 * 200, 5 * 200
"""What a scripted thought and a scripted answer cost then."""
LEAST = 64 * 200
"""What must be there for a thought."""
PAGES = {"https://example.com/": "The town has 4096 people."}


def thinks(text: str = "", *calls: tuple[str, Mapping[str, Any] | str]) -> Thought:
    """A thought that asks for these tools."""
    told = tuple(
        ToolCall(id="again", name=name, arguments=given if isinstance(given, str) else json.dumps(given))
        for name, given in calls
    )
    return Thought(text=text, calls=told, usage=Usage(input_tokens=100, output_tokens=10))


JOB = (
    thinks(
        "First a plan.",
        ("plan", {"steps": [{"title": "look", "status": "doing"}, {"title": "tell", "status": "open"}]}),
    ),
    thinks(
        "",
        ("web_fetch", {"url": "https://example.com/"}),
        ("calculator", {"expression": "2^12"}),
        ("ask_model", {"question": "How many people are 4096?"}),
    ),
    thinks(
        "",
        ("write_artifact", {"name": "report.md", "content": "# 4096 people"}),
        ("generate_image", {"prompt": "a town"}),
    ),
    thinks("The town has 4096 people, see report.md."),
)
"""A job of four thoughts and six uses of tools."""
PAINTED = 1_000_000
"""What an image costs."""
JOB_COST = 4 * THOUGHT + ASKED + PAINTED


class Thinker:
    """A model with tools that answers by how far the conversation is, so that being asked again changes nothing."""

    def __init__(self, job: Sequence[Thought] = JOB, before: Callable[[ThinkRequest], None] | None = None) -> None:
        self.job = job
        self.before = before
        self.requests: list[ThinkRequest] = []
        self._lock = threading.Lock()

    def think(self, request: ThinkRequest) -> Thought:
        with self._lock:
            self.requests.append(request)
        if self.before is not None:
            self.before(request)
        rounds = sum(1 for message in request.messages if message.role == "assistant")
        return self.job[min(rounds, len(self.job) - 1)]


@dataclass
class AgentWorld:
    """One database and one clock; any number of instances that work on it."""

    job: Sequence[Thought] = JOB
    documents: Any = field(default_factory=lambda: IndexCheckedDocuments(MemoryDocuments(), collections=COLLECTIONS))
    clock: ManualClock = field(default_factory=ManualClock)
    prices: Mapping[str, Any] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=lambda: PAGES)
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.thinker = Thinker(self.job)
        self.web = MemoryWeb(self.pages)
        self.chat_model = ScriptedChatModel([says("Four ", "thousand.", usage=Usage(input_tokens=20, output_tokens=5))])
        self.image_model = ScriptedImageModel()
        self.objects = MemoryObjects()
        self.publisher = MemoryPublisher()
        self.alerts = MemoryAlerts()
        self.identity = MemoryIdentity(self.clock)
        self.services = self.on(self.documents)
        if self.services.models.catalogue.read("smart") is None:
            self.services.models.catalogue.put("smart", {**MODEL, **self.prices})
            self.services.models.catalogue.put("gpt-image-1", {"kind": "image", "image_usd": "0.01"})

    def on(self, documents: Any, **parts: Any) -> Services:
        """Another instance, which sees the store through `documents`."""
        given = {
            "thinking_model": self.thinker,
            "chat_model": self.chat_model,
            "web": self.web,
            "image_model": self.image_model,
            "objects": self.objects,
            "publisher": self.publisher,
            "alerts": self.alerts,
            "identity": self.identity,
            **parts,
        }
        return in_memory({"DEFAULT_MODEL": "smart", **self.env}, clock=self.clock, documents=documents, **given)

    def user(self, amount: int = 100 * CREDIT, uid: Uid = ANN) -> Uid:
        """Somebody who can sign in, with so many µcr."""
        self.identity.sign_up(f"{uid}@example.com", uid=uid)
        self.services.credits.ledger.open(uid)
        lot = new_id("lot")
        self.services.credits.ledger.execute(
            uid,
            Grant(operation=OperationId(lot), amount=Micro(amount), lot=LotId(lot), source="promo:test"),
        )
        return uid

    def key(self, *scopes: Scope, cap: int | None = None, uid: Uid = ANN, **more: Any) -> KeyUse:
        """A new API key of the user, with scope `agents` and these; `cap` is in µcr, in all."""
        spend_cap = None if cap is None else SpendCap(amount=Micro(cap), period="total")
        wanted = KeyWanted(name="k", scopes=frozenset({"agents", *scopes}), cap=spend_cap, **more)
        key, _ = self.services.users.api_keys.create(uid, wanted, OperationId(new_id("op")), "f")
        assert key.principal.key is not None
        return key.principal.key

    def by(self, key: KeyUse) -> dict[str, Any]:
        """What a request that comes with this key says of its caller."""
        return {"spender": key_spender(key.id), "key": key}

    def begin(self, uid: Uid = ANN, *, budget: int = 10 * CREDIT, goal: str = "How many people?", **more: Any) -> Task:
        """A task, not worked on yet."""
        request = TaskRequest(
            uid=uid, goal=goal, budget=Micro(budget), operation=OperationId(new_id("op")), fingerprint="f", **more
        )
        return self.services.agents.tasks.begin_task(request)

    def run(self, task: Task) -> Task:
        """Slices, as messages would run them, until the task waits for nothing."""
        for _ in range(40):
            self.services.agents.slice.run(task.id)
            task = self.task(task)
            if task.due_at is None:
                return task
            self.clock.advance(max(0, task.due_at - self.clock.now()))
        raise AssertionError("the task does not come to rest")

    def task(self, task: Task) -> Task:
        return self.services.agents.tasks.get(task.uid, task.id)

    def steps(self, task: Task) -> list[TaskStep]:
        return self.services.agents.tasks.steps(task.uid, task.id, after=0, limit=5_000)[1]

    def charges(self, uid: Uid = ANN) -> list[int]:
        """What the journal says was charged, in no order."""
        found = self.services.credits.ledger.history(uid, before=None, limit=1_000, kinds=frozenset({"charge"})).items
        return sorted(-entry.amount for entry in found)

    def spent(self, uid: Uid = ANN, of: int = 100 * CREDIT) -> int:
        return of - self.services.credits.ledger.balance(uid).total

    def settle(self, uid: Uid = ANN) -> None:
        """Let what nobody captures come back by time."""
        self.clock.advance(16 * MINUTE)
        self.services.credits.ledger.expire_due(uid)


def asks(count: int) -> Thought:
    """A thought that asks another model so often at once."""
    question = {"question": "Well?", "max_output_tokens": 5}
    return thinks("", *[("ask_model", question)] * count)


def asking(count: int, **more: Any) -> AgentWorld:
    """A world whose model asks another so often at once, then answers."""
    return AgentWorld(job=(asks(count), thinks("done")), prices=BY_OUTPUT, **more)


def kinds(trail: Sequence[str]) -> list[str]:
    """A trail in no order: tools that run side by side end in any."""
    return sorted(trail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """What comes of the whole job if nothing goes wrong: its trail, the charges for tools, and a worker's commits."""

    trail: Sequence[str]
    tool_charges: Sequence[int]
    commits: int


@cache
def undisturbed() -> Undisturbed:
    """The job, done once in peace."""
    world = AgentWorld()
    world.user()
    task = world.begin()
    documents = FaultyDocuments(world.documents)
    world.on(documents).agents.slice.run(task.id)
    return Undisturbed(trail=kinds(world.task(task).trail), tool_charges=tool_charges(world), commits=documents.commits)


def tool_charges(world: AgentWorld) -> list[int]:
    """What the journal says was charged for tools. Thoughts are charged together, as their holds happen to end."""
    return [charge for charge in world.charges() if charge in (ASKED, PAINTED)]


def as_if_undisturbed(world: AgentWorld, task: Task) -> None:
    """As if nothing had happened: to its user, and to every auditor."""
    task = world.task(task)
    steps = world.steps(task)
    world.settle()

    assert (task.status, task.reason, task.answer_step) == ("completed", None, len(steps))
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert kinds(task.trail) == undisturbed().trail
    assert tool_charges(world) == undisturbed().tool_charges
    assert {task.charge_of(step.number) for step in steps if step.kind in ("think", "answer")} == {THOUGHT}
    assert (task.spent, world.spent(), sum(task.charges.values())) == (JOB_COST, JOB_COST, JOB_COST)
    assert world.services.credits.ledger.balance(ANN).held == 0
    assert world.services.credits.ledger.verify(ANN) == []
    assert tuple(image.id for image in world.services.images.store.list(ANN).items) == task.images
    assert len(world.objects.names("images/")) == len(task.images) == 1
    assert (task.owed, task.pending, task.due_at) == ((), (), None)
    assert {act.number for act in steps if act.kind == "act"} == {s.body["act"] for s in steps if s.kind == "observe"}
    assert_shown(world, task)


def assert_shown(world: AgentWorld, task: Task) -> None:
    """What the owner listens to says what the server knows: of the task, and of every step."""
    steps = world.steps(task)
    paths = [f"agent_tasks/{task.id}/steps/{step_id(step.number)}" for step in steps]
    shown = world.services.ports.documents().get_all([f"agent_tasks/{task.id}", *paths])
    assert [document and document.data for document in shown] == [
        task_data(world.task(task)),
        *(step_data(world.task(task), step) for step in steps),
    ]


def crashed(run: Callable[[], object]) -> bool:
    """Whether the process of this ended there."""
    try:
        run()
    except Crash:
        return True
    return False
