"""Exposure: what open calls may still cost beyond what they hold, and who is admitted on an expectation despite it.

A call holds what its input is expected to cost; its provider may bill up to the input's bound. The gap between the two
is the call's *exposure*. The exposures of all open holds together are to fit what is free, in the balance and in each
budget: then every call can pay its bound, and nothing is absorbed while bounds are true. So nothing else may spend what
open calls are exposed to. Caps know no exception. Of the balance, `risk_allowed` may be exceeded, so that a user whose
credits run out can still ask something.
"""

from collections.abc import Iterable

from shared.kernel.clock import DAY, Millis
from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.account import Account, Hold
from shared.ledger.commands import PlaceHold
from shared.ledger.errors import InsufficientCredits

ABSORBED_WINDOW: Millis = 7 * DAY
"""Absorbed amounts are added up over windows of this length, as losses are; an entry says which window is its own."""
ABSORBED_MAX = 5 * MICRO_PER_CREDIT
"""In one window a user can make the platform absorb no more than this (µcr) while the bounds of calls are true."""
USER_CEILINGS_FROM = 2 * MICRO_PER_CREDIT
"""A user for whom more (µcr) was absorbed within one window is held at ceilings from then on, and allowed no risk."""
KEY_CEILINGS_FROM = MICRO_PER_CREDIT
"""The same for one API key: a user hands out many, so that one comes under it sooner than all together."""


def exposure(holds: Iterable[Hold], budget: str | None = None) -> int:
    """Return what these holds may still cost beyond what they hold (µcr); of those that name `budget`, if given."""
    return sum(hold.exposure for hold in holds if budget is None or budget in hold.budgets)


def spendable(account: Account, now: Millis) -> int:
    """Return what may be set aside or spent (µcr): all but what open calls are exposed to beyond `risk_allowed`."""
    kept = exposure(account.holds.values())
    return max(0, min(account.available, account.available - kept + risk_allowed(account, now)))


def risk_allowed(account: Account, now: Millis) -> int:
    """Return how much of the exposure (µcr) the balance need not cover: what is left of `ABSORBED_MAX` in this window.

    Zero for a user who is held at ceilings.
    """
    known = account.absorbed.get(account.uid)
    if known is None:
        return ABSORBED_MAX
    if known.most > USER_CEILINGS_FROM:
        return 0
    return max(0, ABSORBED_MAX - (known.amount if known.window == window_of(now) else 0))


def is_held_at_ceilings(account: Account, principal: str) -> bool:
    """Return True if too much was absorbed for the user, or for this key: its calls then hold all they may cost."""
    of_user, of_key = account.absorbed.get(account.uid), account.absorbed.get(principal)
    is_user_over = of_user is not None and of_user.most > USER_CEILINGS_FROM
    return is_user_over or (of_key is not None and principal != account.uid and of_key.most > KEY_CEILINGS_FROM)


def window_of(now: Millis) -> int:
    """Return the number of the window that `now` falls into."""
    return now // ABSORBED_WINDOW


def bound_of(account: Account, command: PlaceHold) -> int:
    """Return what has to fit each budget (µcr): the hold with the input at its bound, or at ceilings the whole call."""
    call = command.call
    if call is None:
        return command.amount
    if is_held_at_ceilings(account, command.principal):
        return max(command.amount, call.at_most)
    return command.amount + max(0, call.input_at_most - call.input_held)


def admitted(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return what the hold sets aside (µcr): what is expected if its bound fits what is free, else all that is free.

    Raises InsufficientCredits if not even the expectation is there, or if more risk would be taken than is allowed.
    """
    bound = bound_of(account, command)
    amount = bound if is_held_at_ceilings(account, command.principal) and command.call else command.amount
    kept, risk = exposure(account.holds.values()), risk_allowed(account, now)
    free = account.available - kept
    if amount > account.available or bound > free + risk:
        raise refusal(account, now, required=max(amount, bound - max(0, risk - kept)))
    return amount if bound <= free else max(amount, free)


def refusal(account: Account, now: Millis, *, required: int, own: Hold | None = None) -> InsufficientCredits:
    """Build the refusal of an amount that is more than can be spent. What other calls are exposed to counts as held."""
    free = spendable(account, now)
    kept = account.available - free - (0 if own is None else own.exposure)
    return InsufficientCredits(available=free, held=account.held + max(0, kept), required=required)
