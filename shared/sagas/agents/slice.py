"""Bounded slice of a task: think, act, observe. Each step is recorded before the step's cost is charged.

A message, or the sweep, calls for a slice; the lease decides which worker runs the slice. A worker may die between any
two commits. The next worker finds the remaining work in the task. That work is to charge for owed steps, release the
holds of an overtaken worker, run the pending tools, or think.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from shared.ai.agents.documents import task_of
from shared.ai.agents.live import shown_task
from shared.ai.agents.store import AgentTaskStore
from shared.ai.agents.task import ENDED, LIVE, DueCharge, Task, TaskStep
from shared.ai.agents.thinking import ThinkingModel, ThinkRequest, ToolSpec
from shared.ai.models.catalogue import Catalogue, Model
from shared.ai.models.tariff import Rate, Tariff
from shared.ai.ports import UpstreamTimedOut, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Data, Documents
from shared.kernel.errors import DomainError, NotFound, Rejected
from shared.kernel.events import Alerts, Publisher, TopicMessage, log, log_error
from shared.ledger.errors import AccountClosed, RateLimited
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.sagas.agents.budget import BudgetHold, CreditsHeld, TaskBudget, is_epoch_over
from shared.sagas.agents.prompt import OUTPUT_TOKENS_LEAST, AgentPrompt, build
from shared.sagas.agents.task_record import LEASE_SECONDS, ClaimedTask
from shared.sagas.agents.thought_cost import NOTHING, ThoughtCost
from shared.sagas.agents.tool_calls import Acts, act_name
from shared.sagas.agents.toolbox import PAID, spec_of, usable_tools
from shared.sagas.agents.tools.tool import Tool
from shared.sagas.engine.leases import LeaseLost, Leases
from shared.sagas.metering.authority import Authority
from shared.sagas.metering.call_cost import CallCost
from shared.sagas.metering.call_losses import CallLosses
from shared.users.end_users import EndUsers
from shared.users.ports import IdentityUnavailable

TOPIC = "agent-steps"
SLICE_SECONDS_MAX = 120.0
ROUNDS_MAX = 8
"""Most rounds of a slice. After the last round, or after `SLICE_SECONDS_MAX`, nothing new begins.

So the slice ends well before the time limit of its function (540 s).
"""
STEPS_MAX = 1_000
STEP_BYTES_PER_TOKEN = 32
"""Stored bytes of steps for each token of a prompt: far above a text's 4, since a thought stores its calls thrice."""
ATTEMPTS_MAX = 5
"""Most claims of a task in a row without progress."""
UNANSWERED_MAX = 1
"""Thoughts in a row that may be charged without a result and still be followed by another. One more pauses the task."""
BACKOFF: Millis = 15 * SECOND
BACKOFF_MAX: Millis = 10 * MINUTE
GRACE: Millis = 30 * SECOND
"""Time for a message to arrive before the sweep sends another one."""


class AgentSlice:
    """Runs slices of tasks. Safe to share between threads and instances."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        documents: Documents,
        ledger: Ledger,
        catalogue: Catalogue,
        tariff: Tariff,
        thinking: ThinkingModel,
        tools: Mapping[str, Tool],
        authority: Authority,
        end_users: EndUsers,
        publisher: Publisher,
        alerts: Alerts,
        clock: Clock,
        losses: Losses | None = None,
    ) -> None:
        self._tasks = AgentTaskStore(documents)
        self._leases = Leases(documents, clock)
        self._ledger = ledger
        self._catalogue = catalogue
        self._tariff = tariff
        self._thinking = thinking
        self._tools = tools
        self._authority = authority
        self._end_users = end_users
        self._acts = Acts(tools, authority, end_users, clock)
        self._publisher = publisher
        self._alerts = alerts
        self._clock = clock
        self._losses = CallLosses(losses)

    def run(self, task_id: str) -> None:
        """Run one slice of this task, if the task is live and no other worker has the lease.

        If the slice fails, the task records the failure for a later retry. No failure is raised. If the user asks to
        cancel during the slice, end the task, even if the slice has failed.
        """
        if self._is_cancel_due_after(task_id):
            self._is_cancel_due_after(task_id)

    def _is_cancel_due_after(self, task_id: str) -> bool:
        """Run one slice. Return True if the next slice has to end the task, since the user has asked to cancel."""
        claimed = self._claimed(task_id)
        if claimed is None:
            log("agent_task_not_taken", task_id=task_id)
            return False
        try:
            self._work(claimed)
        except LeaseLost:
            log("agent_task_overtaken", "WARNING", task_id=task_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not be tried for ever
            self._set_aside(claimed, error)
        return claimed.is_cancel_due

    def tell(self, task_id: str) -> None:
        """Publish a message that calls for a slice of the task. If that fails, the sweep publishes the message."""
        try:
            self._publisher.publish([TopicMessage(topic=TOPIC, data={"task_id": task_id})])
        except DomainError as error:
            log("agent_step_not_published", "WARNING", task_id=task_id, code=error.code)

    # Claiming ---------------------------------------------------------------------------------------------------

    def _claimed(self, task_id: str) -> ClaimedTask | None:
        """Claim the task for this worker, and mark it as running in the same commit.

        Return None if the task is gone or over, if a paused task was not cancelled, or if another worker has the lease.
        """
        document = self._tasks.for_work(task_id)
        if document is None:
            return None
        task = task_of(document)
        if task.status in ENDED or (task.status not in LIVE and not task.is_cancel_asked):
            return None
        due_at = self._clock.now() + LEASE_SECONDS * SECOND
        running = replace(task, attempts=task.attempts + 1, due_at=due_at)
        if task.status in LIVE:
            running = replace(running, status="running", reason=None)
        changes: Data = {
            "attempts": running.attempts,
            "status": running.status,
            "reason": running.reason,
            "due_at": to_datetime(due_at),
        }
        leased = self._leases.claim_read(document, LEASE_SECONDS, changes, shown_task(running))
        if leased is None:
            return None
        files = self._tasks.files(task) if task.files else ()
        steps = self._tasks.newest_steps(task, bytes_most=self._step_bytes(task))
        return ClaimedTask(leased, self._clock, running, steps, files)

    def _step_bytes(self, task: Task) -> int:
        """Return the bytes of steps that can fit into a prompt; 0 without the model, since no thought follows then."""
        with suppress(DomainError):
            return self._catalogue.chat(task.model).context_window * STEP_BYTES_PER_TOKEN
        return 0

    def _taken_over(self, claimed: ClaimedTask) -> TaskBudget:
        """Settle the steps and holds of earlier workers, and return the task's budget."""
        task = claimed.task
        is_takeover = claimed.fence - 1 != task.clean_fence
        before = self._budget(task, claimed.fence)
        claimed.settle(before)
        if is_takeover:
            log("agent_task_taken_over", "WARNING", task_id=task.id, fence=claimed.fence)
            before.give_back_of(_unrecorded(task), range(task.clean_fence + 1, claimed.fence))
        if not is_epoch_over(task, self._clock.now(), is_takeover=is_takeover):
            return before
        claimed.note(epoch=claimed.fence, epoch_spent=claimed.task.spent)
        return self._budget(claimed.task, claimed.fence)

    def _budget(self, task: Task, fence: int) -> TaskBudget:
        return TaskBudget(self._ledger, self._clock, task, fence, self._tariff.markup_percent)

    # Working ----------------------------------------------------------------------------------------------------

    def _work(self, claimed: ClaimedTask) -> None:
        """Work on a claimed task until it ends, pauses, or the slice is over. In the last case send the next message.

        A cancelled task ends. A task that was claimed too often without progress is buried. A refusal that a later try
        may lift puts the task off; any other refusal pauses the task.
        """
        budget = self._taken_over(claimed)
        if claimed.task.is_cancel_asked:
            self._acts.forget_calls(claimed, budget, _pending(claimed))
            self._end(claimed, "cancelled", None)
            return
        if claimed.task.attempts > ATTEMPTS_MAX:
            self._bury(claimed, "stuck")
            return
        try:
            pause = self._settled_rounds(claimed, budget)
        except AccountClosed:
            self._end(claimed, "cancelled", AccountClosed.code)
            return
        except RateLimited as refusal:
            self._put_off(claimed, refusal.code, int(refusal.params["retry_after_ms"]), attempts=0)
            return
        except IdentityUnavailable as failure:
            self._put_off(claimed, failure.code, BACKOFF, attempts=0)
            return
        except (Rejected, NotFound) as refusal:
            self._pause(claimed, refusal.code)
            return
        if pause is not None:
            self._pause(claimed, pause)
        elif not self._is_over(claimed, conclude=True):
            claimed.close({"claimed_at": budget.claimed_at}, due_at=self._clock.now() + GRACE)
            if not claimed.is_cancel_due:
                self.tell(claimed.task.id)

    def _settled_rounds(self, claimed: ClaimedTask, budget: TaskBudget) -> str | None:
        """Run rounds, then charge for their steps, also after a refusal; see `_rounds`.

        After any other failure the next worker charges: the outcome of the last commit may be unknown.
        """
        try:
            pause = self._rounds(claimed, budget)
        except (Rejected, NotFound, IdentityUnavailable):
            claimed.settle(budget)
            raise
        claimed.settle(budget)
        return pause

    def _rounds(self, claimed: ClaimedTask, budget: TaskBudget) -> str | None:
        """Run rounds until the task or the slice is over.

        Return the reason for a pause, or None. Raises the ledger's refusals.
        """
        until = self._clock.monotonic() + SLICE_SECONDS_MAX
        for _ in range(ROUNDS_MAX):
            if self._clock.monotonic() >= until or self._is_over(claimed):
                return None
            pause = self._round(claimed, budget, until)
            claimed.refresh()
            if pause is not None:
                return pause
        return None

    def _is_over(self, claimed: ClaimedTask, *, conclude: bool = False) -> bool:
        """Return True if the task has ended or has to pause. If `conclude`, write the new status, too."""
        task = claimed.task
        end: tuple[str, str | None] | None = None
        if task.is_cancel_asked:
            end = ("cancelled", None)
        elif task.answer is not None:
            end = ("completed", None)
        elif not task.pending and (task.thoughts >= task.max_steps or task.steps >= STEPS_MAX):
            end = ("paused", "step_limit")
        if end is not None and conclude:
            self._end(claimed, *end)
        return end is not None

    def _round(self, claimed: ClaimedTask, budget: TaskBudget, until: float) -> str | None:
        """Run the pending tools, or think. Return the reason for a pause, or None. Raises the ledger's refusals."""
        if not claimed.task.pending:
            return self._think(claimed, budget)
        if any(act.body["tool"] in PAID for act in _pending(claimed)):
            # The rest of the hold for thoughts comes back, so that the budget has room for the tools.
            claimed.settle(budget)
        refusal = self._acts.run_calls(claimed, budget, _pending(claimed), until)
        if refusal is not None:
            raise refusal
        return None

    def _think(self, claimed: ClaimedTask, budget: TaskBudget) -> str | None:
        """Ask the model for the next thought, and record the thought with its due charge.

        Return the limit that cut the thought before any tool call, or None. Credits for the most that the thought can
        cost are held before the call. Unless earlier thoughts are due by the same hold, the hold is given back if the
        provider refuses or the lease is lost.
        """
        task = claimed.task
        allowed = usable_tools(task.tools, self._authority.check(task.uid, task.spender))
        model = self._catalogue.chat(task.model)
        rate = self._tariff.rate(model)
        specs = [spec_of(self._tools[name]) for name in allowed if name in self._tools]
        prompt = build(task, claimed.steps, sorted(claimed.files), specs, model)
        cost = _cost(rate, prompt)
        held = self._held(claimed, budget, model, cost)
        cap = _affordable(rate, prompt, held, cost)
        price = ThoughtCost(rate=rate, prompt=prompt, held=held.amount, cap=cap, is_reasoning=model.is_reasoning)
        try:
            thought = self._thinking.think(_request(model, prompt, specs, cap, self._end_users.of(task.uid)))
            usage = price.usage(thought)
            is_cut = thought.finish_reason == "length" and cap < prompt.output_at_most
            body = {
                "model": model.id,
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "estimated": thought.usage is None,
                "finish_reason": thought.finish_reason,
            }
            claimed.note(claimed_at=budget.claimed_at)
            claimed.record_thought(
                thought,
                body,
                DueCharge(step=task.steps + 1, operation=held.operation, cost=price.price(thought), usage=usage),
                is_cut=is_cut,
            )
        except (LeaseLost, Rejected) as error:
            if not claimed.is_due_by(held.operation):
                budget.give_back(held.operation, is_unused=isinstance(error, Rejected))
            raise
        except DomainError as error:
            if error.code in UNSAID:
                self._end_unsaid(claimed, budget, model, held, price, error)
            raise
        _log_step(claimed, model, usage, held)
        return held.limited_by if is_cut and not thought.calls else None

    def _held(self, claimed: ClaimedTask, budget: TaskBudget, model: Model, cost: CallCost) -> BudgetHold:
        """Return credits for the next thought: the rest of the present hold, or else a new hold.

        Before a new hold, charge for the thoughts of the present one, so that its rest is free.
        """
        rest = budget.rest_for(cost, claimed.task.owed)
        if rest is not None:
            return rest
        claimed.settle(budget)
        return budget.hold_for_thoughts(think_name(claimed.task), model, cost)

    def _end_unsaid(
        self,
        claimed: ClaimedTask,
        budget: TaskBudget,
        model: Model,
        held: BudgetHold,
        price: ThoughtCost,
        error: DomainError,
    ) -> None:
        """Charge a thought that our time limit has cut.

        If the provider failed instead, release the hold and let the platform bear the loss. Beyond the limit of such
        losses, charge the user.
        """
        task = claimed.task
        cost = price.bound if isinstance(error, UpstreamTimedOut) else price.unsaid
        if not isinstance(error, UpstreamTimedOut) and not self._losses.is_failure_charged(
            task.uid, error, call=held.operation, model=model.id, principal=task.spender, amount=cost
        ):
            if claimed.is_due_by(held.operation):
                claimed.settle(budget)
            else:
                budget.give_back(held.operation)
            return
        claimed.note(claimed_at=budget.claimed_at)
        claimed.record_unanswered(DueCharge(step=task.steps + 1, operation=held.operation, cost=cost, usage=NOTHING))
        claimed.settle(budget)

    # Ending -----------------------------------------------------------------------------------------------------

    def _end(self, claimed: ClaimedTask, status: str, reason: str | None, *, is_clean: bool = True) -> None:
        claimed.close({"status": status, "reason": reason, "attempts": 0}, due_at=None, is_clean=is_clean)
        task = claimed.task
        if not claimed.is_cancel_due:
            log("agent_task_ended", task_id=task.id, uid=task.uid, status=status, reason=reason, spent=task.spent)

    def _pause(self, claimed: ClaimedTask, code: str) -> None:
        """Pause the task with the reason `code`. The work so far stays, and `resume` continues the task.

        If the user has asked to cancel, end the task as cancelled instead.
        """
        self._end(claimed, "cancelled" if claimed.task.is_cancel_asked else "paused", code)

    def _put_off(
        self, claimed: ClaimedTask, reason: str, delay: Millis, *, attempts: int, is_clean: bool = True
    ) -> None:
        """Queue the task again, due after `delay`, with `reason` for its user."""
        waits: Data = {"status": "queued", "reason": reason, "attempts": attempts}
        claimed.close(waits, due_at=self._clock.now() + delay, is_clean=is_clean)

    def _bury(self, claimed: ClaimedTask, reason: str) -> None:
        """End the task as failed and alert an operator, since the task fails again and again.

        Its user may still resume the task.
        """
        self._end(claimed, "failed", reason, is_clean=False)
        if not claimed.is_cancel_due:
            self._alerts.alert("agent_task_dead", task_id=claimed.task.id, uid=claimed.task.uid, reason=reason)

    def _set_aside(self, claimed: ClaimedTask, error: Exception) -> None:
        """Put the task off after an error, each time for longer.

        After `ATTEMPTS_MAX` attempts, pause or fail the task.
        """
        code = error.code if isinstance(error, DomainError | CreditsHeld) else INTERNAL
        is_harmless = code in UNSAID or isinstance(error, CreditsHeld)
        task = claimed.task
        log_error("agent_slice_failed", error, task_id=task.id, code=code, attempt=task.attempts)
        try:
            if task.unanswered > UNANSWERED_MAX:
                claimed.note(unanswered=0)
                self._pause(claimed, UNANSWERED)
            elif task.attempts < ATTEMPTS_MAX:
                delay = min(BACKOFF << task.attempts, BACKOFF_MAX)
                self._put_off(claimed, code, delay, attempts=task.attempts, is_clean=is_harmless)
                if task.attempts == 1 and type(error) is UpstreamUnavailable:
                    # An empty or a broken answer: most providers give a whole one to the next request.
                    self.tell(task.id)
            elif is_harmless:
                self._pause(claimed, code)
            else:
                self._bury(claimed, code)
        except DomainError as failure:
            log("agent_task_left_to_its_lease", "WARNING", task_id=task.id, code=failure.code)


UNSAID = frozenset(
    {
        *("upstream_unavailable", "upstream_busy", "upstream_overloaded", "upstream_misconfigured"),
        *("upstream_rejected", "request_refused"),
    }
)
"""Codes of the errors of a model that has said nothing. No step was or will be recorded, so no hold has to stay."""


UNANSWERED = "charged_without_result"
"""Reason of a task that has paused because its thoughts were charged without a result."""


INTERNAL = "internal_error"
"""Reason of a task that our own fault has stopped."""


def think_name(task: Task) -> str:
    """Return the name of the hold for the task's next thought."""
    return f"think:{task.steps + 1}"


def _unrecorded(task: Task) -> list[str]:
    """Return the names under which a worker may have a hold that no step records."""
    return [act_name(number) for number in task.pending] or [think_name(task)]


def _pending(claimed: ClaimedTask) -> list[TaskStep]:
    """Return the tool calls that are still to be made, or to be repeated."""
    return [step for step in claimed.steps if step.number in claimed.task.pending]


def _cost(rate: Rate, prompt: AgentPrompt) -> CallCost:
    return CallCost.of(
        rate,
        input_expected=prompt.input_expected,
        input_at_most=prompt.input_at_most,
        output_least=OUTPUT_TOKENS_LEAST,
        output_at_most=prompt.output_at_most,
    )


def _affordable(rate: Rate, prompt: AgentPrompt, held: BudgetHold, cost: CallCost) -> int:
    """Return the most output tokens that the hold pays for, once the held part of the input is paid."""
    input_tokens = prompt.input_at_most if held.amount >= cost.least_bound else prompt.input_expected
    paid_for = rate.affordable_output(held.amount, input_tokens)
    return prompt.output_at_most if paid_for is None else max(1, min(paid_for, prompt.output_at_most))


def _request(model: Model, prompt: AgentPrompt, specs: Sequence[ToolSpec], cap: int, end_user: str) -> ThinkRequest:
    return ThinkRequest(
        model=model.upstream_model,
        messages=prompt.messages,
        tools=tuple(specs),
        max_output_tokens=cap,
        is_reasoning=model.is_reasoning,
        upstream=model.upstream,
        end_user=end_user,
    )


def _log_step(claimed: ClaimedTask, model: Model, usage: Usage, held: BudgetHold) -> None:
    task = claimed.task
    log(
        "agent_thought",
        task_id=task.id,
        uid=task.uid,
        step=task.steps,
        model=model.id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        held=held.amount,
        spent=task.spent,
    )
