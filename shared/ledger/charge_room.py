"""Room for charges that follow their work: the credits and calls that an account has free now. Pure."""

from dataclasses import dataclass

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.errors import DomainError
from shared.ledger.account import Account
from shared.ledger.commands import BudgetClaim, RateLimit
from shared.ledger.exposure import claimed_room, is_held_at_ceilings, spendable
from shared.ledger.limits import CALLS_MAX, calls_admitted, within_budgets


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRoom:
    """Largest amount (µcr) that a charge could take now, and the number of calls that the rate limit admits now.

    `pause`: the time (ms) after which the rate limit admits one call more.
    """

    amount: int
    calls: int = CALLS_MAX
    pause: Millis = 0


NO_ROOM = ChargeRoom(amount=0, calls=0)


def charge_room(
    account: Account, claims: tuple[BudgetClaim, ...], *, principal: str, rate: RateLimit | None, now: Millis
) -> ChargeRoom:
    """Return the room in the balance and in every claimed budget, beside the highest cost of the open calls.

    There is no room in a frozen or closed account, and for a principal whose calls hold their highest cost.
    """
    if account.status != "open" or is_held_at_ceilings(account, principal):
        return NO_ROOM
    try:
        within_budgets(account, claims, 0, now)
    except DomainError:
        return NO_ROOM
    rooms = [claimed_room(account, claim, now) for claim in claims]
    amount = max(0, min([spendable(account), *rooms]))
    pause = 0 if rate is None else -(-MINUTE // rate.per_minute)
    return ChargeRoom(amount=amount, calls=calls_admitted(account, rate, now), pause=pause)
