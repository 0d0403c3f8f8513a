"""Bought credits whose money is in question: taken back, given back, set aside while somebody argues."""

from collections.abc import Iterable

from shared.kernel.canonical import Json
from shared.kernel.ids import LotId
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account import LOTS_MAX, SUSPENSION, SUSPENSIONS_MAX, Hold, Lot
from shared.ledger.books import Books, Result
from shared.ledger.commands import Annul, Reinstate, Restore, Reverse, Suspend
from shared.ledger.entries import AVAILABLE, DEBT, HELD, Posting
from shared.ledger.errors import HoldExists, LimitReached, LotNotFound, ReversalTooLarge
from shared.ledger.expiry import settle_due
from shared.ledger.holds import end_hold, give_back
from shared.ledger.limits import TIME_MAX


def reverse(books: Books, command: Reverse) -> Result:
    """Take back up to the target: the delta is computed here, so that it cannot be posted twice."""
    lot = _lot(books, command.lot)
    if command.target > lot.granted:
        raise ReversalTooLarge
    delta = max(0, command.target - lot.reversed - lot.owed)
    clawed = min(delta, lot.available)
    suspension = _suspension(books, lot.id)
    suspended = min(delta - clawed, dict(suspension.takes)[lot.id] if suspension else 0)
    owed = delta - clawed - suspended
    if books.account.debt + owed > AMOUNT_MAX:
        raise LimitReached("credits of debt", AMOUNT_MAX)
    if delta:
        parts = [(AVAILABLE, clawed), (HELD, suspended), (DEBT, owed)]
        postings = [Posting(source, lot.source, amount, lot.id) for source, amount in parts if amount]
        facts: dict[str, Json] = {"hold": {"id": suspension.id}} if suspension and suspended else {}
        books.post("reversal", command.operation, postings, **facts)
    return {"lot": lot.id, "reversed": clawed + suspended, "owed": owed}


def restore(books: Books, command: Restore) -> Result:
    """Undo a reversal down to the target: forgive what is owed for it; what was paid comes back to the lot."""
    lot, account = _lot(books, command.lot), books.account
    delta = max(0, lot.reversed + lot.owed - command.target)
    forgiven = min(delta, lot.owed, account.debt)
    back = delta - forgiven
    if back and lot.id not in account.lots and len(account.lots) >= LOTS_MAX:
        raise LimitReached("lots", LOTS_MAX)
    if account.available + account.held + back > AMOUNT_MAX:
        raise LimitReached("credits", AMOUNT_MAX)
    if delta:
        parts = [(DEBT, forgiven), (AVAILABLE, back)]
        postings = [Posting(lot.source, destination, amount, lot.id) for destination, amount in parts if amount]
        facts: dict[str, Json] = {}
        if back and command.suspension is not None and command.suspension in account.holds:
            postings.append(Posting(AVAILABLE, HELD, back, lot.id))
            facts["hold"] = {"id": command.suspension}
        books.post("reversal", command.operation, postings, **facts)
        settle_due(books)
    return {"lot": lot.id, "restored": back, "forgiven": forgiven}


def suspend(books: Books, command: Suspend) -> Result:
    """What other holds took of the lots goes back first: a reservation ends, a hold in use keeps its other lots."""
    holds = books.account.holds
    if command.hold in holds or command.hold in books.archive.holds:
        raise HoldExists
    if sum(hold.purpose == SUSPENSION for hold in holds.values()) >= SUSPENSIONS_MAX:
        raise LimitReached("suspensions", SUSPENSIONS_MAX)
    for hold in list(holds.values()):
        _strip(books, hold, command.lots, operation=f"{command.operation}:{hold.id}")
    lots = books.account.lots
    taken = [(lot, lots[lot].available) for lot in command.lots if lot in lots and lots[lot].available]
    fact: dict[str, Json] = {
        "id": command.hold,
        "purpose": SUSPENSION,
        "principal": "",
        "reservation": False,
        "expires_at": TIME_MAX,
    }
    books.post("hold", command.operation, [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken], hold=fact)
    return {"hold": command.hold, "amount": sum(amount for _, amount in taken)}


def reinstate(books: Books, command: Reinstate) -> Result:
    """What is left goes back to its lots, and is over if their time is."""
    hold = books.account.holds.get(command.hold)
    if hold is None or hold.purpose != SUSPENSION:
        return {"hold": command.hold, "released": 0}
    ended = end_hold(books, hold, 0, operation=command.operation, end="released")
    return {"hold": command.hold, "released": ended["released"]}


def annul(books: Books, command: Annul) -> Result:
    """Nothing moves; that the operation is remembered is the effect."""
    del books, command
    return {}


def _lot(books: Books, name: LotId) -> Lot:
    lot = books.account.lots.get(name) or books.archive.lots.get(name)
    if lot is None:
        raise LotNotFound
    return lot


def _suspension(books: Books, lot: LotId) -> Hold | None:
    holds = books.account.holds.values()
    return next((hold for hold in holds if hold.purpose == SUSPENSION and lot in dict(hold.takes)), None)


def _strip(books: Books, hold: Hold, lots: Iterable[LotId], *, operation: str) -> None:
    """Take the lots out of a hold. One that is a suspension itself stays: nobody can spend it."""
    parts = [(lot, amount) for lot, amount in hold.takes if lot in lots]
    if not parts or hold.purpose == SUSPENSION:
        return
    if hold.is_reservation:
        end_hold(books, hold, hold.accrued, operation=operation, end="released")
    else:
        give_back(books, hold, parts, operation=operation)
