"""The relay: follows the outbox markers and publishes each account's entries, in order, at least once.

A subscriber may see an entry twice, but never before an earlier entry of the account. The subscriber stores the last
`seq` seen and fetches missing entries.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.kernel.clock import rfc3339
from shared.kernel.documents import Create, Data, Delete, Document, Documents, PreconditionFailed, Put, Query, Write
from shared.kernel.events import Publisher, TopicMessage
from shared.kernel.ids import Uid
from shared.kernel.money import format_credits
from shared.ledger.account_documents import account_path, uid_of
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.views import EntryView

CREDIT_EVENTS = "credit-events"
RELAY_WINDOW = 100


class Follower(Protocol):
    """Projection of the journal, such as usage by day, that stores the number of the last entry it has read."""

    def follow(self, uid: Uid, to: int | None = None) -> int:
        """Project new entries, to entry `to` at least, and return the last projected entry.

        If the answer is below `to`, another call is needed.
        """
        ...


class Witness(Protocol):
    """Observer of single entries without a position. The relay moves its position only after the observer has acted."""

    def see(self, uid: Uid, entries: Sequence[EntryView]) -> None:
        """Act on these entries. The same entries may come again, so acting twice must have one effect."""
        ...


class Relay:
    """Publisher of the ledger's entries, followed by their projection.

    Two relays at the same time repeat each other's messages, and lose none.
    """

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        publisher: Publisher,
        followers: Sequence[Follower] = (),
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._publisher = publisher
        self._followers = followers
        self._witnesses = witnesses

    def pending(self, after: str | None, limit: int) -> list[tuple[str, Uid]]:
        """Return up to `limit` accounts with unpublished entries, each with the path of its marker, in the order of the
        paths.

        With `after`, begin behind this path.
        """
        query = Query(collection="outbox", group=True, limit=limit, after=None if after is None else (after,))
        return [(document.path, uid_of(document.path)) for document in self._documents.query(query)]

    def relay(self, uid: Uid) -> int:
        """Publish this account's new entries and return their number.

        Raises IntegrityFailed when an entry is missing.
        """
        marker, position = self._documents.get_all([marker_path(uid), position_path(uid)])
        if marker is None:
            return 0
        first, last = _seq(position) + 1, _seq(marker)
        for start in range(first, last + 1, RELAY_WINDOW):
            end = min(last, start + RELAY_WINDOW - 1)
            self._publish(uid, start, end)
            position = self._advance(uid, position, end)
            if position is None:
                return 0
        reached = [follower.follow(uid, last) for follower in self._followers]
        if all(seq >= last for seq in reached):
            self._remove(marker)
        return max(0, last - first + 1)

    def _publish(self, uid: Uid, first: int, last: int) -> None:
        entries = self._ledger.entries(uid, first, last)
        missing = sorted(set(range(first, last + 1)) - {entry.seq for entry in entries})
        if missing:
            raise IntegrityFailed(uid=uid, seq=missing[0], rule="sequence")
        self._publisher.publish([_message(uid, entry) for entry in entries])
        for witness in self._witnesses:
            witness.see(uid, entries)

    def _advance(self, uid: Uid, position: Document | None, seq: int) -> Document | None:
        """Store the relay's position. Return None if another relay was faster, which then continues."""
        path = position_path(uid)
        data: Data = {"uid": uid, "seq": seq}
        write: Write = Create(path, data) if position is None else Put(path, data, position.version)
        try:
            version = self._documents.commit([write])[0]
        except PreconditionFailed:
            return None
        return Document(path=path, data=data, version=version)

    def _remove(self, marker: Document) -> None:
        """Delete the marker, unless the marker has changed since the read."""
        try:
            self._documents.commit([Delete(marker.path, marker.version)])
        except PreconditionFailed:
            return


def marker_path(uid: Uid) -> str:
    """Return `accounts/{uid}/outbox/log`, the path of the marker. Entries up to the marker's `seq` exist."""
    return f"{account_path(uid)}/outbox/log"


def position_path(uid: Uid) -> str:
    """Return `accounts/{uid}/relay/position`. Entries up to the position's `seq` are published."""
    return f"{account_path(uid)}/relay/position"


def _seq(document: Document | None) -> int:
    value = 0 if document is None else document.data["seq"]
    assert isinstance(value, int), "a position is a sequence number"
    return value


def _message(uid: Uid, entry: EntryView) -> TopicMessage:
    data: Mapping[str, object] = {
        "type": "credits.entry",
        "uid": uid,
        "seq": entry.seq,
        "kind": entry.kind,
        "at": rfc3339(entry.at),
        "operation": entry.operation,
        "amount": format_credits(entry.amount),
        "available": format_credits(entry.balance_after),
        "held": format_credits(entry.held_after),
        "hash": entry.hash,
    }
    return TopicMessage(topic=CREDIT_EVENTS, data=data, ordering_key=uid)
