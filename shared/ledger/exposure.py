"""Exposure: what open calls may still cost beyond what they hold, and who is admitted on an expectation despite it.

A call holds what it is expected to cost; its provider may bill up to its bound: all that the input can cost, and, where
ending the call ends no billing, all the output that was asked for. The gap between the two is the call's *exposure*.
The exposures of all open holds together are to fit what is free, in the balance and in each budget: then every call can
pay its bound, and nothing is absorbed while bounds are true. So nothing else may spend what open calls are exposed to.
Caps know no exception. The balance may be exceeded by `risk_allowed`, so that a user whose credits run out can still
ask something.
"""

from collections.abc import Iterable

from shared.kernel.clock import DAY, Millis
from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.account import Account, Budget, Hold
from shared.ledger.commands import BudgetClaim, PlaceHold
from shared.ledger.errors import InsufficientCredits
from shared.ledger.fold import live_budgets

ABSORBED_WINDOW: Millis = 7 * DAY
"""Absorbed amounts are added up over windows of this length, as losses are; an entry says which window is its own."""
ABSORBED_MAX = MICRO_PER_CREDIT
"""In one window a user can make the platform absorb no more than this (µcr) while the bounds of calls are true.

So much may the output of a user's only open call exceed the balance by; see `INPUT_RISK_ALONE_MAX` for the input.
"""
ABSORBED_AT_ONCE_MAX = ABSORBED_MAX // 4
"""The same while several calls are open (µcr): short prompts may be asked at once until the credits are used up."""
INPUT_RISK_ALONE_MAX = 25 * MICRO_PER_CREDIT
"""So much (µcr) may the input's bound of a user's only open call exceed the balance by.

The bound of a text is its bytes: of Russian or Hindi prose five times what a provider counts. Whoever can pay what is
expected is served, and all that is free is held. A user who makes this cost more than `USER_CEILINGS_FROM` is held at
ceilings from then on.
"""
OUTPUT_SHARE_ALONE, OUTPUT_SHARE = 2, 4
"""The output asked for takes at most a half of what is free, beside other calls a quarter: more calls will come."""
OUTPUT_EXPECTED_TIMES = 4
"""So many times the expected output may be asked for where little is free."""
USER_CEILINGS_FROM = ABSORBED_MAX // 2
"""A user for whom more (µcr) was absorbed within one window is held at ceilings from then on, and allowed no risk."""
KEY_CEILINGS_FROM = ABSORBED_MAX // 4
"""The same for one API key: a user hands out many, so that one comes under it sooner than all together."""


def exposure(holds: Iterable[Hold], budget: str | None = None) -> int:
    """Return what these holds may still cost beyond what they hold (µcr); of those that name `budget`, if given."""
    return sum(hold.exposure for hold in holds if budget is None or budget in hold.budgets)


def spendable(account: Account, risk: int = 0) -> int:
    """Return what may be set aside or spent (µcr): all but what open calls are exposed to beyond the risk."""
    return max(0, min(account.available, account.available - exposure(account.holds.values()) + risk))


def growth_risk(account: Account, now: Millis) -> int:
    """Return the risk that is allowed for the growth of an open call (µcr)."""
    return risk_allowed(account, now, is_alone=_open_calls(account) <= 1)


def risk_allowed(account: Account, now: Millis, *, is_alone: bool) -> int:
    """Return how much (µcr) the exposures may exceed the balance by: more for the only call than for calls at once.

    What was absorbed in this window lowers it. Zero for a user who is held at ceilings.
    """
    most = ABSORBED_MAX if is_alone else ABSORBED_AT_ONCE_MAX
    known = account.absorbed.get(account.uid)
    if known is None:
        return most
    if known.most > USER_CEILINGS_FROM:
        return 0
    return max(0, most - (known.amount if known.window == window_of(now) else 0))


def _open_calls(account: Account) -> int:
    return sum(hold.input_at_most is not None for hold in account.holds.values())


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

    Raises InsufficientCredits if more risk would be taken than is allowed. Whether the amount is there, is not asked.
    """
    bound = bound_of(account, command)
    amount = bound if is_held_at_ceilings(account, command.principal) and command.call else command.amount
    kept, risk = exposure(account.holds.values()), _input_risk_of(account, command, now)
    free = account.available - kept
    if bound > max(0, free + risk):
        raise refusal(account, risk=risk, required=max(amount, bound - max(0, risk - kept)))
    return amount if bound <= free else max(amount, free)


def output_asked(account: Account, command: PlaceHold, now: Millis) -> int | None:
    """Return what the output of an admitted call may cost (µcr); None if its hold is all that the output ever costs.

    A provider that bills to the end is asked for as much as is kept free for it: a part of what is free, so that other
    calls are admitted beside this one, but some times the expected output where the risk allows it.
    """
    call = command.call
    if call is None or call.output_at_most is None:
        return None
    bound = bound_of(account, command)
    expected = bound - call.input_at_most
    free = account.available - exposure(account.holds.values()) - bound
    room = [_claimed_room(account, claim, now) - bound for claim in command.budgets]
    part = min([free, *room]) // (OUTPUT_SHARE if _open_calls(account) else OUTPUT_SHARE_ALONE)
    risky = min((free + _risk_of(account, command, now)) // 2, (OUTPUT_EXPECTED_TIMES - 1) * expected)
    more = min([max(part, risky), max(0, account.available - command.amount), *room])
    return min(max(expected, call.output_at_most), expected + max(0, more))


def _claimed_room(account: Account, claim: BudgetClaim, now: Millis) -> int:
    """Return what may still be used under a cap (µcr), beside what the holds that name it may cost."""
    budgets = live_budgets(account.budgets, account.holds, now)
    known = budgets.get(claim.id, Budget(id=claim.id, limit=claim.limit))
    return claim.limit - known.used - known.held - exposure(account.holds.values(), claim.id)


def _input_risk_of(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return how much (µcr) the bound of this command may exceed the balance by."""
    risk = _risk_of(account, command, now)
    return INPUT_RISK_ALONE_MAX if risk and _open_calls(account) == 0 else risk


def _risk_of(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return the risk that is allowed for this command: none for what is no call."""
    if command.call is None:
        return 0
    return risk_allowed(account, now, is_alone=_open_calls(account) == 0)


def refusal(account: Account, *, required: int, risk: int = 0, own: Hold | None = None) -> InsufficientCredits:
    """Build the refusal of an amount that is more than can be spent. What other calls are exposed to counts as held."""
    free = spendable(account, risk)
    kept = account.available - free - (0 if own is None else own.exposure)
    return InsufficientCredits(available=free, held=account.held + max(0, kept), required=required)
