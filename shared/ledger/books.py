"""One account while a command is decided: what changes it is posted, and lots pay in their order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.ids import LotId
from shared.ledger.account import NOTHING, Account, Archive, Lot
from shared.ledger.entries import Draft, Entry, Kind, Posting
from shared.ledger.errors import InsufficientCredits
from shared.ledger.fold import apply, seal_entry

Result = Mapping[str, Json]

NO_LIFETIME_END: Millis = 2**53


@dataclass(slots=True, eq=False, repr=False)
class Books:
    """One account while a command is decided: everything that changes it goes through `post`."""

    account: Account
    archive: Archive
    now: Millis
    kid: str
    about: tuple[tuple[str, str], ...] = ()
    """What the command says of itself; see `shared.ledger.about`."""
    entries: list[Entry] = field(default_factory=list)
    left: Archive = NOTHING

    def post(
        self,
        kind: Kind,
        operation: str,
        postings: Iterable[Posting],
        about: tuple[tuple[str, str], ...] | None = None,
        /,
        **facts: Json,
    ) -> None:
        """Append an entry, and move on to the state after it. Without `about` it tells what the command says."""
        if told := dict(self.about if about is None else about):
            facts["about"] = cast("Json", told)
        draft = Draft(kind=kind, operation=operation, at=self.now, postings=tuple(postings), facts=facts)
        after, left = apply(self.account, draft, self.archive)
        self.account, entry = seal_entry(self.account, after, draft, self.kid)
        self.entries.append(entry)
        self.left = merged(self.left, left)
        self.archive = merged(self.archive, left)


def merged(first: Archive, second: Archive) -> Archive:
    """Both archives as one; the second is the newer."""
    if not (second.lots or second.holds):
        return first
    return Archive(lots={**first.lots, **second.lots}, holds={**first.holds, **second.holds})


def consumed(account: Account, amount: int) -> list[tuple[LotId, int]]:
    """Which lots pay `amount`: by priority, then soonest expiry, then age. Raises InsufficientCredits."""
    taken = list(drawn(account, amount))
    if sum(part for _, part in taken) < amount:
        raise InsufficientCredits(available=account.available, held=account.held, required=amount)
    return taken


def drawn(account: Account, amount: int) -> Iterator[tuple[LotId, int]]:
    """As much of `amount` as the lots have, in the order of consumption."""
    for lot in sorted(account.lots.values(), key=_consumption_order):
        part = min(lot.available, amount)
        amount -= part
        if part > 0:
            yield lot.id, part


def _consumption_order(lot: Lot) -> tuple[int, Millis, int]:
    expires_at = NO_LIFETIME_END if lot.expires_at is None else lot.expires_at
    return lot.priority, expires_at, lot.granted_seq
