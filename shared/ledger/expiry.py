"""Expiry: lots and holds of an account end when their time is up."""

from shared.kernel.clock import Millis
from shared.ledger.about import EXPIRY
from shared.ledger.account import Hold, Lot
from shared.ledger.books import Books
from shared.ledger.entries import AVAILABLE, BREAKAGE, Posting
from shared.ledger.holds import end_hold
from shared.ledger.rest import first_due

EXPIRY_WRITES_MAX = 640
"""Number of writes after which no other expiry joins a commit, so that any number of due lots fits several commits."""


class MuchIsDue(Exception):  # nothing has failed: the caller commits the first expiries and decides again
    """Signal that more lots and holds are due than one commit ends."""


def settle_due(books: Books, writes_max: int | None = EXPIRY_WRITES_MAX) -> None:
    """Expire due lots and holds in the order of their times, so that a late reader sees the same as a prompt reader.

    Raises RestNotRead if a lot of the rest is due and was not read, and MuchIsDue after `writes_max` writes (None: no
    limit).
    """
    while (due := _next_due(books)) is not None:
        if writes_max is not None and books.writes >= writes_max:
            raise MuchIsDue
        if isinstance(due, Hold):
            end_hold(books, due, due.accrued, operation=f"expire:{due.id}", end="expired")
        else:
            postings = [Posting(AVAILABLE, BREAKAGE, due.available, due.id)]
            books.post("expiry", f"expire:{due.id}", postings, EXPIRY)


def _next_due(books: Books) -> Lot | Hold | None:
    account, now = books.account, books.now
    lots = [(lot.expires_at or 0, lot.id, lot) for lot in account.lots.values() if _is_due(lot, now)]
    holds = [(hold.expires_at, hold.id, hold) for hold in account.holds.values() if hold.expires_at <= now]
    due: list[tuple[Millis, str, Lot | Hold]] = [*lots, *holds]
    if (lot := first_due(account, books.archive, now)) is not None:
        due.append((lot.expires_at or 0, lot.id, lot))
    return min(due, key=lambda item: item[:2])[2] if due else None


def _is_due(lot: Lot, now: Millis) -> bool:
    return lot.expires_at is not None and lot.expires_at <= now and lot.available > 0
