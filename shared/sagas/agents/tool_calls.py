"""Running the tool calls of a task side by side: each call runs alone, and the one worker records each as it ends."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace

from shared.ai.agents.named_hosts import named_hosts
from shared.ai.agents.task import StoredFile, TaskStep
from shared.ai.models.catalogue import Model
from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError, Rejected, Unavailable
from shared.kernel.events import log, log_error
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.kernel.money import Micro
from shared.kernel.tracing import in_this_work
from shared.ledger.commands import BudgetClaim
from shared.sagas.agents.budget import CreditsHeld, TaskBudget
from shared.sagas.agents.task_record import ClaimedTask
from shared.sagas.agents.toolbox import usable_tools
from shared.sagas.agents.tools.tool import (
    OBSERVATION_CHARACTERS_MAX,
    LeavesThings,
    Observation,
    TaskFile,
    Tool,
    ToolFailed,
    parse_arguments,
)
from shared.sagas.engine.leases import LeaseLost
from shared.sagas.metering.authority import Authority
from shared.sagas.metering.call_cost import CallCost
from shared.users.end_users import EndUsers

AT_ONCE_MAX = 8


@dataclass(slots=True)
class TaskToolUse:
    """Call of a tool; see `ToolUse`. The call sees the files and the budget of its own task only."""

    uid: Uid
    task_id: str
    operation: OperationId
    default_model: str
    name: str
    budget: TaskBudget
    files: Mapping[str, StoredFile]
    end_user: str
    hosts: frozenset[str] | None
    held: OperationId | None = field(default=None, init=False)

    @property
    def budgets(self) -> tuple[BudgetClaim, ...]:
        """Return the caps that the tool's spending counts against; see `ToolUse.budgets`."""
        return self.budget.budgets

    def hold(self, model: Model, cost: CallCost) -> Micro:
        """Set credits aside for this model, and return the held amount (µcr); see `ToolUse.hold`."""
        assert self.held is None, "a use holds once"
        held = self.budget.hold(self.name, model, cost, "tool")
        self.held = held.operation
        return held.amount

    def give_back(self) -> None:
        """Release the hold of this call, if there is one."""
        if self.held is not None:
            self.budget.give_back(self.held)
            self.held = None

    def file(self, name: str) -> TaskFile | None:
        """Return the file of this task with this name, or None; see `ToolUse.file`."""
        found = self.files.get(name)
        return None if found is None else _task_file(found)

    def file_names(self) -> Sequence[str]:
        """Return the names of this task's files; see `ToolUse.file_names`."""
        return sorted(self.files)


class Acts:
    """Runs the tool calls of a task's last thought."""

    def __init__(self, tools: Mapping[str, Tool], authority: Authority, end_users: EndUsers, clock: Clock) -> None:
        self._tools = tools
        self._end_users = end_users
        self._authority = authority
        self._clock = clock

    def run_calls(
        self, claimed: ClaimedTask, budget: TaskBudget, acts: Sequence[TaskStep], until: float
    ) -> Rejected | CreditsHeld | None:
        """Run the tool calls of these steps, batch by batch, until all are observed or the time is up.

        If the ledger refuses a call, retry the call after the other calls have released their unused credits. If all
        remaining calls are refused, return the refusal; the calls stay pending. Otherwise return None.
        Raises LeaseLost and Unavailable, and before each batch the errors of `Authority.check`.
        """
        todo = list(acts)
        while todo:
            refused: list[TaskStep] = []
            refusal: Rejected | CreditsHeld | None = None
            for first in range(0, len(todo), AT_ONCE_MAX):
                if claimed.task.is_cancel_asked or self._clock.monotonic() >= until:
                    return None
                batch = todo[first : first + AT_ONCE_MAX]
                refusals = self._batch(claimed, budget, batch)
                refused += [act for act in batch if act.number in refusals]
                refusal = next(iter(refusals.values()), refusal)
                if first + AT_ONCE_MAX < len(todo):
                    claimed.refresh()
            if refusal is not None and len(refused) == len(todo):
                return refusal
            todo = refused
            if todo:
                claimed.refresh()
        return None

    def forget_calls(self, claimed: ClaimedTask, budget: TaskBudget, acts: Sequence[TaskStep]) -> None:
        """Remove the things that tool calls have stored and that no step will record.

        If a tool cannot remove a thing now, the thing stays until the user is erased.
        """
        for act in acts:
            tool: object = self._tools.get(act.body["tool"])
            if not isinstance(tool, LeavesThings):
                continue
            try:
                tool.forget_use(self._use_of(claimed, budget, act))
            except DomainError as error:
                log("tool_not_cleaned_up", "WARNING", task_id=claimed.task.id, code=error.code)

    def _batch(
        self, claimed: ClaimedTask, budget: TaskBudget, acts: Sequence[TaskStep]
    ) -> Mapping[int, Rejected | CreditsHeld]:
        """Run the tool calls of these steps side by side. Return the ledger's refusals, by the number of the step.

        Before any tool runs, raises the errors of `Authority.check`. If a call fails, the others end first.
        """
        allowed = usable_tools(claimed.task.tools, self._authority.check(claimed.task.uid, claimed.task.spender))
        refusals: dict[int, Rejected | CreditsHeld] = {}
        failure: Exception | None = None
        with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
            uses = {act.number: self._use_of(claimed, budget, act) for act in acts}
            running = {pool.submit(in_this_work(self._used), act, uses[act.number], allowed): act for act in acts}
            for done in as_completed(running):
                act = running[done]
                try:
                    self._record(claimed, budget, act, uses[act.number], done)
                except (Rejected, CreditsHeld) as error:
                    refusals[act.number] = error
                except Exception as error:  # noqa: BLE001  # the others end first: then it is raised
                    failure = failure or error
        if failure is not None:
            raise failure
        return refusals

    def _record(
        self, claimed: ClaimedTask, budget: TaskBudget, act: TaskStep, use: TaskToolUse, done: "Future[Observation]"
    ) -> None:
        """Record the observation of one tool call, and settle its charge.

        If the observation costs nothing or cannot be recorded, the credits held for the tool are given back.
        """
        try:
            seen = done.result()
            if seen.files and not claimed.has_room_for(seen.files):
                seen = Observation(text="The files of this task are too large together.", failure="too_large")
            claimed.record_observation(act.number, act.body["tool"], seen, use.held if seen.cost is not None else None)
        except LeaseLost:
            use.give_back()
            if not claimed.is_awaited(act.number):
                self.forget_calls(claimed, budget, [act])
            raise
        except (Rejected, CreditsHeld):
            use.give_back()
            raise
        if seen.cost is None:
            use.give_back()
        elif use.held is not None:
            claimed.settle(budget, use.held)

    def _use_of(self, claimed: ClaimedTask, budget: TaskBudget, act: TaskStep) -> TaskToolUse:
        task = claimed.task
        return TaskToolUse(
            uid=task.uid,
            task_id=task.id,
            operation=operation_id("agent", task.id, act_name(act.number)),
            default_model=task.model,
            name=act_name(act.number),
            budget=budget,
            files=dict(claimed.files),
            end_user=self._end_users.of(task.uid),
            hosts=named_hosts(task.goal, list(claimed.files)) if task.has_read_private else None,
        )

    def _used(self, act: TaskStep, use: TaskToolUse, allowed: Sequence[str]) -> Observation:
        """Return the tool's observation. A failure of the tool is an observation, too.

        If the ledger refuses, raises Rejected or CreditsHeld. If the store fails, raises Unavailable. In each case the
        hold is released first.
        """
        name = act.body["tool"]
        try:
            tool = self._tools.get(name) if name in allowed else None
            if tool is None:
                raise ToolFailed(
                    "no_such_tool", f"There is no such tool here. There are: {', '.join(sorted(allowed))}."
                )
            seen = tool.use(parse_arguments(tool.parameters, act.body["arguments"]), use)
            return _bounded(seen)
        except ToolFailed as failed:
            use.give_back()
            return Observation(text=f"{failed.code}: {failed.detail}", failure=failed.code)
        except (Rejected, CreditsHeld, Unavailable):
            use.give_back()
            raise
        except DomainError as error:
            use.give_back()
            return Observation(text=f"{error.code}: {error.detail}", failure=error.code)
        except Exception as error:  # noqa: BLE001  # a tool's fault is not the task's: the model hears that it failed
            log_error("tool_failed", error, tool=name)
            use.give_back()
            return Observation(text="tool_failed: The tool failed.", failure="tool_failed")


def act_name(number: int) -> str:
    """Return the name of the hold for this act."""
    return f"act:{number}"


def _bounded(seen: Observation) -> Observation:
    return replace(seen, text=seen.text[:OBSERVATION_CHARACTERS_MAX])


def _task_file(file: StoredFile) -> TaskFile:
    return TaskFile(name=file.name, content=file.content, content_type=file.content_type, is_artifact=file.is_artifact)
