"""Credits set aside: placed, extended, captured, given back."""

from collections.abc import Iterator

from shared.kernel.canonical import Json
from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import HOLDS_MAX, Account, Hold
from shared.ledger.books import Books, Result, consumed, drawn
from shared.ledger.commands import Accrue, Capture, ExtendHold, PlaceHold, Release
from shared.ledger.entries import ABSORBED, AVAILABLE, BREAKAGE, DEBT, HELD, Kind, Posting
from shared.ledger.errors import HoldExists, HoldNotFound, HoldResolved, InsufficientCredits, LimitReached
from shared.ledger.limits import budget_facts, may_spend, rate_limited, told_facts, within_budgets, within_takes


def place_hold(books: Books, command: PlaceHold) -> Result:
    may_spend(books.account)
    if command.hold in books.account.holds or command.hold in books.archive.holds:
        raise HoldExists
    if len(books.account.holds) >= HOLDS_MAX:
        raise LimitReached("open reservations", HOLDS_MAX)
    tat = rate_limited(books, command.rate)
    within_budgets(books.account, command.budgets, command.amount, books.now)
    taken = consumed(books.account, command.amount)
    within_takes(books.account, len(taken))
    hold: dict[str, Json] = {
        "id": command.hold,
        "purpose": command.purpose,
        "principal": command.principal,
        "reservation": command.is_reservation,
        "expires_at": books.now + command.lifetime,
    }
    if model := dict(command.tags).get("model"):
        hold["model"] = model
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    facts = {**tat, **budget_facts(books.account, command.budgets, books.now), **told_facts(tags=command.tags)}
    books.post("hold", command.operation, postings, hold=hold, **facts)
    return {"hold": command.hold, "amount": command.amount, "expires_at": books.now + command.lifetime}


def extend_hold(books: Books, command: ExtendHold) -> Result:
    may_spend(books.account)
    hold = _open_hold(books, command.hold, None)
    room = min([books.account.budgets[name].room for name in hold.budgets], default=command.amount)
    taken = list(drawn(books.account, min(command.amount, room)))
    added = sum(amount for _, amount in taken)
    if added < command.at_least:
        account = books.account
        raise InsufficientCredits(available=account.available, held=account.held, required=command.at_least)
    within_takes(books.account, len(taken))
    expires_at = max(hold.expires_at, books.now + command.lifetime)
    fact: dict[str, Json] = {
        "id": hold.id,
        "expires_at": expires_at,
        "accrued": _accrued(hold, command.accrued, hold.amount + added),
    }
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken]
    books.post("extension", command.operation, postings, hold=fact)
    return {"hold": hold.id, "added": added, "amount": hold.amount + added, "expires_at": expires_at}


def accrue(books: Books, command: Accrue) -> Result:
    hold = _open_hold(books, command.hold, None)
    accrued = _accrued(hold, command.accrued, hold.amount)
    expires_at = max(hold.expires_at, books.now + command.lifetime)
    fact: dict[str, Json] = {"id": hold.id, "expires_at": expires_at, "accrued": accrued}
    books.post("extension", command.operation, (), hold=fact)
    return {"hold": hold.id, "accrued": accrued, "expires_at": expires_at}


def _accrued(hold: Hold, used: int, amount: int) -> int:
    """Return what has accrued, once `used` is reported on a hold of `amount`: never less than before, nor more."""
    return max(hold.accrued, min(used, amount))


def capture(books: Books, command: Capture) -> Result:
    hold = _open_hold(books, command.hold, command.principal)
    facts = told_facts(usage=command.usage)
    if command.is_final:
        return end_hold(books, hold, command.amount, operation=command.operation, end="captured", **facts)
    charged = _captured(books.account, hold, command.amount)
    fact: dict[str, Json] = {"id": hold.id, **_borne(hold, charged)}
    books.post("charge", command.operation, charged, hold=fact, **facts)
    return {"hold": hold.id, **_totals(charged), "released": 0}


def release(books: Books, command: Release) -> Result:
    hold = _open_hold(books, command.hold, command.principal)
    cost = 0 if command.is_unused else hold.accrued
    return end_hold(books, hold, cost, operation=command.operation, end="released")


def _open_hold(books: Books, hold_id: HoldId, principal: str | None) -> Hold:
    hold = books.account.holds.get(hold_id) or books.archive.holds.get(hold_id)
    if hold is None or (principal is not None and hold.principal != principal):
        raise HoldNotFound
    if hold.status != "active":
        raise HoldResolved(hold.status)
    return hold


def end_hold(books: Books, hold: Hold, cost: int, *, operation: str, end: str, **facts: Json) -> Result:
    """Charge `cost`, give back the rest, end the hold: one entry, so that a hold resolves once."""
    charged = _captured(books.account, hold, cost)
    spent: dict[LotId | None, int] = {}
    for posting in charged:
        if posting.source == HELD:
            spent[posting.lot] = spent.get(posting.lot, 0) + posting.amount
    returned = [(lot, amount - spent.get(lot, 0)) for lot, amount in hold.takes]
    postings = [*charged, *_returned(books, [(lot, amount) for lot, amount in returned if amount])]
    kind: Kind = "charge" if charged else ("expiry" if _has_breakage(postings) else "release")
    fact: dict[str, Json] = {"id": hold.id, "end": end, **_borne(hold, charged, end)}
    books.post(kind, operation, postings, hold=fact, **facts)
    released = sum(amount for _, amount in returned)
    return {"hold": hold.id, **_totals(charged), "released": released}


def give_back(books: Books, hold: Hold, parts: list[tuple[LotId, int]], *, operation: str) -> None:
    """Give back some of what an open hold took; it stays open with the rest."""
    postings = list(_returned(books, parts))
    books.post("expiry" if _has_breakage(postings) else "release", operation, postings, hold={"id": hold.id})


def _totals(charged: list[Posting]) -> Result:
    """What the user paid, and what was ours to bear."""
    absorbed = sum(posting.amount for posting in charged if posting.source == ABSORBED)
    return {"captured": sum(posting.amount for posting in charged) - absorbed, "absorbed": absorbed}


def _borne(hold: Hold, charged: list[Posting], end: str | None = None) -> dict[str, Json]:
    """Say whose call this was where the platform bore some of it, or may have: `Losses` counts it by that."""
    is_absorbed = any(posting.source == ABSORBED for posting in charged)
    if not is_absorbed and (end != "expired" or hold.model is None):
        return {}
    whose: dict[str, Json] = {"principal": hold.principal}
    return whose if hold.model is None else {**whose, "model": hold.model}


def _has_breakage(postings: list[Posting]) -> bool:
    return any(posting.destination == BREAKAGE for posting in postings)


def _captured(account: Account, hold: Hold, cost: int) -> list[Posting]:
    """Postings that charge `cost`: from the hold, then from what is available; what nobody has is ours to bear.

    A reservation's capture is named by the user, and nothing of ours was used for it: it takes what there is, and on a
    frozen account no more than it had set aside.
    """
    revenue = f"revenue:{hold.purpose}"
    postings, missing = [], cost
    for lot, amount in hold.takes:
        if part := min(amount, missing):
            postings.append(Posting(HELD, revenue, part, lot))
            missing -= part
    room = min([account.budgets[name].room for name in hold.budgets], default=missing)
    if hold.is_reservation and account.status == "frozen":
        room = 0
    for lot, part in drawn(account, min(missing, room)):
        postings.append(Posting(AVAILABLE, revenue, part, lot))
        missing -= part
    if missing and not hold.is_reservation:
        postings.append(Posting(ABSORBED, revenue, missing))
    return postings


def _returned(books: Books, parts: list[tuple[LotId, int]]) -> Iterator[Posting]:
    """Each part goes back where it came from: an expired lot breaks it, a reversed one settles its debt with it."""
    debt = books.account.debt
    for lot_id, amount in parts:
        lot = books.account.lots[lot_id]
        if settles := min(amount, lot.owed, debt):
            debt -= settles
            yield Posting(HELD, DEBT, settles, lot_id)
        is_over = lot.expires_at is not None and lot.expires_at <= books.now
        if rest := amount - settles:
            yield Posting(HELD, BREAKAGE if is_over else AVAILABLE, rest, lot_id)
