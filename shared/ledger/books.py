"""Books of one account while a command is decided: postings change the account, and lots pay in their order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId
from shared.ledger.account import NOTHING, PARTS_MAX, Account, Archive, Lot
from shared.ledger.entries import Draft, Entry, Kind, Posting
from shared.ledger.entry_notes import NOTE_FACT, BoundNote
from shared.ledger.errors import InsufficientCredits, LimitReached
from shared.ledger.fold import apply, seal_entry
from shared.ledger.receipts import AccountTotals, totals_of
from shared.ledger.rest import RestNotRead, read_on, rest_fact, rest_lots, unread


@dataclass(slots=True, eq=False, repr=False)
class Books:
    """Books of one account while a command is decided. Every change of the account goes through `post`."""

    account: Account
    archive: Archive
    now: Millis
    kid: str
    about: tuple[tuple[str, str], ...] = ()
    """Tags that the command gives to its entries; see `shared.ledger.about`."""
    note: BoundNote | None = None
    """Note that the entry of the command's operation binds; None for a command without a note."""
    entries: list[Entry] = field(default_factory=list)
    left: Archive = NOTHING

    @property
    def totals(self) -> AccountTotals:
        """Totals of the account after the entries so far."""
        return totals_of(self.account)

    @property
    def writes(self) -> int:
        """Number of writes of the entries so far, with those of the lots and holds that left the state."""
        return len(self.entries) + len(self.left.lots) + len(self.left.holds)

    def post(
        self,
        kind: Kind,
        operation: str,
        postings: Iterable[Posting],
        about: tuple[tuple[str, str], ...] | None = None,
        /,
        **facts: Json,
    ) -> None:
        """Append an entry and move to the state after the entry.

        Without `about`, the entry carries the command's tags.
        """
        if told := dict(self.about if about is None else about):
            facts["about"] = cast("Json", told)
        if self.note is not None and operation == self.note.operation:
            facts[NOTE_FACT] = self.note.hash(self.account.ledger, self.account.uid)
        draft = Draft(kind=kind, operation=operation, at=self.now, postings=tuple(postings), facts=facts)
        before = self.account
        after, left = apply(before, draft, self.archive)
        if rest := rest_fact(before, after, draft, self.archive):
            draft = replace(draft, facts={**facts, "rest": rest})
            after, left = apply(before, draft, self.archive)
        self.account, entry = seal_entry(before, after, draft, self.kid)
        self.entries.append(entry)
        self.left = merged(self.left, left)
        self.archive = read_on(before, self.account, self.archive, left)

    def lot(self, name: LotId) -> Lot | None:
        """Return a lot of the state, of the rest or of the archive; None if no such lot was read."""
        return self.account.lots.get(name) or self.archive.lots.get(name)


def merged(first: Archive, second: Archive) -> Archive:
    """Return both archives as one. Where both have a name, the second archive wins, as the newer.

    Where the second has anything, the first lots of the rest are no longer known.
    """
    if not (second.lots or second.holds):
        return first
    return Archive(lots={**first.lots, **second.lots}, holds={**first.holds, **second.holds})


def consumed(books: Books, amount: int) -> list[tuple[LotId, int]]:
    """Return the parts of lots that pay `amount`: by priority, then soonest expiry, then age.

    Raises InsufficientCredits if the lots do not cover the amount, LimitReached if more than `PARTS_MAX` lots would
    pay, and RestNotRead like `drawn`.
    """
    taken = list(drawn(books, amount))
    if sum(part for _, part in taken) < amount:
        if len(taken) == PARTS_MAX:
            raise LimitReached("purchases and gifts that pay at once", PARTS_MAX)
        account = books.account
        raise InsufficientCredits(available=account.available, held=account.held, required=amount)
    return taken


def drawn(books: Books, amount: int) -> Iterator[tuple[LotId, int]]:
    """Yield the parts of at most `PARTS_MAX` lots that pay up to `amount`, in the order of consumption.

    Raises RestNotRead if the amount takes lots of the rest that were not read.
    """
    account = books.account
    lots, count = [*account.lots.values(), *rest_lots(account, books.archive)], 0
    for lot in sorted(lots, key=lambda lot: lot.order):
        part = min(lot.available, amount)
        amount -= part
        if part > 0:
            yield lot.id, part
            count += 1
        if count == PARTS_MAX:
            return
    if amount > 0 and unread(account, books.archive):
        raise RestNotRead
