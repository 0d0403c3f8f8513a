"""Spend caps of API keys as budgets of the owner's account: exact, since every hold is checked against the caps."""

from collections.abc import Mapping, Sequence

from shared.kernel.clock import HOUR, Clock, Millis
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.about import about
from shared.ledger.commands import BudgetClaim
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.users.api_keys import ApiKey
from shared.users.principal import KeyUse
from shared.users.spend_cap import window

GRACE: Millis = HOUR
"""Time for which a budget outlives the window, so that a call of the last moment still counts against the budget."""


def claims(key: KeyUse | None, now: Millis) -> tuple[BudgetClaim, ...]:
    """Return the budgets that a hold in this key's name counts against, besides the balance. Empty without a cap."""
    if key is None or key.cap is None:
        return ()
    current = window(key.cap.period, now)
    ends_at = None if current.ends_at is None else current.ends_at + GRACE
    return (BudgetClaim(id=f"{key.id}:{current.name}", limit=key.cap.amount, expires_at=ends_at),)


class KeyBudgets:
    """The use of keys' caps."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def used(self, uid: Uid, keys: Sequence[ApiKey]) -> Mapping[str, Micro]:
        """Return the µcr that each capped key has spent or set aside in the current window."""
        capped = [key for key in keys if key.cap is not None]
        budgets = self._ledger.budgets(uid) if capped else {}
        now, used = self._clock.now(), dict[str, Micro]()
        for key in capped:
            (claim,) = claims(key.principal.key, now)
            budget = budgets.get(claim.id)
            used[key.id] = Micro(budget.used + budget.held if budget else 0)
        return used

    def forget_budget(self, key: ApiKey) -> None:
        """Let the budget of a revoked key end in an hour, unless the window has an end of its own.

        An account holds a limited number of budgets. An empty hold renews the claim with an end. Until then the budget
        counts, for instances that do not know of the revocation. If this fails, an unused budget remains.
        """
        if key.cap is None or key.cap.period != "total":
            return
        now = self._clock.now()
        (claim,) = claims(key.principal.key, now)
        ending = BudgetClaim(id=claim.id, limit=claim.limit, expires_at=now + GRACE)
        hold = NamedHold(self._ledger, key.uid, operation_id("forget_budget", key.id))
        try:
            if claim.id in self._ledger.budgets(key.uid):
                hold.place(
                    Micro(0),
                    purpose="none",
                    lifetime=GRACE,
                    principal=f"key:{key.id}",
                    budgets=(ending,),
                    about=about("adjustment", principal=f"key:{key.id}"),
                )
                hold.release(is_unused=True)
        except DomainError as error:
            log("budget_not_forgotten", "WARNING", key_id=key.id, code=error.code)
