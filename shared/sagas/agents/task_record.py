"""State of a task for the worker that has its lease, and the only ways to change the task.

Every change is one commit under the lease's fence, together with the steps that the change records. So steps are
contiguous, and an overtaken worker records nothing. If a user cancels, the document changes but the lease does not.
Then the worker reads the task again and continues.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.ai.agents.documents import file_fact, file_write, owed_data, recorded, task_of
from shared.ai.agents.live import shown_step, shown_task
from shared.ai.agents.task import ENDED, FILES_BYTES_MAX, DueCharge, StepKind, StoredFile, Task, TaskStep, step_id
from shared.ai.agents.thinking import Thought
from shared.kernel.clock import SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Data, Document, Value, Write
from shared.kernel.ids import OperationId
from shared.kernel.money import Micro
from shared.sagas.agents.budget import TaskBudget
from shared.sagas.agents.tools.tool import Observation, TaskFile
from shared.sagas.engine.leases import LeasedDocument, LeaseLost

LEASE_SECONDS = 300
"""Lifetime of the lease: longer than any time without a save (a model's or a tool's answer, the store's retries)."""
CALLS_MAX = 64
CALLS_BYTES_MAX = 400_000
HISTORY_BYTES_MAX = 400_000
TO_CANCEL: Data = {"status": "queued", "reason": None}
"""Fields of a task that waits only to be ended as cancelled."""
SOURCES_MAX = 100
IMAGES_MAX = 50


class ClaimedTask:
    """A task with its steps and files, held under a lease."""

    def __init__(
        self, leased: LeasedDocument, clock: Clock, task: Task, steps: Sequence[TaskStep], files: Sequence[StoredFile]
    ) -> None:
        self._leased = leased
        self._clock = clock
        self._unsaved: dict[str, Value] = {}
        self._corrected: set[int] = set()
        """Steps whose charge differs from the amount that was due: their owner's documents are written once more."""
        self._knows_cancel = task.is_cancel_asked
        self.is_cancel_due = False
        """True once the task was closed to be ended as cancelled by the next slice, at once."""
        self._task: Task | None = task
        """The task with the unsaved changes; None after a change, until the task is read."""
        self.steps = list(steps)
        self.files = {file.name: file for file in files}

    @property
    def task(self) -> Task:
        """The task as this worker read or changed the task last. Parsed once after each change."""
        if self._task is None:
            self._task = self._task_with(self._unsaved)
        return self._task

    @property
    def fence(self) -> int:
        """Fence of the worker's lease: part of the names of the worker's holds."""
        return self._leased.fence

    def refresh(self) -> None:
        """Read the task again. Raises LeaseLost if another worker has the task, or if the task is deleted."""
        if not self._leased.rejoin():
            raise LeaseLost(self._leased.path)
        self._task = None

    def note(self, **changes: Value) -> None:
        """Change these fields of the task in memory at once. The next save writes the changes."""
        self._unsaved |= changes
        self._task = None

    def is_awaited(self, act: int) -> bool:
        """Return True if this tool call is still to be recorded, by the worker that has the task now."""
        found = self._leased.documents.get(self._leased.path)
        if found is None:
            return False
        task = task_of(found)
        return act in task.pending and task.status not in ENDED

    def is_due_by(self, operation: OperationId) -> bool:
        """Return True if a recorded step is to be charged by the hold that this operation placed."""
        return any(owed.operation == operation for owed in self.task.owed)

    def settle(self, budget: TaskBudget, of: OperationId | None = None) -> None:
        """Charge for the recorded steps of the task, hold by hold. The next save records the charges.

        With `of`, charge only for the steps that are due by the hold of this operation.
        """
        for operation in dict.fromkeys(owed.operation for owed in self.task.owed):
            if of is None or operation == of:
                due = [owed for owed in self.task.owed if owed.operation == operation]
                self._note_charges(due, budget.captured(operation, due))

    def _note_charges(self, due: Sequence[DueCharge], charged: Micro) -> None:
        """Note the amount that was charged for these steps. If it is less than their cost, the first are paid first."""
        charges, left = dict(self.task.charges), charged
        for owed in due:
            part = left if owed is due[-1] else min(owed.cost, left)
            left = Micro(left - part)
            charges[step_id(owed.step)] = charges.get(step_id(owed.step), 0) + part
            if part != owed.cost:
                self._corrected.add(owed.step)
        self.note(
            owed=owed_data([owed for owed in self.task.owed if owed not in due]),
            charges=charges,
            spent=self.task.spent + charged,
        )

    # Steps ------------------------------------------------------------------------------------------------------

    def record_thought(self, thought: Thought, body: Mapping[str, Any], owed: DueCharge, *, is_cut: bool) -> None:
        """Record a thought, the tool calls that the thought asks for, and the charge `owed` for the thought.

        `body` has further facts for the stored step. A thought without calls is the task's answer, unless the thought
        was cut short (`is_cut`).
        """
        task, now = self.task, self._clock.now()
        calls = _bounded(thought)
        first = task.steps + 1
        is_answer = not calls and not is_cut
        kind: StepKind = "answer" if is_answer else "think"
        told = [{"id": f"call_{first + 1 + n}", "name": c.name, "arguments": c.arguments} for n, c in enumerate(calls)]
        whole = {**body, "text": thought.text, "calls": told, "cost": owed.cost, **_history(thought, len(calls))}
        steps = [TaskStep(number=first, kind=kind, at=now, body=whole)]
        for offset, call in enumerate(calls, start=1):
            act = {"tool": call.name, "arguments": call.arguments, "thought": first}
            steps.append(TaskStep(number=first + offset, kind="act", at=now, body=act))
        self.save(
            {
                "trail": [*task.trail, kind, *(f"act {call.name}" for call in calls)],
                "thoughts": task.thoughts + 1,
                "pending": [first + offset for offset in range(1, len(calls) + 1)],
                "owed": owed_data([*task.owed, owed]),
                "answer": thought.text if is_answer else None,
                "answer_step": first if is_answer else 0,
                "attempts": 0,
                "unanswered": 0,
            },
            steps=steps,
        )

    def record_unanswered(self, owed: DueCharge) -> None:
        """Record the charge `owed` for a thought without a result. The next thought takes the same step number."""
        task = self.task
        self.save({"owed": owed_data([*task.owed, owed]), "unanswered": task.unanswered + 1})

    def record_observation(self, act: int, tool: str, seen: Observation, operation: OperationId | None) -> None:
        """Record `seen`, the observation of the tool call `act`, with all that the tool wrote.

        `operation` placed the hold that is to be captured for the tool; None if there is nothing to capture.
        """
        task, now = self.task, self._clock.now()
        number = task.steps + 1
        kept = [_stored(file) for file in seen.files]
        body = {
            "tool": tool,
            "act": act,
            "text": seen.text,
            "failure": seen.failure,
            "sources": list(seen.sources),
            "files": [file.name for file in kept],
            "images": list(seen.images),
            "cost": seen.cost or seen.charged or 0,
        }
        known = {fact["name"]: fact for fact in task.files} | {file.name: file_fact(file) for file in kept}
        changes: dict[str, Value] = {
            "trail": [*task.trail, f"observe {tool}"],
            "pending": [each for each in task.pending if each != act],
            "sources": _merged(task.sources, seen.sources, SOURCES_MAX),
            "images": _merged(task.images, seen.images, IMAGES_MAX),
            "files": list(known.values()),
            "attempts": 0,
        }
        if seen.is_private:
            changes["has_read_private"] = True
        if seen.plan is not None:
            changes["plan"] = [dict(step) for step in seen.plan]
        if operation is not None:
            owed = DueCharge(step=number, operation=operation, cost=seen.cost or Micro(0), usage=seen.usage)
            changes["owed"] = owed_data([*task.owed, owed])
        if seen.charged:
            changes["charges"] = {**task.charges, step_id(number): seen.charged}
            changes["spent"] = task.spent + seen.charged
        writes = [file_write(task.id, task.uid, file, now) for file in kept]
        step = TaskStep(number=number, kind="observe", at=now, body=body)
        self.save(changes, *writes, *seen.writes, steps=[step])
        self.files |= {file.name: file for file in kept}

    def has_room_for(self, files: Sequence[TaskFile]) -> bool:
        """Return True if the task's files stay within `FILES_BYTES_MAX` together with `files`."""
        after = {name: file.content for name, file in self.files.items()} | {file.name: file.content for file in files}
        return sum(len(content.encode()) for content in after.values()) <= FILES_BYTES_MAX

    # Saving -----------------------------------------------------------------------------------------------------

    def save(self, changes: Data, *also: Write, steps: Sequence[TaskStep] = ()) -> None:
        """Write these changes and new steps, and keep the lease. Raises LeaseLost, OutcomeUnknown, StoreUnavailable."""
        due_at = self._clock.now() + LEASE_SECONDS * SECOND
        self._write({**changes, "due_at": to_datetime(due_at)}, also, steps, is_last=False)

    def close(self, changes: Data, *, due_at: Millis | None, is_clean: bool = True) -> None:
        """Write these changes to the task and free the lease. The task is due from `due_at` on; None: never by itself.

        If `is_clean` is False, holds may be open that no step names: the next worker releases them. If the user has
        asked to cancel since the claim, the task is queued and due now instead, and `is_cancel_due` is True.
        """
        due: Value = None if due_at is None else to_datetime(due_at)
        clean: Data = {"clean_fence": self.fence} if is_clean else {}
        self._write({**changes, **clean, "due_at": due}, (), (), is_last=True)

    def _write(
        self, changes: Mapping[str, Value], also: Sequence[Write], steps: Sequence[TaskStep], *, is_last: bool
    ) -> None:
        """Write the changes and the new steps in one commit. If `is_last`, free the lease. Raises LeaseLost.

        If others have changed the task but the lease is still held, read the task and write once more.
        """
        try:
            self._commit(changes, also, steps, is_last=is_last)
        except LeaseLost:
            if not self._leased.rejoin():
                raise
            self._commit(changes, also, steps, is_last=is_last)
        self._unsaved = {}
        self._corrected = set()
        self.steps += steps

    def _commit(
        self, changes: Mapping[str, Value], also: Sequence[Write], steps: Sequence[TaskStep], *, is_last: bool
    ) -> None:
        """Commit the changes once, with the new steps for workers and for the owner. If `is_last`, free the lease."""
        now = to_datetime(self._clock.now())
        whole = {**self._unsaved, **changes, "updated_at": now}
        is_cancel_due = is_last and self._is_newly_cancelled(whole)
        if is_cancel_due:
            whole |= {**TO_CANCEL, "due_at": now}
        packs: Sequence[Write] = ()
        if steps:
            placed, packs = recorded(self.task, steps)
            whole |= placed
        task = self._task_with(whole)
        write = self._leased.free if is_last else self._leased.save
        write(whole, *also, *packs, *self._shown(task, steps))
        self._task, self.is_cancel_due = task, is_cancel_due

    def _is_newly_cancelled(self, changes: Data) -> bool:
        """Return True if the user has asked to cancel since the claim, and `changes` do not end the task so.

        A slice that was claimed to cancel and fails is put off as any other slice, so that no task is tried in a loop.
        """
        task = self._task_with(changes)
        return task.is_cancel_asked and task.status != "cancelled" and not self._knows_cancel

    def _shown(self, task: Task, steps: Sequence[TaskStep]) -> Sequence[Write]:
        """Build the writes of the owner's documents: the task, new steps, and steps whose charge is not as was due."""
        corrected = [step for step in self.steps if step.number in self._corrected]
        return [shown_task(task), *(shown_step(task, step) for step in (*corrected, *steps))]

    def _task_with(self, changes: Mapping[str, Value]) -> Task:
        leased = self._leased.document
        return task_of(Document(path=leased.path, data={**leased.data, **changes}, version=leased.version))


def _bounded(thought: Thought) -> tuple[Any, ...]:
    """Return the first calls of the thought, as many as one step can record."""
    kept, size = [], 0
    for call in thought.calls[:CALLS_MAX]:
        size += len(call.arguments.encode())
        if size > CALLS_BYTES_MAX:
            break
        kept.append(call)
    return tuple(kept)


def _history(thought: Thought, kept: int) -> Mapping[str, Any]:
    """Return the provider's own message as a field of a step, to send back to the provider later.

    Empty if there is no message, if a call was left out, or if the message is too long to store. The message is stored
    as a text, since a document holds no lists in lists.
    """
    if thought.raw is None or not kept or kept != len(thought.calls):
        return {}
    told = json.dumps(thought.raw)
    return {"message": told} if len(told) <= HISTORY_BYTES_MAX else {}


def _stored(file: TaskFile) -> StoredFile:
    return StoredFile(
        name=file.name, content=file.content, content_type=file.content_type, is_artifact=file.is_artifact
    )


def _merged(known: Sequence[str], more: Sequence[str], most: int) -> list[str]:
    return list(dict.fromkeys([*known, *more]))[:most]
