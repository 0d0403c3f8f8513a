"""Decisions on commands: the new entries, the state after them, and the answer. Pure."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from shared.kernel.clock import Millis
from shared.ledger.account import NOTHING, Account, Archive, check
from shared.ledger.books import Books
from shared.ledger.commands import (
    AccountCommand,
    Accrue,
    Adjust,
    Annul,
    Capture,
    Charge,
    Close,
    Expire,
    ExtendHold,
    Freeze,
    Grant,
    PlaceHold,
    Recover,
    Reinstate,
    Release,
    Restore,
    Reverse,
    Suspend,
    Unfreeze,
)
from shared.ledger.credits import adjust, charge, grant, recover
from shared.ledger.entries import ABSORBED, AVAILABLE, BREAKAGE, DEBT, Entry, Posting
from shared.ledger.entry_notes import BoundNote, binds_note
from shared.ledger.errors import AccountClosed
from shared.ledger.expiry import MuchIsDue, settle_due
from shared.ledger.holds import accrue, capture, end_hold, extend_hold, place_hold, release
from shared.ledger.limits import check_bounds
from shared.ledger.receipts import ClosingReceipt, Receipt
from shared.ledger.reversals import annul, restore, reverse
from shared.ledger.suspensions import reinstate, suspend

R = TypeVar("R", bound=Receipt)
R_co = TypeVar("R_co", bound=Receipt, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision(Generic[R_co]):
    """State after a command, entries to write, lots and holds that left the state, and the caller's receipt."""

    account: Account
    entries: tuple[Entry, ...]
    archive: Archive
    receipt: R_co
    notes: tuple[BoundNote, ...] = ()
    """Notes that the entries bind."""
    next_archive: Archive = NOTHING
    """Archive for a decision that follows in the same batch: with what left the state, and the rest as read."""


def decide(
    account: Account,
    command: AccountCommand[R],
    now: Millis,
    *,
    kid: str,
    archive: Archive | None = None,
    salt: str = "",
) -> Decision[R]:
    """Return the effect of `command` on `account` at `now`, after all due lots and holds have expired.

    `archive` holds the archived lot or hold that the command names, if there is one. `salt` is random, for the hash of
    the command's note. Raises the errors of
    `shared.ledger.errors`; the caller must then write nothing. Raises MuchIsDue for `decide_expiry`, and RestNotRead
    for an archive with more lots of the rest.
    """
    check_bounds(command)
    text = getattr(command, "note", "")
    books = Books(
        account=account,
        archive=archive or NOTHING,
        now=max(now, account.at),
        kid=kid,
        about=command.about,
        note=BoundNote(operation=command.operation, text=text, salt=salt) if text else None,
    )
    settle_due(books)
    if books.account.status == "closed" and not isinstance(command, Expire):
        raise AccountClosed
    receipt = cast("R", HANDLERS[type(command)](books, command))
    check(books.account)
    return Decision(
        account=books.account,
        entries=tuple(books.entries),
        archive=books.left,
        receipt=receipt,
        notes=(books.note,) if books.note and any(binds_note(entry.body) for entry in books.entries) else (),
        next_archive=books.archive,
    )


def decide_expiry(account: Account, now: Millis, *, kid: str, archive: Archive) -> Decision[Receipt]:
    """Return the first expiries of an account with more due lots and holds than one commit ends.

    Raises RestNotRead like `decide`.
    """
    books = Books(account=account, archive=archive, now=max(now, account.at), kid=kid)
    with suppress(MuchIsDue):
        settle_due(books)
    check(books.account)
    receipt = Receipt(after=books.totals)
    return Decision(account=books.account, entries=tuple(books.entries), archive=books.left, receipt=receipt)


def settled(account: Account, now: Millis) -> Account:
    """Return the account at `now`, after all due lots and holds have expired. For reading, not for writing.

    Raises RestNotRead if a lot of the rest is due.
    """
    books = Books(account=account, archive=NOTHING, now=max(now, account.at), kid="")
    settle_due(books, None)
    return books.account


def _freeze(books: Books, command: Freeze) -> Receipt:
    return _set_status(books, command.operation, "frozen")


def _unfreeze(books: Books, command: Unfreeze) -> Receipt:
    return _set_status(books, command.operation, "open")


def _set_status(books: Books, operation: str, status: str) -> Receipt:
    if books.account.status != status:
        books.post("status", operation, (), status=status)
    return Receipt(after=books.totals)


def _close(books: Books, command: Close) -> ClosingReceipt:
    """End holds as if expired, forfeit the credits and absorb the debt."""
    for hold in list(books.account.holds.values()):
        end_hold(books, hold, hold.accrued, operation=f"{command.operation}:{hold.id}", end="expired")
    account = books.account
    postings = [Posting(AVAILABLE, BREAKAGE, lot.available, lot.id) for lot in account.lots.values() if lot.available]
    if account.rest_available:
        postings.append(Posting(AVAILABLE, BREAKAGE, account.rest_available))
    if account.debt:
        postings.append(Posting(ABSORBED, DEBT, account.debt))
    books.post("status", command.operation, postings, status="closed")
    return ClosingReceipt(after=books.totals, owed=account.debt)


def _expire(books: Books, command: Expire) -> Receipt:
    del command
    return Receipt(after=books.totals)


HANDLERS: Mapping[type, Callable[[Books, Any], Receipt]] = {
    Grant: grant,
    PlaceHold: place_hold,
    ExtendHold: extend_hold,
    Accrue: accrue,
    Capture: capture,
    Release: release,
    Charge: charge,
    Reverse: reverse,
    Restore: restore,
    Suspend: suspend,
    Reinstate: reinstate,
    Annul: annul,
    Adjust: adjust,
    Recover: recover,
    Freeze: _freeze,
    Unfreeze: _unfreeze,
    Close: _close,
    Expire: _expire,
}
