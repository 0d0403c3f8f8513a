"""Suspensions: credits of disputed payments, set aside for nobody to spend until the dispute is decided."""

from collections.abc import Iterable, Mapping

from shared.kernel.canonical import Json
from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import SUSPENSION, SUSPENSIONS_MAX, Hold
from shared.ledger.books import Books
from shared.ledger.commands import Reinstate, Suspend
from shared.ledger.entries import AVAILABLE, HELD, Posting
from shared.ledger.errors import HoldExists, LimitReached
from shared.ledger.holds import end_hold, give_back
from shared.ledger.limits import TIME_MAX
from shared.ledger.receipts import ReinstatementReceipt, SuspensionReceipt


def suspend(books: Books, command: Suspend) -> SuspensionReceipt:
    """Set the rest of these lots aside, so that nobody can spend the credits, and return the receipt.

    If too little of a lot is available, other holds first give back the credits taken from the lot. Reservations end
    then; holds in use keep their other lots. Raises HoldExists.
    """
    holds = books.account.holds
    if command.hold in holds or command.hold in books.archive.holds:
        raise HoldExists
    limits = dict(zip(command.lots, command.limits or [None] * len(command.lots), strict=True))
    short = [lot for lot, limit in limits.items() if not _has(books, lot, limit)]
    for hold in list(holds.values()):
        _strip(books, hold, short, operation=f"{command.operation}:{hold.id}")
    amount = set_aside(books, command.hold, limits, command.operation)
    return SuspensionReceipt(after=books.totals, hold=command.hold, amount=amount)


def _has(books: Books, lot: LotId, limit: int | None) -> bool:
    known = books.lot(lot)
    return limit is not None and known is not None and known.available >= limit


def set_aside(books: Books, hold: HoldId, lots: Mapping[LotId, int | None], operation: str) -> int:
    """Move the available credits of these lots into an open or new suspension, and return their sum (µcr).

    `lots` gives the largest amount for each lot, in µcr; None: all available credits. Raises HoldExists, or
    LimitReached for too many suspensions.
    """
    account = books.account
    known = account.holds.get(hold)
    if hold in books.archive.holds or (known is not None and known.purpose != SUSPENSION):
        raise HoldExists
    if known is None and sum(hold.purpose == SUSPENSION for hold in account.holds.values()) >= SUSPENSIONS_MAX:
        raise LimitReached("suspensions", SUSPENSIONS_MAX)
    found = [(books.lot(name), limit) for name, limit in lots.items()]
    taken = [(lot.id, _within(lot.available, limit)) for lot, limit in found if lot is not None]
    postings = [Posting(AVAILABLE, HELD, amount, lot) for lot, amount in taken if amount]
    if known is not None:
        books.post("extension", operation, postings, hold={"id": hold})
    else:
        fact: dict[str, Json] = {
            "id": hold,
            "purpose": SUSPENSION,
            "principal": "",
            "reservation": False,
            "expires_at": TIME_MAX,
        }
        books.post("hold", operation, postings, hold=fact)
    return sum(posting.amount for posting in postings)


def _within(available: int, limit: int | None) -> int:
    return available if limit is None else min(available, limit)


def suspension_of(books: Books, lot: LotId) -> Hold | None:
    """Return the suspension that holds credits of this lot; None if there is none."""
    holds = books.account.holds.values()
    return next((hold for hold in holds if hold.purpose == SUSPENSION and lot in dict(hold.takes)), None)


def reinstate(books: Books, command: Reinstate) -> ReinstatementReceipt:
    """End a suspension and return its credits to their lots. Credits of an expired lot are forfeited."""
    hold = books.account.holds.get(command.hold)
    if hold is None or hold.purpose != SUSPENSION:
        return ReinstatementReceipt(after=books.totals, hold=command.hold, released=0)
    ended = end_hold(books, hold, 0, operation=command.operation, end="released")
    return ReinstatementReceipt(after=books.totals, hold=command.hold, released=ended.released)


def _strip(books: Books, hold: Hold, lots: Iterable[LotId], *, operation: str) -> None:
    """Take the lots out of a hold. A suspension keeps its lots, since nobody can spend them."""
    parts = [(lot, amount) for lot, amount in hold.takes if lot in lots]
    if not parts or hold.purpose == SUSPENSION:
        return
    if hold.is_reservation:
        end_hold(books, hold, hold.accrued, operation=operation, end="released")
    else:
        give_back(books, hold, parts, operation=operation)
