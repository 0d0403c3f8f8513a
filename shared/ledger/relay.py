"""Relay: the publisher that follows the markers and publishes each account's entries, in order, at least once.

A relay first claims the account's position by a short lease, so that each entry is read and published once. After the
messages are published, one commit moves the position and adds the entries to the usage by day. The marker is cleared
after that, in a commit of its own, on the version that was read. If a relay ends anywhere in between, the next relay
publishes again once the lease is over. So a subscriber may see an entry twice, but never before an earlier entry of the
account. The subscriber stores the last `seq` seen and fetches missing entries.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import orjson

from shared.kernel.clock import SECOND, Clock, Millis, rfc3339
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document, Documents, Order, OutcomeUnknown, PreconditionFailed, Query, Where, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import Publisher, TopicMessage
from shared.kernel.ids import Uid, random_token
from shared.kernel.money import format_credits
from shared.kernel.schemas import stored_fields
from shared.ledger.analytics import clear_days, folded_days
from shared.ledger.ledger import Ledger
from shared.ledger.markers import RELAY, SHARD_SPAN, announced_seq, clearing, is_any_news, is_waiting, marker_path
from shared.ledger.positions import JournalPosition, commit_position, read_position
from shared.ledger.redactions import usage_body
from shared.ledger.stored_entries import StoredEntry
from shared.ledger.usage import UsageFold
from shared.ledger.views import EntryView, entry_view

CREDIT_EVENTS = "credit-events"
AddedUsage: TypeAlias = tuple[UsageFold, Sequence[Write]]
"""Usage with the entries of a window, and the writes of the changed days."""
RELAY_WINDOW = 200
"""Largest number of entries that are published together."""
RELAY_SECONDS = 60.0
"""Most seconds that one call follows an account whose entries keep coming. The job `relay` finds the rest."""
LEASE: Millis = 20 * SECOND
"""Time of a claim: longer than publishing and two commits may take."""
PACE: Millis = SECOND
"""Least time between two windows of an account. Entries of a busy account are collected meanwhile, into one window."""
QUIET: Millis = 5 * SECOND
"""Least time after a window until a few entries of the account are published without a claim."""
UNCLAIMED_MAX = 2
"""Most entries that are published without a claim: those of a call."""
ATTEMPTS_MAX = 8
PAUSE_SECONDS = 0.05


class Witness(Protocol):
    """Observer of single entries without a position. The relay moves its position only after the observer has acted."""

    def see(self, uid: Uid, entries: Sequence[EntryView]) -> None:
        """Act on these entries. The same entries may come again, so acting twice must have one effect."""
        ...


class Relay:
    """Publisher of the ledger's entries, which also adds them to the usage by day.

    Safe to share between threads and instances.
    """

    def __init__(
        self,
        documents: Documents,
        ledger: Ledger,
        publisher: Publisher,
        clock: Clock,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._publisher = publisher
        self._clock = clock
        self._witnesses = witnesses

    def is_any_news(self) -> bool:
        """Return True if any entries may be unpublished or outside the log; see `markers.is_any_news`."""
        return is_any_news(self._documents)

    def is_any_waiting(self) -> bool:
        """Return True if the entries of any account are unpublished. Reads one document."""
        anywhere = Query(
            collection="outbox", group=True, where=(Where(RELAY, ">=", 0),), order_by=(Order(RELAY),), limit=1
        )
        return bool(self._documents.query(anywhere))

    def waiting(self, shard: int, before: Millis, limit: int, after: Document | None = None) -> list[Document]:
        """Return up to `limit` markers of a shard with unpublished entries from before `before`, the oldest first.

        With `after`, begin behind this marker.
        """
        first = shard * SHARD_SPAN
        query = Query(
            collection="outbox",
            group=True,
            where=(Where(RELAY, ">=", first), Where(RELAY, "<", first + before)),
            order_by=(Order(RELAY),),
            limit=limit,
            after=None if after is None else (stored_fields(after)[RELAY], after.path),
        )
        return self._documents.query(query)

    def relay(self, uid: Uid, marker: Document | None = None, deadline: Deadline | None = None) -> int:
        """Publish this account's new entries, add them to the usage, clear the marker, and return their number.

        `marker` is the marker as read by the caller; None: not read yet. Does nothing while another relay works on the
        account, since that relay finds the marker too. Raises IntegrityFailed, before anything is published, if one of
        the next entries is missing or was not written by the ledger; UnknownKey; PreconditionFailed or OutcomeUnknown
        after repeated failed commits.
        """
        marker = marker or self._documents.get(marker_path(uid))
        if marker is None or not is_waiting(marker.data, RELAY):
            return 0
        turn = _RelayTurn(
            uid=uid,
            documents=self._documents,
            ledger=self._ledger,
            publisher=self._publisher,
            witnesses=self._witnesses,
            clock=self._clock,
            deadline=deadline or Deadline.within(self._clock, RELAY_SECONDS),
        )
        return turn.follow(marker)


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class _RelayTurn:
    """Work of one relay on one account, with the number of entries published."""

    uid: Uid
    documents: Documents
    ledger: Ledger
    publisher: Publisher
    witnesses: Sequence[Witness]
    clock: Clock
    deadline: Deadline
    token: str = field(default_factory=random_token)
    count: int = 0
    is_first: bool = True

    def follow(self, marker: Document) -> int:
        """Publish until the marker is cleared, and return the number of published entries.

        Every commit of the account changes the marker. So if the marker cannot be cleared, there are newer entries, and
        their own trigger may have found this relay at work and ended.
        """
        position, waiting = read_position(self.documents, self.uid), marker
        while True:
            reached = self._reach(position, announced_seq(waiting))
            if reached is None or self._is_cleared(waiting) or self.deadline.is_over():
                return self.count
            found = self.documents.get(waiting.path)
            if found is None or not is_waiting(found.data, RELAY):
                return self.count
            if found.version == waiting.version:
                self.clock.wait(PAUSE_SECONDS)  # the clearing was unclear, and nobody has news
            position, waiting = reached, found

    def _reach(self, position: JournalPosition, seq: int) -> JournalPosition | None:
        """Return the position moved to entry `seq` at least; None if another relay works or the time is up."""
        while position.is_behind(seq):
            if position.token == self.token or self._needs_no_claim(position, seq):
                position = self._window(position, seq)
            elif self.deadline.is_over() or position.is_leased(self.clock.now()):
                return None
            else:
                position = self._claimed(position)
        return position

    def _needs_no_claim(self, position: JournalPosition, seq: int) -> bool:
        """Return True once, if few entries come after a pause: the next window is published without a claim.

        Another relay that works on the account at the same time may then publish these entries again.
        """
        is_first, self.is_first = self.is_first, False
        return is_first and _is_quiet(position, seq, self.clock.now())

    def _claimed(self, position: JournalPosition) -> JournalPosition:
        """Return the position claimed for this relay; the position as read again if another commit was faster."""
        claim = replace(position, token=self.token, leased_until=self.clock.now() + LEASE)
        try:
            claimed = commit_position(self.documents, claim)
        except (PreconditionFailed, OutcomeUnknown):
            self.clock.wait(PAUSE_SECONDS)
            return read_position(self.documents, self.uid)
        self._collect(claimed)
        return claimed

    def _collect(self, position: JournalPosition) -> None:
        """Wait for more entries of an account whose last window has just been published."""
        rest = min(PACE, position.moved_at + PACE - self.clock.now())
        if rest > 0:
            self.clock.wait(rest / SECOND)

    def _window(self, position: JournalPosition, seq: int) -> JournalPosition:
        """Publish the next entries and move the position. After an error, free the position for the next relay.

        The usage is read first, so that entries are not published again and again while the usage cannot be read.
        """
        try:
            if position.is_clearing:
                cleared, removed = clear_days(self.documents, self.uid, position)
                return self._stored(cleared, removed, is_over=self.deadline.is_over())
            is_news = position.published < seq
            first = (position.published if is_news else position.usage.seq) + 1
            entries = self.ledger.sound_entries(
                self.uid,
                first,
                first + RELAY_WINDOW - 1,
                least=min(seq, first + RELAY_WINDOW - 1),
                before=position.hash if is_news else "",
            )
            added = self._added_up(position, entries)
            self._publish([entry for entry in entries if entry.seq > position.published])
            return self._advance(position, entries, seq, added)
        except Exception:
            if position.token == self.token:
                with suppress(DomainError):
                    commit_position(self.documents, position.freed())
            raise

    def _publish(self, entries: Sequence[StoredEntry]) -> None:
        if not entries:
            return
        views = [entry_view(entry) for entry in entries]
        self.publisher.publish([_message(self.uid, view) for view in views])
        for witness in self.witnesses:
            witness.see(self.uid, views)
        self.count += len(views)

    def _advance(
        self, position: JournalPosition, entries: Sequence[StoredEntry], seq: int, added: AddedUsage
    ) -> JournalPosition:
        """Store that the entries are published and added up, in one commit. Keep the claim if more are to come in time.

        If another instance has done the same or holds the claim now, return the position as read again.
        Raises PreconditionFailed or OutcomeUnknown after repeated failed commits.
        """
        last, token = entries[-1], position.token
        for attempt in range(1, ATTEMPTS_MAX + 1):
            usage, days = added
            after = replace(position, usage=usage)
            if last.seq > position.published:
                after = replace(after, published=last.seq, hash=last.hash, moved_at=self.clock.now())
            try:
                return self._stored(after, days, is_over=self.deadline.is_over() or not after.is_behind(seq))
            except (PreconditionFailed, OutcomeUnknown):
                if attempt == ATTEMPTS_MAX:
                    raise
            self.clock.wait(PAUSE_SECONDS)
            position = read_position(self.documents, self.uid)
            if position.token != token or not position.is_behind(last.seq):
                break
            added = self._added_up(position, entries)
        return position

    def _added_up(self, position: JournalPosition, entries: Sequence[StoredEntry]) -> AddedUsage:
        """Return the usage with the entries that come next, and the writes of the changed days."""
        rest = [entry for entry in entries if entry.seq > position.usage.seq]
        if position.is_clearing or not rest or rest[0].seq != position.usage.seq + 1:
            return position.usage, ()
        return folded_days(self.documents, self.uid, position.usage, [_body_of(entry) for entry in rest])

    def _stored(self, position: JournalPosition, days: Sequence[Write], *, is_over: bool) -> JournalPosition:
        """Store the position with the changed days, freed for other relays if this one `is_over`."""
        renewed = replace(position, token=self.token, leased_until=self.clock.now() + LEASE)
        return commit_position(self.documents, position.freed() if is_over else renewed, *days)

    def _is_cleared(self, marker: Document) -> bool:
        """Clear the marker. Return False if the marker has changed since the read, or may have."""
        try:
            self.documents.commit([clearing(marker, RELAY)])
        except (PreconditionFailed, OutcomeUnknown):
            return False
        return True


def _body_of(entry: StoredEntry) -> Mapping[str, Any]:
    return usage_body(orjson.loads(entry.body), entry.redaction)


def _is_quiet(position: JournalPosition, seq: int, now: Millis) -> bool:
    """Return True if few entries come after a pause, and no relay works on the account."""
    return (
        seq - position.published <= UNCLAIMED_MAX
        and now - position.moved_at >= QUIET
        and position.usage.seq == position.published
        and not (position.is_leased(now) or position.is_clearing)
    )


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
