"""Release of a parked account: finds the last entry that log and account share, and lets the log go on behind it.

The entries that the account lost keep their leaves for ever. If an operator accepts a fork, the account's other entries
get leaves of their own, so that everybody can see both.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.kernel.clock import Millis
from shared.kernel.documents import Create, Delete, Documents, Patch, Put, Write
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid
from shared.ledger.document_paths import entry_path
from shared.ledger.log.head import EMPTY_HEAD
from shared.ledger.log.leaves import InvalidLeaf, entry_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.position import (
    LogPosition,
    Run,
    leaf_index,
    page_path,
    position_data,
    position_path,
    stored_page,
    stored_position,
)
from shared.ledger.log.tile_reader import TileReader, read_head
from shared.ledger.log.waiting import LOGGED
from shared.ledger.markers import LOG, marker_path, waiting_since
from shared.ledger.stored_entries import StoredEntry, stored_entry


class ForkFound(Conflict):
    """Error for an account that lacks entries of the log, or has others. Nothing was changed."""

    code = "log_fork"

    def __init__(self, seq: int, last: int) -> None:
        super().__init__(
            f"The log has entries {seq} to {last} of this account, and the account has not. Bring them back, or accept "
            "that the log shows both forms for ever (--accept-fork).",
            seq=seq,
            last=last,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRelease:
    """Release of an account. Entry `kept` is the last that log and account share; `lost` further ones are in the log
    alone.
    """

    kept: int
    lost: int
    was_parked: bool


def release_account(documents: Documents, uid: Uid, now: Millis, *, is_fork_accepted: bool = False) -> AccountRelease:
    """Let the log go on with a parked account, and let the sequencer visit the account with its next run.

    Does nothing for an account that is not parked. Raises ForkFound unless a fork is accepted; IntegrityFailed for a
    position that cannot be read, which must be brought back first; LogBroken; PreconditionFailed if another commit
    was faster.
    """
    position = stored_position(uid, documents.get(position_path(uid)))
    if position.parked is None:
        return AccountRelease(kept=position.seq, lost=0, was_parked=False)
    kept = _last_shared(documents, position)
    if kept < position.seq and not is_fork_accepted:
        raise ForkFound(kept + 1, position.seq)
    documents.commit(_release_writes(documents, position, kept, now))
    return AccountRelease(kept=kept, lost=position.seq - kept, was_parked=True)


def _last_shared(documents: Documents, position: LogPosition) -> int:
    """Return the last entry of the account whose leaf the log has at the entry's place, 0 if none.

    Each entry has the hash of the one before, so that halving finds the place where the chains part.
    """
    tiles = TileReader(documents, read_head(documents) or EMPTY_HEAD)
    shared, other = 0, position.seq + 1
    while other - shared > 1:
        seq = (shared + other) // 2
        if _is_in_log(documents, position, tiles, seq):
            shared = seq
        else:
            other = seq
    return shared


def _is_in_log(documents: Documents, position: LogPosition, tiles: TileReader, seq: int) -> bool:
    entry, index = _entry(documents, position.uid, seq), leaf_index(documents, position, seq)
    if entry is None or index is None:
        return False
    try:
        return leaf_hash(entry_leaf(entry.hash, entry.signature)) == tiles.hash_at(0, index)
    except InvalidLeaf:
        return False


def _entry(documents: Documents, uid: Uid, seq: int) -> StoredEntry | None:
    document = documents.get(entry_path(uid, seq))
    return None if document is None else stored_entry(document)


def _release_writes(documents: Documents, position: LogPosition, kept: int, now: Millis) -> list[Write]:
    uid = position.uid
    released, gone = _cut(documents, replace(position, parked=None), kept)
    data = position_data(released)
    path = position_path(uid)
    writes: list[Write] = [Create(path, data) if position.version is None else Put(path, data, position.version)]
    writes += [Delete(page_path(uid, number)) for number in gone]
    if documents.get(marker_path(uid)) is not None:
        told = {LOGGED: kept} if kept < position.seq else {}
        writes.append(Patch(marker_path(uid), {LOG: waiting_since(uid, now), **told}))
    return writes


def _cut(documents: Documents, position: LogPosition, kept: int) -> tuple[LogPosition, Iterable[int]]:
    """Return the position up to entry `kept`, and the numbers of the pages that are part of it no more."""
    if kept == position.seq:
        return position, ()
    last = _entry(documents, position.uid, kept) if kept else None
    hash_ = "" if last is None else last.hash
    runs, pages = position.runs, position.pages
    if pages and (not runs or kept < runs[0].seq):
        number = max(0, sum(first <= kept for first in pages) - 1)
        runs = stored_page(position.uid, documents.get(page_path(position.uid, number)))
        pages = pages[:number]
    cut = _up_to(runs, kept)
    return replace(position, seq=kept, hash=hash_, runs=cut, pages=pages), range(len(pages), len(position.pages))


def _up_to(runs: Iterable[Run], kept: int) -> tuple[Run, ...]:
    return tuple(run for run in runs if run.seq <= kept)
