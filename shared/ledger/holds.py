"""Holds: credits set aside, extended, captured and given back."""

from collections.abc import Iterator

from shared.kernel.canonical import Json
from shared.kernel.ids import HoldId, LotId
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account import HOLDS_MAX, Account, Hold
from shared.ledger.books import Books, consumed, drawn
from shared.ledger.commands import Accrue, Capture, ExtendHold, PlaceHold, Release
from shared.ledger.entries import ABSORBED, AVAILABLE, BREAKAGE, DEBT, HELD, Kind, Posting
from shared.ledger.errors import HoldExists, HoldNotFound, HoldResolved, LimitReached
from shared.ledger.exposure import admitted, bound_of, growth_risk, output_asked, refusal, spendable, window_of
from shared.ledger.limits import (
    budget_facts,
    may_spend,
    rate_limited,
    room_within,
    told_facts,
    within_budgets,
    within_takes,
)
from shared.ledger.receipts import AccrualReceipt, CaptureReceipt, ExtensionReceipt, HoldReceipt


def place_hold(books: Books, command: PlaceHold) -> HoldReceipt:
    """Set credits aside for a new hold, if the account, the rate limit and the budgets allow it.

    Raises HoldExists, LimitReached, RateLimited, BudgetExceeded, InsufficientCredits, AccountFrozen.
    """
    may_spend(books.account)
    if command.hold in books.account.holds or command.hold in books.archive.holds:
        raise HoldExists
    if len(books.account.holds) >= HOLDS_MAX:
        raise LimitReached("open reservations", HOLDS_MAX)
    tat = rate_limited(books, command.rate)
    within_budgets(books.account, command.budgets, bound_of(books.account, command), books.now)
    amount = admitted(books.account, command, books.now)
    taken = consumed(books, amount)
    within_takes(books.account, taken)
    output = output_asked(books.account, command, books.now)
    hold: dict[str, Json] = {
        "id": command.hold,
        "purpose": command.purpose,
        "principal": command.principal,
        "reservation": command.is_reservation,
        "expires_at": books.now + command.lifetime,
    }
    tags = dict(command.tags)
    if model := tags.pop("model", None):
        hold["model"] = model
    if call := command.call:
        hold["input_at_most"] = call.input_at_most
        hold["input_held"] = min(call.input_at_most, call.input_held + amount - command.amount)
    if output is not None:
        hold["output_at_most"] = output
    postings = [Posting(AVAILABLE, HELD, part, lot) for lot, part in taken]
    facts = {**tat, **budget_facts(books.account, command.budgets, books.now), **told_facts(tags=tuple(tags.items()))}
    books.post("hold", command.operation, postings, hold=hold, **facts)
    return HoldReceipt(
        after=books.totals,
        hold=command.hold,
        amount=amount,
        expires_at=books.now + command.lifetime,
        affordable=None if output is None or call is None else call.input_held + output,
    )


def extend_hold(books: Books, command: ExtendHold) -> ExtensionReceipt:
    """Add credits to an open hold and renew the hold. Credits that open calls may still cost are not added.

    Raises InsufficientCredits if fewer than `at_least` can be added; HoldNotFound, HoldResolved, AccountFrozen.
    """
    may_spend(books.account)
    hold = _open_hold(books, command.hold, None)
    room = room_within(books.account, hold)
    risk = growth_risk(books.account, books.now)
    free = spendable(books.account, risk) + hold.output_exposure
    taken = list(drawn(books, min(command.amount, free, free if room is None else room)))
    added = sum(amount for _, amount in taken)
    if added < command.at_least:
        raise refusal(books.account, risk=risk, required=command.at_least, own=hold)
    within_takes(books.account, taken)
    expires_at = max(hold.expires_at, books.now + command.lifetime)
    fact: dict[str, Json] = {
        "id": hold.id,
        "expires_at": expires_at,
        "accrued": _accrued(hold, command.accrued, hold.amount + added),
    }
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    books.post("extension", command.operation, postings, _about(hold), hold=fact)
    return ExtensionReceipt(
        after=books.totals, hold=hold.id, added=added, amount=hold.amount + added, expires_at=expires_at
    )


def accrue(books: Books, command: Accrue) -> AccrualReceipt:
    """Record the amount of a hold that may be used, and return the receipt. A frozen account allows this too.

    Credits kept free for the input are set aside for that.
    """
    hold = _open_hold(books, command.hold, None)
    taken = list(drawn(books, min(max(0, command.accrued - hold.amount), hold.input_exposure)))
    within_takes(books.account, taken)
    added = sum(amount for _, amount in taken)
    accrued = _accrued(hold, command.accrued, hold.amount + added)
    expires_at = max(hold.expires_at, books.now + command.lifetime)
    fact: dict[str, Json] = {"id": hold.id, "expires_at": expires_at, "accrued": accrued}
    if added and hold.input_held is not None:
        fact["input_held"] = hold.input_held + added
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    books.post("extension", command.operation, postings, _about(hold), hold=fact)
    return AccrualReceipt(after=books.totals, hold=hold.id, accrued=accrued, added=added, expires_at=expires_at)


def _accrued(hold: Hold, used: int, amount: int) -> int:
    """Return the accrued amount after `used` is reported on a hold of `amount`.

    The answer is never less than before, and never raised above `amount`.
    """
    return max(hold.accrued, min(used, amount))


def capture(books: Books, command: Capture) -> CaptureReceipt:
    hold = _open_hold(books, command.hold, command.principal)
    facts = told_facts(usage=command.usage)
    if command.is_final:
        return end_hold(books, hold, command.amount, operation=command.operation, end="captured", **facts)
    charged = _captured(books, hold, command.amount)
    beyond = _beyond_cap(books.account, hold, charged)
    fact: dict[str, Json] = {"id": hold.id, **_borne(books, hold, charged), **_beyond_fact(beyond)}
    books.post("charge", command.operation, charged, _about(hold), hold=fact, **facts)
    return _receipt(books, hold, charged, beyond=beyond, released=0)


def release(books: Books, command: Release) -> CaptureReceipt:
    hold = _open_hold(books, command.hold, command.principal)
    if command.is_unused:
        return end_hold(books, hold, 0, operation=command.operation, end="released")
    end = "released" if hold.model is None else "expired"
    return end_hold(books, hold, hold.accrued, operation=command.operation, end=end)


def _about(hold: Hold) -> tuple[tuple[str, str], ...]:
    """Return the tags of a hold's entries: the purpose given when the hold was placed, however the hold ends."""
    return hold.about or ()


def _open_hold(books: Books, hold_id: HoldId, principal: str | None) -> Hold:
    hold = books.account.holds.get(hold_id) or books.archive.holds.get(hold_id)
    if hold is None or (principal is not None and hold.principal != principal):
        raise HoldNotFound
    if hold.status != "active":
        raise HoldResolved(hold.status)
    return hold


def end_hold(books: Books, hold: Hold, cost: int, *, operation: str, end: str, **facts: Json) -> CaptureReceipt:
    """Charge `cost` (µcr), give back the rest, end the hold, and return the receipt.

    All of this is one entry, so that a hold ends only once.
    """
    charged = _captured(books, hold, cost)
    spent: dict[LotId | None, int] = {}
    for posting in charged:
        if posting.source == HELD:
            spent[posting.lot] = spent.get(posting.lot, 0) + posting.amount
    returned = [(lot, amount - spent.get(lot, 0)) for lot, amount in hold.takes]
    postings = [*charged, *_returned(books, [(lot, amount) for lot, amount in returned if amount])]
    kind: Kind = "charge" if charged else ("expiry" if _has_breakage(postings) else "release")
    beyond = _beyond_cap(books.account, hold, charged)
    fact: dict[str, Json] = {
        "id": hold.id,
        "end": end,
        **_borne(books, hold, charged, end),
        **_beyond_fact(beyond),
    }
    books.post(kind, operation, postings, _about(hold), hold=fact, **facts)
    released = sum(amount for _, amount in returned)
    return _receipt(books, hold, charged, beyond=beyond, released=released)


def give_back(books: Books, hold: Hold, parts: list[tuple[LotId, int]], *, operation: str) -> None:
    """Give back these parts of an open hold to their lots (µcr by lot). The hold stays open with the rest."""
    postings = list(_returned(books, parts))
    kind: Kind = "expiry" if _has_breakage(postings) else "release"
    books.post(kind, operation, postings, _about(hold), hold={"id": hold.id})


def _receipt(books: Books, hold: Hold, charged: list[Posting], *, beyond: int | None, released: int) -> CaptureReceipt:
    """Build the receipt of a charge. The user paid the charged amount without the part that the platform absorbed."""
    absorbed = sum(posting.amount for posting in charged if posting.source == ABSORBED)
    return CaptureReceipt(
        after=books.totals,
        hold=hold.id,
        captured=sum(posting.amount for posting in charged) - absorbed,
        absorbed=absorbed,
        beyond_cap=beyond,
        released=released,
    )


def _borne(books: Books, hold: Hold, charged: list[Posting], end: str | None = None) -> dict[str, Json]:
    """Return the principal and model of a call where the platform bore a part of the cost, or may have, for `Losses`.

    With an absorbed amount the facts also name the window, by which the account adds up its absorbed sums.
    """
    is_absorbed = any(posting.source == ABSORBED for posting in charged)
    if not is_absorbed and (end != "expired" or hold.model is None):
        return {}
    fact: dict[str, Json] = {"principal": hold.principal}
    if hold.model is not None:
        fact["model"] = hold.model
    return {**fact, "window": window_of(books.now)} if is_absorbed else fact


def _beyond_cap(account: Account, hold: Hold, charged: list[Posting]) -> int | None:
    """Return the amount (µcr) drawn from the balance beyond a cap; None if the call's bound was true."""
    room = min([account.budgets[name].room for name in hold.budgets], default=AMOUNT_MAX)
    beyond = sum(posting.amount for posting in charged if posting.source == AVAILABLE) - room
    return beyond if beyond > 0 else None


def _beyond_fact(beyond: int | None) -> dict[str, Json]:
    return {} if beyond is None else {"beyond_cap": beyond}


def _has_breakage(postings: list[Posting]) -> bool:
    return any(posting.destination == BREAKAGE for posting in postings)


def _captured(books: Books, hold: Hold, cost: int) -> list[Posting]:
    """Return postings that charge `cost`: from the hold, then from available credits. The platform absorbs the rest."""
    revenue = f"revenue:{hold.purpose}"
    postings, missing = [], cost
    for lot, amount in hold.takes:
        if part := min(amount, missing):
            postings.append(Posting(HELD, revenue, part, lot))
            missing -= part
    for lot, part in drawn(books, min(missing, _drawable(books, hold))):
        postings.append(Posting(AVAILABLE, revenue, part, lot))
        missing -= part
    if missing and not hold.is_reservation:
        postings.append(Posting(ABSORBED, revenue, missing))
    return postings


def _drawable(books: Books, hold: Hold) -> int:
    """Return the largest amount (µcr) that a capture may take from the balance beyond the hold.

    A call was admitted with its bound, which fits its caps. If the call costs more than this bound, the account pays
    without regard to caps. Calls without a bound stay within their caps. The user chooses the amount of a reservation's
    capture, and the platform spent nothing for it. So a reservation's capture leaves the exposure of open calls
    untouched, and takes nothing from a frozen account.
    """
    account = books.account
    if hold.is_reservation and account.status == "frozen":
        return 0
    if hold.input_at_most is not None:
        return AMOUNT_MAX
    room = min([account.budgets[name].room for name in hold.budgets], default=AMOUNT_MAX)
    return min(room, spendable(account)) if hold.is_reservation else room


def _returned(books: Books, parts: list[tuple[LotId, int]]) -> Iterator[Posting]:
    """Yield postings that return each part to its lot.

    A part of an expired lot is forfeited; a reversed lot pays debt first.
    """
    debt = books.account.debt
    for lot_id, amount in parts:
        lot = books.account.lots[lot_id]
        if settles := min(amount, lot.owed, debt):
            debt -= settles
            yield Posting(HELD, DEBT, settles, lot_id)
        is_over = lot.expires_at is not None and lot.expires_at <= books.now
        if rest := amount - settles:
            yield Posting(HELD, BREAKAGE if is_over else AVAILABLE, rest, lot_id)
