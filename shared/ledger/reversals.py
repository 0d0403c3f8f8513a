"""Reversals of bought credits: taking credits back, giving credits back, and annulling operations."""

from collections.abc import Iterable, Iterator

from shared.kernel.canonical import Json
from shared.kernel.ids import LotId
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account import Lot
from shared.ledger.books import Books, drawn
from shared.ledger.commands import Annul, Restore, Reverse
from shared.ledger.entries import AVAILABLE, DEBT, HELD, Posting
from shared.ledger.errors import LimitReached, LotNotFound, ReversalTooLarge
from shared.ledger.expiry import settle_due
from shared.ledger.receipts import Receipt, RestorationReceipt, ReversalReceipt
from shared.ledger.suspensions import suspension_of


def reverse(books: Books, command: Reverse) -> ReversalReceipt:
    """Take credits of the lot back until `target` is taken back in all, and return the receipt.

    The difference is computed here, so that no reversal is posted twice. Raises LotNotFound, ReversalTooLarge, or
    LimitReached if the debt would grow too large.
    """
    lot = _lot(books, command.lot)
    if command.target > lot.granted:
        raise ReversalTooLarge
    delta = max(0, command.target - lot.reversed - lot.owed)
    clawed = min(delta, lot.available)
    suspension = suspension_of(books, lot.id)
    suspended = min(delta - clawed, dict(suspension.takes)[lot.id] if suspension else 0)
    owed = delta - clawed - suspended
    if books.account.debt + owed > AMOUNT_MAX:
        raise LimitReached("credits of debt", AMOUNT_MAX)
    if delta:
        parts = [(AVAILABLE, clawed), (HELD, suspended), (DEBT, owed)]
        postings = [Posting(source, lot.source, amount, lot.id) for source, amount in parts if amount]
        facts: dict[str, Json] = {"hold": {"id": suspension.id}} if suspension and suspended else {}
        postings += _paid_from_other_lots(books, lot, owed)
        books.post("reversal", command.operation, postings, **facts)
    return ReversalReceipt(after=books.totals, lot=lot.id, reversed=clawed + suspended, owed=owed)


def _paid_from_other_lots(books: Books, lot: Lot, owed: int) -> list[Posting]:
    """Return postings that pay the owed amount with the user's other credits. Only the uncovered rest stays debt.

    If credits are owed, the reversed lot has no available credits left.
    """
    clawed = lot.available if owed else 0
    taken = [(name, amount) for name, amount in drawn(books, owed + clawed) if name != lot.id]
    return [Posting(AVAILABLE, DEBT, amount, name) for name, amount in _first(taken, owed)]


def _first(parts: Iterable[tuple[LotId, int]], amount: int) -> Iterator[tuple[LotId, int]]:
    """Yield parts up to `amount` in all."""
    for name, part in parts:
        if taken := min(part, amount):
            amount -= taken
            yield name, taken


def restore(books: Books, command: Restore) -> RestorationReceipt:
    """Reduce the part of the lot that is taken back to `target`: forgive the owed part, and return the paid part.

    Raises LotNotFound, or LimitReached if the account would have too many credits.
    """
    lot, account = _lot(books, command.lot), books.account
    delta = max(0, lot.reversed + lot.owed - command.target)
    forgiven = min(delta, lot.owed, account.debt)
    back = delta - forgiven
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
    return RestorationReceipt(after=books.totals, lot=lot.id, restored=back, forgiven=forgiven)


def annul(books: Books, command: Annul) -> Receipt:
    """Remember the operation and move no credits, so that a later command of the same operation is refused."""
    del command
    return Receipt(after=books.totals)


def _lot(books: Books, name: LotId) -> Lot:
    lot = books.lot(name)
    if lot is None:
        raise LotNotFound
    return lot
