"""Check of the documents that follow an account's journal: the marker, and the position of the relay and the usage."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.kernel.clock import DAY, Millis, to_datetime
from shared.kernel.documents import Document, Documents
from shared.ledger.account import Account
from shared.ledger.document_paths import entry_path
from shared.ledger.errors import UNREADABLE, IntegrityFailed
from shared.ledger.markers import RELAY, SILENT_KINDS, announced_seq, is_number_of, marker_path
from shared.ledger.positions import RULE as POSITION
from shared.ledger.positions import JournalPosition, older_position_path, position_in, position_path
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import stored_entry

MARKER = "marker"
SILENT_MAX = 500
"""Most entries that are read to find one that the marker had to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """Documents that follow the journal, as read: the marker before the position, so that the position is as new."""

    marker: Document | None
    position: JournalPosition


@dataclass(frozen=True, slots=True)
class BrokenFollower:
    """Law that a document breaks which follows the journal: the entry (0: none), the rule and the detail."""

    seq: int
    rule: str
    detail: str


class FollowerAudit:
    """Check of the followers of one account, whose journal goes at least as far as the state `account`."""

    def __init__(self, documents: Documents, store: AccountStore, account: Account, now: Millis) -> None:
        self._documents = documents
        self._store = store
        self._uid = account.uid
        self._last = account.seq
        self._at = account.at
        self._now = now

    def read(self) -> Followers:
        """Return the documents. Raises IntegrityFailed for a position that the ledger did not write."""
        marker = self._documents.get(marker_path(self._uid))
        found = self._documents.get_all([position_path(self._uid), older_position_path(self._uid)])
        return Followers(marker=marker, position=position_in(self._uid, *found))

    def broken(self, followers: Followers) -> Iterator[BrokenFollower]:
        """Yield the laws that the documents break."""
        yield from self._of_marker(followers)
        yield from self._of_position(followers)

    def _of_marker(self, followers: Followers) -> Iterator[BrokenFollower]:
        """Yield what is wrong with the marker. Early releases deleted the marker once all entries were published."""
        marker, announced = followers.marker, 0 if followers.marker is not None else followers.position.published
        if marker is not None:
            try:
                announced = announced_seq(marker)
                if detail := self._wrong_field(marker):
                    yield BrokenFollower(0, MARKER, detail)
            except (IntegrityFailed, *UNREADABLE):
                yield BrokenFollower(0, MARKER, "the marker tells no number of an entry")
        if announced < self._last:
            first, last = announced + 1, min(self._last, announced + SILENT_MAX)
            told = [each.seq for each in self._store.entries(self._uid, first, last) if each.kind not in SILENT_KINDS]
            if told:
                yield BrokenFollower(told[0], MARKER, f"the marker tells of {announced} entries")

    def _wrong_field(self, marker: Document) -> str:
        data = marker.data
        if data.get("uid") != self._uid:
            return "the marker names another account"
        at = data.get("at")
        if not isinstance(at, datetime) or (data.get("seq") == self._last and at != to_datetime(self._at)):
            return "the marker has another time than the entry"
        waits = data.get(RELAY)
        is_told = waits is None or is_number_of(self._uid, waits, self._now + DAY)
        return "" if is_told else "no relay finds the marker"

    def _of_position(self, followers: Followers) -> Iterator[BrokenFollower]:
        position, marker = followers.position, followers.marker
        if position.hash and position.published:
            document = self._documents.get(entry_path(self._uid, position.published))
            if document is None or stored_entry(document).hash != position.hash:
                detail = "the entry is another than the published one"
                yield BrokenFollower(position.published, "published", detail)
        reached = min(position.published, position.usage.seq)
        if marker is None or RELAY not in marker.data or marker.data[RELAY] is not None:
            return
        announced = marker.data.get("seq")
        if isinstance(announced, int) and reached < announced:
            yield BrokenFollower(reached + 1, POSITION, "the entry was announced, and is neither published nor waiting")
