"""Spending of a task: holds under the task's budget, captured for recorded steps only, by repeatable operations.

The task, the work and the fence of the placing worker name a hold. So the next worker knows the names of all holds that
an overtaken worker may have left. The next worker releases them and asks the model again: a model's answer that was
never recorded costs its user nothing.

The task's budget is a budget in the account's state. States forget budgets after a while, so a task's budget has
epochs. Each epoch begins when everything before is settled, with the remaining amount as the limit.
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress

from shared.ai.agents.task import DueCharge, Task
from shared.ai.models.catalogue import Model
from shared.ai.tokens import Usage
from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.ids import OperationId, operation_id
from shared.kernel.money import Micro
from shared.ledger.about import Purpose, about
from shared.ledger.commands import BudgetClaim
from shared.ledger.errors import AccountClosed, BudgetExceeded, HoldNotFound, HoldResolved, InsufficientCredits
from shared.ledger.holding import GONE
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.ledger.usage import USES
from shared.sagas.metering import key_budgets
from shared.sagas.metering.call_cost import CallCost
from shared.users.principal import KeyUse
from shared.users.spend_cap import SpendCap

PURPOSE = "agent"
HOLD_ATTEMPTS_MAX = 4
THOUGHTS_AHEAD = 2
"""Thoughts whose highest cost a hold sets aside, if that is free. Most thoughts cost far less, so it serves several."""
BUDGET_LIFETIME: Millis = 20 * MINUTE
EPOCH_FRESH: Millis = 8 * MINUTE
"""Age of an epoch's last claim up to which the epoch is continued, so that the budget outlives the running slice."""


class CreditsHeld(Exception):
    """Refusal because other holds of the account have the missing credits: they may be released, so try again."""

    def __init__(self, refusal: BudgetExceeded | InsufficientCredits) -> None:
        super().__init__(refusal.detail)
        self.code = refusal.code


class TaskBudget:
    """The credits of one task, as spent by one worker.

    `fence` numbers the worker's lease and is part of each hold's name. `markup_percent` is added to prices of models.
    """

    def __init__(self, ledger: Ledger, clock: Clock, task: Task, fence: int, markup_percent: int = 0) -> None:
        self._markup_percent = markup_percent
        self._ledger = ledger
        self._clock = clock
        self._task_id, self._uid = task.id, task.uid
        self._fence = fence
        self._limit = Micro(task.budget - task.epoch_spent)
        self._budget_id = f"task:{task.id}:{task.epoch}"
        self._spender, self._key = task.spender, _key_of(task)
        self._lock = threading.Lock()
        self._for_thoughts: BudgetHold | None = None
        self.claimed_at: Millis = task.claimed_at

    @property
    def budgets(self) -> tuple[BudgetClaim, ...]:
        """Claims on the task's budget and on the cap of the API key that the task spends for, as of now."""
        now = self._clock.now()
        with self._lock:
            self.claimed_at = max(self.claimed_at, now)
        own = BudgetClaim(id=self._budget_id, limit=self._limit, expires_at=now + BUDGET_LIFETIME)
        return (own, *key_budgets.claims(self._key, now))

    def rest_for(self, cost: CallCost, owed: Iterable[DueCharge]) -> "BudgetHold | None":
        """Return the unspent part of the hold for thoughts, if it covers a thought of this cost at most; else None.

        `owed` are the due charges. If none is due for the hold, the hold has ended or was never used.
        """
        hold = self._for_thoughts
        due = [each.cost for each in owed if hold is not None and each.operation == hold.operation]
        if hold is None or not due or hold.amount - sum(due) < cost.at_most:
            return None
        return BudgetHold(operation=hold.operation, amount=Micro(hold.amount - sum(due)), limited_by="")

    def hold_for_thoughts(self, name: str, model: Model, cost: CallCost) -> "BudgetHold":
        """Hold `THOUGHTS_AHEAD` times the highest cost of a thought if that is free, else as `hold` does."""
        self._for_thoughts = self.hold(name, model, cost, ahead=THOUGHTS_AHEAD)
        return self._for_thoughts

    def hold(
        self, name: str, model: Model, cost: CallCost, purpose: Purpose = "agent", *, ahead: int = 1
    ) -> "BudgetHold":
        """Hold `ahead` times all that a call may cost, or once if that is not free, or less if even that is not.

        If the budget is too small, at least `cost.least_bound` is held. If the balance is too small, at least
        `cost.least` is held. `purpose`: a thought (`agent`) or the call of a tool (`tool`).

        Raises BudgetExceeded, InsufficientCredits and the ledger's other refusals. Raises CreditsHeld if the least
        would fit once other holds were released.
        """
        operation = self.operation(name, self._fence)
        wanted, limited_by = Micro(cost.at_most * ahead), ""
        for attempt in range(1, HOLD_ATTEMPTS_MAX + 1):
            try:
                self._ledger.holding(
                    self._uid,
                    wanted,
                    operation=operation,
                    purpose=PURPOSE,
                    expected_step=Micro(max(1, wanted)),
                    principal=self._spender,
                    call=cost.bound_for(wanted),
                    budgets=self.budgets,
                    tags=(("model", model.id),),
                    about=about(
                        purpose,
                        ref=("agent_task", self._task_id),
                        model=model.id,
                        price_version=model.price_version,
                        markup_percent=self._markup_percent,
                        principal=self._spender,
                    ),
                )
                return BudgetHold(operation=operation, amount=wanted, limited_by=limited_by)
            except (BudgetExceeded, InsufficientCredits) as refusal:
                room = _room(refusal)
                at_least = cost.least_bound if isinstance(refusal, BudgetExceeded) else cost.least
                if room < at_least or attempt == HOLD_ATTEMPTS_MAX:
                    if _within(refusal) >= at_least:
                        raise CreditsHeld(refusal) from refusal
                    raise _least_refused(refusal, at_least) from refusal
                wanted = Micro(min(room, wanted, cost.at_most))
                limited_by = refusal.code if wanted < cost.at_most else ""
        raise AssertionError("the last attempt returns or raises")

    def captured(self, operation: OperationId, owed: Sequence[DueCharge]) -> Micro:
        """Charge for all recorded steps that are due by this hold, and return the charged amount (µcr).

        A repeated call returns the first charge. If the hold has ended, return the amount that was captured then; 0 if
        the hold or the account is gone.
        """
        hold = NamedHold(self._ledger, self._uid, operation)
        try:
            return Micro(hold.capture(Micro(sum(each.cost for each in owed)), _counts(owed)).amount)
        except HoldResolved:
            return hold.captured_so_far()
        except (HoldNotFound, AccountClosed):
            return Micro(0)

    def give_back(self, operation: OperationId, *, is_unused: bool = True) -> None:
        """Release a hold whose work was not recorded.

        Do nothing if there is no such hold. See `Release` for `is_unused`.
        """
        with suppress(*GONE):
            NamedHold(self._ledger, self._uid, operation).release(is_unused=is_unused)

    def give_back_of(self, names: Iterable[str], fences: range) -> None:
        """End the holds that workers with these fences, whose leases were taken over, may have left for this work.

        The accrued part of each hold is charged.
        """
        wanted = list(names)
        for fence in fences:
            for name in wanted:
                self.give_back(self.operation(name, fence), is_unused=False)

    def operation(self, name: str, fence: int) -> OperationId:
        """Return the operation that places the hold for the work `name`, by the worker with this fence."""
        return operation_id("agent", self._task_id, name, str(fence))


class BudgetHold:
    """A placed hold of `amount` µcr.

    `limited_by` is the code of the refusal that made the hold smaller; empty if none did.
    """

    __slots__ = ("amount", "limited_by", "operation")

    def __init__(self, *, operation: OperationId, amount: Micro, limited_by: str) -> None:
        self.operation = operation
        self.amount = amount
        self.limited_by = limited_by


def is_epoch_over(task: Task, now: Millis, *, is_takeover: bool) -> bool:
    """Return True if the task needs a budget under a new name, since the old budget can no longer be trusted.

    The old budget may be forgotten, or count a hold that nobody will capture. `is_takeover`: another worker's lease was
    taken over.
    """
    return is_takeover or task.epoch == 0 or now - task.claimed_at > EPOCH_FRESH


def _key_of(task: Task) -> KeyUse | None:
    if task.key_cap is None:
        return None
    cap = SpendCap(amount=task.key_cap["amount"], period=task.key_cap["period"])
    return KeyUse(id=task.key_cap["id"], scopes=frozenset(), cap=cap)


def _counts(owed: Sequence[DueCharge]) -> tuple[tuple[str, int], ...]:
    """Return the sums of the tokens, and the number of uses if there are several, for the journal."""
    tokens = Usage(
        input_tokens=sum(each.usage.input_tokens for each in owed),
        output_tokens=sum(each.usage.output_tokens for each in owed),
    )
    return tokens.counts if len(owed) == 1 else (*tokens.counts, (USES, len(owed)))


def _room(refusal: BudgetExceeded | InsufficientCredits) -> int:
    params = refusal.params
    if isinstance(refusal, InsufficientCredits):
        return int(params["available"])
    return int(params["limit"]) - int(params["used"]) - int(params["held"])


def _least_refused(refusal: BudgetExceeded | InsufficientCredits, least: int) -> BudgetExceeded | InsufficientCredits:
    """Return the refusal with `required` as the least useful amount, in place of the whole wanted amount."""
    params = refusal.params
    required = max(least, _room(refusal) + 1)
    if isinstance(refusal, InsufficientCredits):
        return InsufficientCredits(available=int(params["available"]), held=int(params["held"]), required=required)
    return BudgetExceeded(
        budget=str(params["budget"]),
        limit=int(params["limit"]),
        used=int(params["used"]),
        held=int(params["held"]),
        required=required,
    )


def _within(refusal: BudgetExceeded | InsufficientCredits) -> int:
    """Return the available amount (µcr) if all present holds were released."""
    return _room(refusal) + int(refusal.params["held"])
