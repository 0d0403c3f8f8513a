"""Agent tasks with their steps and files, and the errors of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.ai.tokens import Usage
from shared.kernel.clock import Millis
from shared.kernel.documents import Value
from shared.kernel.errors import Conflict, NotFound, Rejected
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro

Status = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
StepKind = Literal["think", "act", "observe", "answer"]
LIVE: frozenset[Status] = frozenset({"queued", "running"})
ENDED: frozenset[Status] = frozenset({"completed", "cancelled"})
FILES_BYTES_MAX = 2_000_000
NUMBER_DIGITS = 6


class TaskNotFound(NotFound):
    """Refusal: the agent task does not exist or belongs to another user."""

    code = "task_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such agent task.")


class FileNotInTask(NotFound):
    """Refusal: the task has no file of that name."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("This task has no such file.")


class TaskEnded(Conflict):
    """Refusal: the agent task has ended and cannot continue."""

    code = "task_ended"

    def __init__(self, status: str) -> None:
        super().__init__(f"This task is {status}.", status=status)


class TaskRunning(Conflict):
    """Refusal: the agent task is under way, so there is nothing to resume."""

    code = "task_running"

    def __init__(self) -> None:
        super().__init__("This task is running already.")


class TooManyTasks(Rejected):
    """Refusal: the user has reached the limit of agent tasks under way."""

    code = "too_many_tasks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} tasks may be under way at once.", limit=limit)


class ModelWithoutTools(Rejected):
    """Refusal: the model cannot call tools, which a task needs."""

    code = "model_without_tools"

    def __init__(self, model: str) -> None:
        super().__init__("This model cannot call tools.", model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCharge:
    """Charge due for a recorded step: capture `cost` (µcr) of the hold that `operation` placed, for this `usage`."""

    step: int
    operation: OperationId
    cost: Micro
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Specification of a new task. `budget` is the most that the task may cost (µcr).

    `key_cap` is the spending limit of the key that made the request: `id, amount, period`; None without a limit.
    """

    uid: Uid
    goal: str
    model: str
    tools: Sequence[str]
    budget: Micro
    max_steps: int
    fingerprint: str
    spender: str
    key_cap: Mapping[str, Value] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Stored task; amounts are µcr, times in ms. `trail` names each step so far, such as `act calculator`.

    `reason` is a code that explains `status`, None if there is none. `answer` is None until there is one.
    `has_read_private`: a tool has returned the user's own data, so pages may be requested from named hosts only.
    """

    id: str
    uid: Uid
    goal: str
    model: str
    tools: tuple[str, ...]
    budget: Micro
    max_steps: int
    fingerprint: str
    spender: str
    key_cap: Mapping[str, Any] | None
    status: Status
    reason: str | None
    plan: tuple[Mapping[str, str], ...]
    trail: tuple[str, ...]
    thoughts: int
    spent: Micro
    charges: Mapping[str, int]
    pending: tuple[int, ...]
    owed: tuple[DueCharge, ...]
    sources: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    has_read_private: bool
    answer: str | None
    answer_step: int
    is_cancel_asked: bool
    attempts: int
    unanswered: int
    """Number of charged thoughts in a row without a result."""
    clean_fence: int
    epoch: int
    epoch_spent: Micro
    claimed_at: Millis
    resumed_by: tuple[str, ...]
    created_at: Millis
    updated_at: Millis
    due_at: Millis | None
    tail: tuple["TaskStep", ...] = ()
    """The newest steps, as stored in the task's own document."""
    packs: tuple["StepPack", ...] = ()
    """Documents of the steps before `tail`, oldest first. Steps before the first pack have a document each."""
    is_old: bool = False
    """True if the task is stored in the old form: one document for workers and owner."""

    @property
    def artifacts(self) -> tuple[Mapping[str, Any], ...]:
        """Facts of the files that the task has written."""
        return tuple(fact for fact in self.files if fact["is_artifact"])

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.trail)

    @property
    def spent_or_due(self) -> Micro:
        """Sum of all charges, with those that are due (µcr)."""
        return Micro(self.spent + sum(owed.cost for owed in self.owed))

    def charge_of(self, step: int) -> Micro:
        """Return the charge for this step (µcr), or the due amount; zero if none is recorded."""
        due = sum(owed.cost for owed in self.owed if owed.step == step)
        return Micro(self.charges.get(step_id(step), 0) + due)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStep:
    """Step of a task. `body` holds the thought, the action or the observation, by `kind`."""

    number: int
    kind: StepKind
    at: Millis
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPack:
    """Stored document of consecutive steps: the number of the first step, and the bytes of all."""

    first: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """File of a task: given with the task, or written by the task (`is_artifact`)."""

    name: str
    content: str
    content_type: str
    is_artifact: bool


def step_id(number: int) -> str:
    """Return the id of a step: the number, so that no second step of that number can exist."""
    return f"{number:0{NUMBER_DIGITS}d}"
