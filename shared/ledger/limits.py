"""Limits of commands: bounds of values, rate, budgets, size of the state."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from shared.kernel.canonical import INTEGER_MAX, Json
from shared.kernel.clock import Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import LotId, is_safe_id
from shared.kernel.money import AMOUNT_MAX, format_credits
from shared.ledger.account import BUDGETS_KEPT_MAX, HELD_LOTS_MAX, TAKES_MAX, Account, Budget, Hold
from shared.ledger.books import Books
from shared.ledger.commands import Adjust, BudgetClaim, Command, Grant, RateLimit, Tags
from shared.ledger.errors import AccountFrozen, BudgetExceeded, LimitReached, RateLimited
from shared.ledger.exposure import exposure
from shared.ledger.fold import is_unused, live_budgets

T = TypeVar("T")

MICROS_PER_MINUTE = 60_000_000
TOLD_MAX = 8
"""Largest number of tags, and of usage counts, in an entry."""
CALLS_MAX = 2**53
"""Number of calls that stands for no limit."""
TIME_MAX: Millis = 2**47
"""Latest time (the year 6429) of an end. The store must be able to write every due time."""


def check_bounds(command: Command) -> None:
    """Check that the amounts, times, tags and counts of a command lie within their bounds. Raises InvalidValue.

    Only an adjustment may be negative. A grant must be at least 1 µcr.
    """
    least = 1 if isinstance(command, Grant) else 0
    for name in ("amount", "at_least", "accrued", "target"):
        amount = getattr(command, name, least)
        if not least <= (abs(amount) if isinstance(command, Adjust) else amount) <= AMOUNT_MAX:
            raise InvalidValue(name, f"must be from {format_credits(least)} to {format_credits(AMOUNT_MAX)} credits")
    for name in ("expires_at", "lifetime"):
        if not 0 <= (getattr(command, name, 0) or 0) <= TIME_MAX:
            raise InvalidValue(name, "is too far away")
    _check_told("tags", getattr(command, "tags", ()), is_safe_id)
    _check_told("usage", getattr(command, "usage", ()), lambda count: 0 <= count <= INTEGER_MAX)


def _check_told(name: str, pairs: tuple[tuple[str, T], ...], is_valid: Callable[[T], bool]) -> None:
    """Check that tags or usage contain only ids and counts, never text. Raises InvalidValue."""
    is_short = len({key for key, _ in pairs}) == len(pairs) <= TOLD_MAX
    if pairs and not (is_short and all(is_safe_id(key) and is_valid(value) for key, value in pairs)):
        raise InvalidValue(name, f"must be at most {TOLD_MAX} names, each with an id or a count")


def told_facts(*, tags: Tags = (), usage: tuple[tuple[str, int], ...] = ()) -> dict[str, Json]:
    """Return tags and usage as facts of an entry, by name. Empty parts are left out.

    No balance depends on these facts, and an entry is valid without them.
    """
    return {name: dict(pairs) for name, pairs in (("tags", tags), ("usage", usage)) if pairs}


def may_spend(account: Account) -> None:
    if account.status == "frozen":
        raise AccountFrozen


def rate_limited(books: Books, rate: RateLimit | None, *, is_admitted: bool = False) -> dict[str, Json]:
    """Return the facts of an entry that keep the rate limit's state: the next arrival time (GCRA, ITU-T I.371) in µs.

    Without a `rate`, there are no facts. Raises RateLimited, unless the call was admitted before.
    """
    if rate is None:
        return {}
    interval, now = MICROS_PER_MINUTE // rate.per_minute, books.now * 1000
    tat = max(books.account.tat, now) + interval
    if (early := tat - interval * rate.burst - now) > 0 and not is_admitted:
        raise RateLimited(retry_after_ms=-(-early // 1000))
    return {"tat": tat}


def calls_admitted(account: Account, rate: RateLimit | None, now: Millis) -> int:
    """Return the number of calls that the rate limit would admit at `now`, one after the other."""
    if rate is None:
        return CALLS_MAX
    interval, micros = MICROS_PER_MINUTE // rate.per_minute, now * 1000
    return max(0, (interval * rate.burst + micros - max(account.tat, micros)) // max(1, interval))


def within_budgets(account: Account, claims: tuple[BudgetClaim, ...], amount: int, now: Millis) -> None:
    """Check that `amount` (µcr) fits every cap, beside the highest cost of the open holds that name the cap.

    Raises BudgetExceeded, and LimitReached if the account cannot remember another used budget.
    """
    budgets = live_budgets(account.budgets, account.holds, now)
    kept = {name for name, budget in budgets.items() if not is_unused(budget)}
    if len(kept.union(claim.id for claim in claims)) > BUDGETS_KEPT_MAX:
        raise LimitReached("budgets", BUDGETS_KEPT_MAX)
    for claim in claims:
        known = budgets.get(claim.id)
        used, held = (known.used, known.held) if known else (0, 0)
        held += exposure(account.holds.values(), claim.id)
        if used + held + amount > claim.limit:
            raise BudgetExceeded(budget=claim.id, limit=claim.limit, used=used, held=held, required=amount)


def budget_facts(account: Account, claims: tuple[BudgetClaim, ...], now: Millis) -> dict[str, Json]:
    """Return the facts of an entry that state its budgets.

    A budget with an end keeps that end if a claim names none.
    """
    if not claims:
        return {}
    known = live_budgets(account.budgets, account.holds, now)
    return {"budgets": [_budget_fact(claim, known.get(claim.id)) for claim in claims]}


def _budget_fact(claim: BudgetClaim, known: Budget | None) -> dict[str, Json]:
    fact: dict[str, Json] = {"id": claim.id, "limit": claim.limit}
    expires_at = known.expires_at if claim.expires_at is None and known else claim.expires_at
    return fact if expires_at is None else {**fact, "expires_at": expires_at}


def room_within(account: Account, hold: Hold) -> int | None:
    """Return the amount (µcr) by which the hold may grow under its caps; None without caps.

    The exposures of all holds under a cap are subtracted, except the exposure of the hold's own output.
    """
    holds = account.holds.values()
    rooms = [max(0, account.budgets[name].room - exposure(holds, name)) for name in hold.budgets]
    return min(rooms) + hold.output_exposure if rooms else None


def within_takes(account: Account, taken: Iterable[tuple[LotId, int]]) -> None:
    """Check that the open holds may name these lots, too. Raises LimitReached."""
    named = [name for hold in account.holds.values() for name, _ in hold.takes]
    named += [name for name, _ in taken]
    if len(named) > TAKES_MAX:
        raise LimitReached("lots in reservations", TAKES_MAX)
    if len(set(named)) > HELD_LOTS_MAX:
        raise LimitReached("purchases and gifts in reservations", HELD_LOTS_MAX)
