"""Exposure: the cost of open calls beyond their holds, and the admission of calls whose bound does not fit.

A call holds its expected cost. Its provider may bill up to the call's bound: the highest cost of the input and, if
ending the call does not end billing, of all the requested output. The gap between expected cost and bound is the call's
*exposure*. The exposures of all open holds together must fit the free credits, in the balance and in each budget. Then
every call can pay its bound, and nothing is absorbed while bounds are true. So no other command may spend the credits
that open calls are exposed to. Caps have no exception. The exposures may exceed the balance by `risk_allowed`, so that
a user with few credits left can still make a call.
"""

from collections.abc import Iterable

from shared.kernel.clock import DAY, Millis
from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.account import Account, Budget, Hold
from shared.ledger.commands import BudgetClaim, PlaceHold
from shared.ledger.errors import InsufficientCredits
from shared.ledger.fold import live_budgets

ABSORBED_WINDOW: Millis = 7 * DAY
"""Length of the windows over which absorbed amounts are added up, the same as for losses. An entry names its window."""
ABSORBED_MAX = MICRO_PER_CREDIT
"""Largest amount (µcr) that the platform absorbs for a user in one window, while the bounds of calls are true.

The output of a user's only open call may exceed the balance by this amount. See `INPUT_RISK_ALONE_MAX` for the input.
"""
ABSORBED_AT_ONCE_MAX = ABSORBED_MAX // 4
"""Limit in place of `ABSORBED_MAX` (µcr) while several calls are open.

Short prompts may run at once until the credits are used up.
"""
INPUT_RISK_ALONE_MAX = 25 * MICRO_PER_CREDIT
"""Largest amount (µcr) by which the input's bound of a user's only open call may exceed the balance.

The bound of a text is its bytes: five times a provider's count for Russian or Hindi prose. A user who can pay the
expected cost is served, and all free credits are held. If this costs the platform more than `USER_CEILINGS_FROM`, the
user's calls hold their ceilings from then on.
"""
OUTPUT_SHARE_ALONE, OUTPUT_SHARE = 2, 4
"""Divisors of the free credits for a call's output: half for the only call, else a quarter, since more calls will come.
"""
OUTPUT_EXPECTED_TIMES = 4
"""Largest multiple of the expected output that is requested where few credits are free."""
USER_CEILINGS_FROM = ABSORBED_MAX // 2
"""Absorbed amount (µcr) in one window above which a user's calls hold their ceilings, and no risk is allowed."""
KEY_CEILINGS_FROM = ABSORBED_MAX // 4
"""Limit like `USER_CEILINGS_FROM` (µcr) for one API key. A key's limit is lower, since a user hands out many keys."""


def exposure(holds: Iterable[Hold], budget: str | None = None) -> int:
    """Return the sum of the holds' exposures (µcr): the most that their calls can cost beyond the amounts set aside.

    With `budget`, count only the holds that name this budget.
    """
    return sum(hold.exposure for hold in holds if budget is None or budget in hold.budgets)


def spendable(account: Account, risk: int = 0) -> int:
    """Return the credits (µcr) that may be set aside or spent: the available credits less exposures beyond `risk`."""
    return max(0, min(account.available, account.available - exposure(account.holds.values()) + risk))


def growth_risk(account: Account, now: Millis) -> int:
    """Return the amount (µcr) by which the exposures may exceed the balance when the hold of an open call grows."""
    return risk_allowed(account, now, is_alone=_open_calls(account) <= 1)


def risk_allowed(account: Account, now: Millis, *, is_alone: bool) -> int:
    """Return the amount (µcr) by which the exposures may exceed the balance. A user's only call may exceed by more.

    Amounts that the platform absorbed in this window lower the answer. Zero for a user whose calls must hold their
    highest cost; see `is_held_at_ceilings`.
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
    """Return True if the calls of this principal must hold their highest cost.

    This is so once the platform has absorbed too much for the user or for this API key.
    """
    of_user, of_key = account.absorbed.get(account.uid), account.absorbed.get(principal)
    is_user_over = of_user is not None and of_user.most > USER_CEILINGS_FROM
    return is_user_over or (of_key is not None and principal != account.uid and of_key.most > KEY_CEILINGS_FROM)


def window_of(now: Millis) -> int:
    """Return the number of the window of absorbed amounts that contains the time `now` (ms)."""
    return now // ABSORBED_WINDOW


def bound_of(account: Account, command: PlaceHold) -> int:
    """Return the amount (µcr) that must fit each budget: the hold with the input at its bound.

    If the calls of this principal are held at ceilings, return the highest cost of the whole call.
    """
    call = command.call
    if call is None:
        return command.amount
    if is_held_at_ceilings(account, command.principal):
        return max(command.amount, call.at_most)
    return command.amount + max(0, call.input_at_most - call.input_held)


def admitted(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return the credits (µcr) that the hold sets aside.

    This is the expected cost if the bound fits the free credits, else all free credits, but at least the expected cost.
    Raises InsufficientCredits if the call would take more risk than is allowed. Does not check that the amount is
    available.
    """
    bound = bound_of(account, command)
    amount = bound if is_held_at_ceilings(account, command.principal) and command.call else command.amount
    kept, risk = exposure(account.holds.values()), _input_risk_of(account, command, now)
    free = account.available - kept
    if bound > max(0, free + risk):
        raise refusal(account, risk=risk, required=max(amount, bound - max(0, risk - kept)))
    return amount if bound <= free else max(amount, free)


def output_asked(account: Account, command: PlaceHold, now: Millis) -> int | None:
    """Return the highest cost of an admitted call's output (µcr); None if the output never costs more than the hold.

    If the provider bills to the end, the requested output costs no more than the credits kept free for this call. The
    call gets a part of the free credits, so that other calls are admitted too. Where the risk allows, the call gets up
    to `OUTPUT_EXPECTED_TIMES` the expected output.
    """
    call = command.call
    if call is None or call.output_at_most is None:
        return None
    bound = bound_of(account, command)
    expected = bound - call.input_at_most
    free = account.available - exposure(account.holds.values()) - bound
    room = [claimed_room(account, claim, now) - bound for claim in command.budgets]
    part = min([free, *room]) // (OUTPUT_SHARE if _open_calls(account) else OUTPUT_SHARE_ALONE)
    risky = min((free + _risk_of(account, command, now)) // 2, (OUTPUT_EXPECTED_TIMES - 1) * expected)
    more = min([max(part, risky), max(0, account.available - command.amount), *room])
    return min(max(expected, call.output_at_most), expected + max(0, more))


def claimed_room(account: Account, claim: BudgetClaim, now: Millis) -> int:
    """Return the room under a cap (µcr), less the highest cost of the open holds that name the cap."""
    budgets = live_budgets(account.budgets, account.holds, now)
    known = budgets.get(claim.id, Budget(id=claim.id, limit=claim.limit))
    return claim.limit - known.used - known.held - exposure(account.holds.values(), claim.id)


def _input_risk_of(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return the amount (µcr) by which the bound of this command may exceed the balance."""
    risk = _risk_of(account, command, now)
    return INPUT_RISK_ALONE_MAX if risk and _open_calls(account) == 0 else risk


def _risk_of(account: Account, command: PlaceHold, now: Millis) -> int:
    """Return the risk (µcr) that is allowed for this command: zero unless the command is for a call."""
    if command.call is None:
        return 0
    return risk_allowed(account, now, is_alone=_open_calls(account) == 0)


def refusal(account: Account, *, required: int, risk: int = 0, own: Hold | None = None) -> InsufficientCredits:
    """Build the refusal of a hold that requires more than the spendable credits (µcr).

    Credits that other calls are exposed to count as held.
    """
    free = spendable(account, risk)
    kept = account.available - free - (0 if own is None else own.exposure)
    return InsufficientCredits(available=free, held=account.held + max(0, kept), required=required)
