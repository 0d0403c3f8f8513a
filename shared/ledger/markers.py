"""Markers: a permanent document of each account tells how far the journal goes and which readers are behind.

`accounts/{uid}/outbox/log` has the number of the last entry and, for each reader, one number that is both a shard and
the time of the oldest commit that the reader has not followed; None if the reader has followed all commits. A commit
keeps the smaller number. A reader clears only the own number, on the version of the marker that was read. So no
reader removes the news of another, and one index finds the oldest news of each shard.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Data, Document, Documents, Order, Patch, Query, Upsert, Where
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path, uid_of
from shared.ledger.commands import Accrue, Command, ExtendHold, PlaceHold
from shared.ledger.decide import Decision
from shared.ledger.errors import IntegrityFailed
from shared.ledger.receipts import Receipt

RELAY, LOG = "relay", "log"
READERS = (RELAY, LOG)
"""Fields of a marker, one for each reader of the journal. The log clears a marker after the relay."""
MARKER_SHARDS = 64
SHARD_SPAN = 10**14
"""Distance between the numbers of two shards: more than any time in ms, and 64 of them are exact everywhere."""
SILENT_KINDS = frozenset({"hold", "extension"})


def marker_path(uid: Uid) -> str:
    """Return `accounts/{uid}/outbox/log`, the path of the marker. Entries up to the marker's `seq` exist."""
    return f"{account_path(uid)}/outbox/log"


def waiting_since(uid: Uid, at: Millis) -> int:
    """Return the number of a reader's field for news of the time `at`."""
    return _shard(uid) * SHARD_SPAN + at


def marker_write(uid: Uid, seq: int, at: Millis) -> Upsert:
    """Return the write that tells all readers of entries up to `seq`, committed at `at`."""
    minima = dict.fromkeys(READERS, waiting_since(uid, at))
    return Upsert(marker_path(uid), {"uid": uid, "seq": seq, "at": to_datetime(at)}, minima)


def is_any_news(documents: Documents) -> bool:
    """Return True if any marker waits for the log, which is the last reader to clear one. Reads one document.

    A marker that an older release wrote waits for the relay alone, and is not found.
    """
    anywhere = Query(collection="outbox", group=True, where=(Where(LOG, ">=", 0),), order_by=(Order(LOG),), limit=1)
    return bool(documents.query(anywhere))


def announced_seq(marker: Document) -> int:
    """Return the number of the last entry that the marker tells of.

    Raises IntegrityFailed if the ledger did not write the marker.
    """
    seq = marker.data.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise IntegrityFailed(uid=uid_of(marker.path), seq=0, rule="marker")
    return seq


def is_number_of(uid: Uid, number: object, before: Millis) -> bool:
    """Return True if the number is one of a reader's field in the marker of `uid`, for news from before `before`."""
    return isinstance(number, int) and waiting_since(uid, 0) <= number < waiting_since(uid, before)


def is_waiting(marker: Data, reader: str) -> bool:
    """Return True if the reader has not followed all commits. A marker of an older form has no field for any reader."""
    return reader not in marker or marker[reader] is not None


def clearing(marker: Document, reader: str, **told: int) -> Patch:
    """Return the write that clears the reader's field. The commit fails if the marker has changed since the read.

    `told` are numbers that the reader leaves in the marker.
    """
    return Patch(marker.path, {reader: None, **told}, marker.version)


def renewed_marker(marker: Document) -> Patch:
    """Return the write that gives a marker of an older form the relay's field: entries may be unpublished.

    Raises IntegrityFailed if the ledger did not write the marker.
    """
    at = marker.data.get("at")
    if not isinstance(at, datetime):
        raise IntegrityFailed(uid=uid_of(marker.path), seq=0, rule="marker")
    return Patch(marker.path, {RELAY: waiting_since(uid_of(marker.path), from_datetime(at))}, marker.version)


def are_silent(decisions: Iterable[tuple[Command, Decision[Receipt]]]) -> bool:
    """Return True if a commit only places and extends holds of model calls, so that no marker is needed.

    The end of each such hold writes a marker, at the end of the hold's lifetime at the latest.
    """
    return all(_is_silent(command, decision) for command, decision in decisions)


def _is_silent(command: Command, decision: Decision[Receipt]) -> bool:
    if not isinstance(command, PlaceHold | ExtendHold | Accrue):
        return False
    hold = decision.account.holds.get(command.hold)
    is_call = hold is not None and hold.model is not None and not hold.is_reservation
    return is_call and all(entry.kind in SILENT_KINDS for entry in decision.entries)


def _shard(uid: Uid) -> int:
    return hashlib.sha256(uid.encode()).digest()[0] % MARKER_SHARDS
