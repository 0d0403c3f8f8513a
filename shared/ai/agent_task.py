"""An agent task, its steps and its files; and what can be wrong with one."""

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
    """There is no such agent task, or it is another user's."""

    code = "task_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such agent task.")


class FileNotInTask(NotFound):
    """This task has no file of that name."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("This task has no such file.")


class TaskEnded(Conflict):
    """The agent task has come to its end and cannot go on."""

    code = "task_ended"

    def __init__(self, status: str) -> None:
        super().__init__(f"This task is {status}.", status=status)


class TaskRunning(Conflict):
    """The agent task is under way: there is nothing to resume."""

    code = "task_running"

    def __init__(self) -> None:
        super().__init__("This task is running already.")


class TooManyTasks(Rejected):
    """This user has as many agent tasks under way as one may have."""

    code = "too_many_tasks"

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} tasks may be under way at once.", limit=limit)


class ModelWithoutTools(Rejected):
    """This model cannot call tools, so it cannot work on a task."""

    code = "model_without_tools"

    def __init__(self, model: str) -> None:
        super().__init__("This model cannot call tools.", model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A recorded step that is to be charged: the hold that `operation` placed, captured for `cost` of this `usage`."""

    step: int
    operation: OperationId
    cost: Micro
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new task is to be. `key_cap` is what the key it was asked for with may spend: `id, amount, period`."""

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
    """One task as stored; amounts are µcr. `trail` names each step so far, such as `act calculator`.

    `has_read_private`: a tool has answered with the user's own data, so that pages are asked of named hosts only.
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
    owed: tuple[Owed, ...]
    sources: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    has_read_private: bool
    answer: str | None
    answer_step: int
    is_cancel_asked: bool
    attempts: int
    unanswered: int
    """How many thoughts in a row were charged and came to nothing."""
    clean_fence: int
    epoch: int
    epoch_spent: Micro
    claimed_at: Millis
    resumed_by: tuple[str, ...]
    created_at: Millis
    updated_at: Millis
    due_at: Millis | None

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.trail)

    def charge_of(self, step: int) -> Micro:
        """What this step was charged."""
        return Micro(self.charges.get(step_id(step), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `body` says what was thought, done or observed, by its kind."""

    number: int
    kind: StepKind
    at: Millis
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a task: given with it, or written by it."""

    name: str
    content: str
    content_type: str
    is_artifact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Tasks of a user, newest first."""

    items: tuple[Task, ...]
    next_cursor: str | None


def step_id(number: int) -> str:
    """The id of a step: its number, so that a second step of that number cannot be."""
    return f"{number:0{NUMBER_DIGITS}d}"
