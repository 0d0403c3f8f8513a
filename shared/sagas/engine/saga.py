"""A saga: steps on a leased document, each recorded before the next one acts, undone in reverse or driven to the end.

A step's outside effect must bear being done twice. A worker may die between doing and recording; then another worker
does the step again, under the same key. Several records may share one commit, which is made before a step acts.

Before the pivot, a saga that cannot continue is undone. From the pivot on, the saga only goes forward. A saga that can
do neither is a dead letter: an operator is alerted, and can revive the saga once the cause is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Data, Write
from shared.kernel.errors import NotFound, Rejected, code_of
from shared.kernel.events import Alerts, log
from shared.kernel.ids import OperationId, operation_id
from shared.sagas.engine.leases import LeasedDocument, LeaseLost

STEP_SECONDS = 3_600
SAGA_SECONDS = 24 * 3_600
BACKOFF: Millis = 2 * SECOND
BACKOFF_MAX: Millis = 30 * MINUTE
UNDO = "undo:"
"""Prefix of the failed step's name, if the saga died while undoing."""

Phase = Literal["doing", "undoing", "completed", "compensated", "dead"]
Outcome = Literal["completed", "compensated", "waiting", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """The result of a step, recorded for the steps after it.

    `changes` are other fields of the same document, `writes` other documents: all in one commit with the record.
    `content` is the document's content after the changes; None if the step has no such value.
    """

    result: Data = field(default_factory=dict)
    changes: Data = field(default_factory=dict)
    writes: tuple[Write, ...] = ()
    content: object | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """The input of a step: the saga's arguments, the earlier steps' results by step, and the leased document."""

    leased: LeasedDocument
    args: Data
    results: Mapping[str, Data]
    saga: str

    def key(self, step: str) -> OperationId:
        """Return the key of a step's effect, for the ledger and for providers. The key is the same for every worker."""
        return operation_id("saga", self.leased.path, self.saga, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a saga. `undo` must work after `do` was done, half done or not done, and before a late `do`.

    If `acts` is False, the step only reads, or does everything in the commit that records the step. `seconds` is how
    long the step may keep failing while something is missing. A pivot may raise `Rejected` only if the effect has
    certainly not happened; any other error of a pivot leaves the saga going forward.
    """

    name: str
    do: Callable[[StepContext], StepResult]
    undo: Callable[[StepContext], StepResult] | None = None
    is_pivot: bool = False
    acts: bool = True
    seconds: int = STEP_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Saga:
    """The definition of a saga. A saga that began under one version ends under that version.

    A changed list of steps is a new version beside the old. Without a pivot all steps can be undone, or, if
    `is_forward_only`, none.
    """

    name: str
    version: int
    steps: tuple[Step, ...]
    seconds: int = SAGA_SECONDS
    is_forward_only: bool = False

    def __post_init__(self) -> None:
        """Assert that there is at most one pivot, and that step names are unique."""
        assert sum(step.is_pivot for step in self.steps) <= 1, "a saga turns once"
        assert len({step.name for step in self.steps}) == len(self.steps), "steps are known by their names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a saga, as stored in the document's field `saga`. Times in ms.

    `done` maps each step done to its result, and `undone` names the steps undone. `attempts` counts the failures of the
    current step. `code` is the last error's code, and `stuck_in` the step that failed for good; both are "" if there is
    none.
    """

    name: str
    version: int
    number: int
    args: Data
    phase: Phase
    begun_at: Millis
    step_begun_at: Millis
    done: Mapping[str, Data] = field(default_factory=dict)
    undone: tuple[str, ...] = ()
    attempts: int = 0
    code: str = ""
    stuck_in: str = ""

    @property
    def is_over(self) -> bool:
        """True if nothing is left to do, or only an operator may continue."""
        return self.phase not in {"doing", "undoing"}

    @property
    def id(self) -> str:
        """The name of this run on the document: the definition, and the number of the run."""
        return f"{self.name}:{self.number}"

    def to_data(self) -> Data:
        """Return the value of the field `saga`."""
        names = cast("tuple[str, ...]", tuple(type(self).__slots__))
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {**values, "undone": list(self.undone)}


def progress_of(data: Data) -> Progress | None:
    """Return the progress of a document's saga; None if there never was a saga."""
    stored = cast("Mapping[str, Any] | None", data.get("saga"))
    return None if stored is None else Progress(**{**stored, "undone": tuple(stored["undone"])})


class Runner:
    """The runner of sagas on leased documents. Safe to share between threads."""

    def __init__(self, sagas: Sequence[Saga], clock: Clock, alerts: Alerts) -> None:
        self._sagas = {(saga.name, saga.version): saga for saga in sagas}
        self._current = {saga.name: saga for saga in sorted(sagas, key=lambda saga: saga.version)}
        self._clock = clock
        self._alerts = alerts

    def begin_saga(
        self,
        leased: LeasedDocument,
        name: str,
        args: Data,
        changes: Data | None = None,
        *also: Write,
        content: object | None = None,
    ) -> None:
        """Note in the document that the current version of the saga `name` is to run; the next save stores this.

        The saga before must be over. `content`: the document's content after `changes`; see `LeasedDocument.note`.
        """
        progress = self._begun(leased, name, args, self._clock.now())
        leased.note({**(changes or {}), "saga": progress.to_data()}, *also, content=content)
        log("saga_begun", path=leased.path, saga=progress.id)

    def ended_saga(self, leased: LeasedDocument, name: str, args: Data, done: Mapping[str, Data]) -> Data:
        """Return the changes of a document by which the saga `name` has run as a whole, in one commit of another.

        `done` has the results of the steps. The saga before must be over.
        """
        now = self._clock.now()
        begun = self._begun(leased, name, args, now)
        log("saga_completed", path=leased.path, saga=begun.id)
        return {"saga": replace(begun, phase="completed", done=done).to_data()}

    def _begun(self, leased: LeasedDocument, name: str, args: Data, now: Millis) -> Progress:
        before, saga = progress_of(leased.data), self._current[name]
        assert before is None or before.is_over, "one saga at a time"
        return Progress(
            name=saga.name,
            version=saga.version,
            number=1 if before is None else before.number + 1,
            args=args,
            phase="doing",
            begun_at=now,
            step_begun_at=now,
        )

    def run_saga(self, leased: LeasedDocument) -> Outcome:
        """Run the saga as far as possible now, and return the outcome.

        `waiting`: something is missing, and the document's `due_at` says when to try again. The last progress may be
        noted only, so the caller saves or frees the document. Raises LeaseLost, OutcomeUnknown or StoreUnavailable if
        progress could not be recorded; then another worker continues.
        """
        progress = progress_of(leased.data)
        assert progress is not None, "a saga was begun"
        saga = self._sagas.get((progress.name, progress.version))
        if saga is None and not progress.is_over:
            is_undoing = progress.phase == "undoing"
            return self._bury(leased, progress, "definition_unknown", progress.stuck_in, is_undoing=is_undoing)
        while saga is not None and not progress.is_over:
            try:
                progress = self._advance(leased, saga, progress)
            except _Waiting:
                return "waiting"
        return cast("Outcome", progress.phase)

    def revive(self, leased: LeasedDocument) -> None:
        """Let a saga that failed for good continue at the failed step, with the full time limits again."""
        progress, now = progress_of(leased.data), self._clock.now()
        if progress is None or progress.phase != "dead":
            return
        is_undoing = progress.stuck_in.startswith(UNDO)
        phase: Phase = "undoing" if is_undoing else "doing"
        # The step that failed may be half done: it has to be undone as well, though it was never recorded as done.
        failed = progress.stuck_in.removeprefix(UNDO) if is_undoing else ""
        code = progress.code if is_undoing else ""
        revived = replace(
            progress, phase=phase, attempts=0, code=code, begun_at=now, step_begun_at=now, stuck_in=failed
        )
        leased.save({"saga": revived.to_data()})
        log("saga_revived", path=leased.path, saga=progress.id)

    def _advance(self, leased: LeasedDocument, saga: Saga, progress: Progress) -> Progress:
        """Do or undo the next step of a saga, and return the progress after that step.

        Progress is stored before a step that acts on the outside. If the deadline has passed before the pivot and all
        done steps can be undone, the saga turns back.
        """
        if progress.phase == "undoing":
            return self._undo_next(leased, saga, progress)
        step = _next_of(saga, progress)
        if step is None:
            return self._noted(leased, replace(progress, phase="completed"))
        if not step.is_pivot and self._is_late(saga, step, progress) and _can_turn_back(saga, progress):
            return self._turn_back(leased, progress, step, progress.code or "deadline")
        if step.acts:
            leased.flush()
        try:
            done = step.do(self._turn(leased, progress))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is decides how the saga goes on
            return self._failed(leased, saga, step, progress, error)
        onward = replace(
            progress,
            done={**progress.done, step.name: done.result},
            attempts=0,
            code="",
            step_begun_at=self._clock.now(),
        )
        is_over = _next_of(saga, onward) is None
        return self._noted(leased, replace(onward, phase="completed") if is_over else onward, done)

    def _failed(self, leased: LeasedDocument, saga: Saga, step: Step, progress: Progress, error: Exception) -> Progress:
        code = code_of(error)
        is_final = isinstance(error, Rejected | NotFound)
        log("saga_step_failed", "WARNING", path=leased.path, saga=progress.id, step=step.name, code=code)
        if not is_final and not self._is_late(saga, step, progress):
            return self._wait(leased, progress, code)
        if _can_turn_back(saga, progress) and (is_final or not step.is_pivot):
            return self._turn_back(leased, progress, step, code)
        self._bury(leased, progress, code, step.name)
        return cast("Progress", progress_of(leased.data))

    def _turn_back(self, leased: LeasedDocument, progress: Progress, step: Step, code: str) -> Progress:
        """Begin to undo. The step that failed is undone first, since half of the step may be done."""
        now = self._clock.now()
        back = replace(progress, phase="undoing", code=code, attempts=0, step_begun_at=now, stuck_in=step.name)
        return self._noted(leased, back)

    def _undo_next(self, leased: LeasedDocument, saga: Saga, progress: Progress) -> Progress:
        """Undo the last step that is done and not yet undone. If none is left, the saga is compensated.

        A step that may have acted without a record of its end is undone, too.
        """
        touched = [step for step in saga.steps if step.name in progress.done or step.name == progress.stuck_in]
        step = next((step for step in reversed(touched) if step.name not in progress.undone), None)
        if step is None:
            return self._noted(leased, replace(progress, phase="compensated"))
        if step.undo is not None:
            leased.flush()
        try:
            back = StepResult() if step.undo is None else step.undo(self._turn(leased, progress))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001  # nothing that was done may stay half undone unnoticed
            return self._not_undone(leased, step, progress, code_of(error))
        undone = (*progress.undone, step.name)
        onward = replace(progress, undone=undone, attempts=0, step_begun_at=self._clock.now())
        return self._noted(leased, onward, back)

    def _not_undone(self, leased: LeasedDocument, step: Step, progress: Progress, code: str) -> Progress:
        log("saga_undo_failed", "ERROR", path=leased.path, saga=progress.id, step=step.name, code=code)
        if self._clock.now() >= progress.step_begun_at + step.seconds * SECOND:
            self._bury(leased, progress, code, progress.stuck_in, is_undoing=True)
            return cast("Progress", progress_of(leased.data))
        return self._wait(leased, progress, progress.code)

    def _wait(self, leased: LeasedDocument, progress: Progress, code: str) -> Progress:
        pause = min(BACKOFF << min(progress.attempts, 20), BACKOFF_MAX)
        waiting = replace(progress, attempts=progress.attempts + 1, code=code)
        leased.save({"saga": waiting.to_data(), "due_at": to_datetime(self._clock.now() + pause)})
        raise _Waiting

    def _bury(
        self, leased: LeasedDocument, progress: Progress, code: str, step: str, *, is_undoing: bool = False
    ) -> Literal["dead"]:
        stuck_in = f"{UNDO}{step}" if is_undoing else step
        dead = replace(progress, phase="dead", code=code, stuck_in=stuck_in)
        leased.save({"saga": dead.to_data(), "due_at": None})
        self._alerts.alert("saga_dead", path=leased.path, saga=progress.id, step=step, code=code)
        return "dead"

    def _noted(self, leased: LeasedDocument, progress: Progress, done: StepResult | None = None) -> Progress:
        done = done or StepResult()
        leased.note({**done.changes, "saga": progress.to_data()}, *done.writes, content=done.content)
        if progress.is_over:
            log(f"saga_{progress.phase}", path=leased.path, saga=progress.id)
        return progress

    def _turn(self, leased: LeasedDocument, progress: Progress) -> StepContext:
        return StepContext(leased=leased, args=progress.args, results=progress.done, saga=progress.id)

    def _is_late(self, saga: Saga, step: Step, progress: Progress) -> bool:
        now = self._clock.now()
        return now >= min(
            progress.begun_at + saga.seconds * SECOND,
            progress.step_begun_at + step.seconds * SECOND,
        )


class _Waiting(Exception):  # not an error: a turn that ends here
    """The saga waits for a time that was recorded."""


def _next_of(saga: Saga, progress: Progress) -> Step | None:
    return next((step for step in saga.steps if step.name not in progress.done), None)


def _can_turn_back(saga: Saga, progress: Progress) -> bool:
    is_past_pivot = any(step.is_pivot and step.name in progress.done for step in saga.steps)
    return not saga.is_forward_only and not is_past_pivot
