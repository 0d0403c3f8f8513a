"""One round of the sequencer as a pure plan: from the head and the positions as read, the writes of one commit.

The plan never reads. Entries, positions and typed leaves were read after the head, so that they can only be newer than
the head. A position that is newer than the head therefore means that the head has moved or was rolled back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TypeAlias

import orjson

from shared.kernel.clock import Millis
from shared.kernel.documents import Create, Data, Document, Put, Version, Write
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.books import LedgerBooks, books_text, stated
from shared.ledger.log.figure_documents import FigureHead
from shared.ledger.log.figure_lots import LotForgotten
from shared.ledger.log.figures import DayFigures, FiguredAccount, figures_of
from shared.ledger.log.head import HEAD_PATH, TreeHead, appended, head_data, tile_path
from shared.ledger.log.leaves import InvalidLeaf, entry_leaf
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.position import (
    PAGE_RUNS_MAX,
    POSITION_RULE,
    RUNS_MAX,
    LogPosition,
    ParkedAt,
    Run,
    page_data,
    page_path,
    position_data,
    position_path,
    stored_page,
)
from shared.ledger.log.typed_leaves import indexed, stored_leaf
from shared.ledger.log.world_moves import WorldMove, moves_in, moves_write
from shared.ledger.stored_entries import StoredEntry

ROUND_BYTES_MAX = 4 * 2**20
"""Most bytes of the documents of accounts in one commit. Firestore takes 10 MiB with all that is around them."""
RULE_SEQUENCE, RULE_ROLLBACK = "sequence", "rollback"

CheckLinks: TypeAlias = Callable[[Uid, Sequence[StoredEntry], int, str], None]
"""Check of an account's new entries: the account, the entries, the number of the first, and the hash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Account of which the log may lack entries. Entries 1 to `seq` exist if nobody has tampered with the account.

    `logged` is an entry that the log has for sure, 0 if unknown.
    """

    uid: Uid
    seq: int
    logged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AccountRead:
    """Account as read for a round: the position, the wanted entries that exist, and the last page of older runs.

    `lots` are the kinds of lots that the figures had forgotten; True: the lot was bought.
    """

    visit: Visit
    position: LogPosition
    wanted: Sequence[int] = ()
    entries: Mapping[int, StoredEntry] = field(default_factory=dict)
    page: Document | None = None
    lots: Mapping[str, bool] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class RoundPlan:
    """Writes of a round, and the accounts by outcome.

    `books` are the sums of the log with the new entries, `figures` the state of the figures with them, `moves` the
    credits from and to the outside.

    `moved`: the log gets entries. `rest`: entries are left for another round. `current`: the log has all entries.
    `faults`: an entry broke a law, so that the account is parked. `left` and `left_leaves`: an account, or a typed leaf
    by its path, that is left as it is, with the code of the error.
    """

    head: TreeHead
    books: LedgerBooks = field(default_factory=LedgerBooks)
    figures: FigureHead = field(default_factory=FigureHead)
    hashes: list[bytes] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    moved: dict[Uid, int] = field(default_factory=dict)
    rest: list[Visit] = field(default_factory=list)
    current: list[Uid] = field(default_factory=list)
    faults: dict[Uid, ParkedAt] = field(default_factory=dict)
    parked: dict[Uid, ParkedAt] = field(default_factory=dict)
    left: dict[Uid, str] = field(default_factory=dict)
    left_leaves: dict[str, str] = field(default_factory=dict)
    last_entries: dict[Uid, StoredEntry] = field(default_factory=dict)
    moves: list[WorldMove] = field(default_factory=list)
    bytes: int = 0

    @property
    def next_index(self) -> int:
        """Index of the next leaf."""
        return self.head.size + len(self.hashes)

    def commit_writes(self, version: Version | None, now: Millis) -> list[Write]:
        """Return all writes of the round, the head first. `version` is that of the head as read; None: no head.

        A round that only parks accounts leaves the head as it is.
        """
        if not self.hashes and version is not None:
            return self.writes
        grown = appended(self.head, self.hashes)
        data = {**head_data(grown.head), "books": books_text(self.books), **self.figures.data()}
        head = Create(HEAD_PATH, data) if version is None else Put(HEAD_PATH, data, version)
        tiles = [Create(tile_path(*place), {"hashes": tile}) for place, tile in grown.tiles.items()]
        moves = [moves_write(self.head.size, self.moves, now)] if self.moves else []
        return [head, *tiles, *moves, *self.writes]


def add_leaf(plan: RoundPlan, document: Document) -> None:
    """Add a typed leaf that waits. Raises LogBroken for a document without a leaf."""
    leaf = stored_leaf(document)
    if leaf.index is None:
        plan.writes.append(indexed(document, plan.next_index))
        plan.hashes.append(leaf_hash(leaf.data))


def add_account(plan: RoundPlan, read: AccountRead, check: CheckLinks) -> None:
    """Add the account's new entries to the plan, or park the account if an entry breaks a law. Raises UnknownKey."""
    uid = read.visit.uid
    if read.position.parked is not None:
        plan.parked[uid] = read.position.parked
        return
    if read.visit.seq > read.position.seq and not read.wanted:
        plan.rest.append(read.visit)
        return
    try:
        new = _new_entries(read, check)
        if new and not _add_entries(plan, read, new):
            plan.rest.append(read.visit)
            return
    except IntegrityFailed as failure:
        park(plan, read.position, ParkedAt(seq=int(failure.params["seq"]), rule=str(failure.params["rule"])))
        return
    if read.position.seq + len(new) < read.visit.seq:
        plan.rest.append(read.visit)
    elif not new:
        plan.current.append(uid)


def park(plan: RoundPlan, position: LogPosition, fault: ParkedAt) -> None:
    """Park the account: the log passes it over until an operator releases it."""
    write = _position_write(replace(position, parked=fault))
    plan.faults[position.uid] = fault
    plan.bytes += _size(write)
    plan.writes.append(write)


def wanted_entries(position: LogPosition, visit: Visit, most: int) -> Sequence[int]:
    """Return the entries to read: the next ones, at most `most`; if there are none, the last one that the log has."""
    if position.parked is not None:
        return ()
    if visit.seq > position.seq:
        return range(position.seq + 1, min(visit.seq, position.seq + most) + 1)
    return (position.seq,) if position.seq else ()


def page_to_extend(position: LogPosition) -> str | None:
    """Return the path of the page to which the position's runs move if one more would be too many, else None."""
    is_full = len(position.runs) >= RUNS_MAX and position.pages
    return page_path(position.uid, len(position.pages) - 1) if is_full else None


def _new_entries(read: AccountRead, check: CheckLinks) -> list[StoredEntry]:
    """Return the sound entries behind the position. Raises IntegrityFailed for the first entry that breaks a law.

    The last entry in the log must be that of the account. An account that was rolled back gets no more leaves.
    """
    position, visit = read.position, read.visit
    if position.seq < visit.logged:
        raise IntegrityFailed(uid=visit.uid, seq=position.seq + 1, rule=POSITION_RULE)
    if visit.seq <= position.seq:
        last = read.entries.get(position.seq)
        if position.seq and (last is None or last.hash != position.hash):
            raise IntegrityFailed(uid=visit.uid, seq=min(visit.seq + 1, position.seq), rule=RULE_ROLLBACK)
        return []
    new = [read.entries[seq] for seq in takewhile(read.entries.__contains__, read.wanted)]
    check(visit.uid, new, position.seq + 1, position.hash)
    if len(new) < len(read.wanted) or not new:
        raise IntegrityFailed(uid=visit.uid, seq=position.seq + 1 + len(new), rule=RULE_SEQUENCE)
    return new


def _add_entries(plan: RoundPlan, read: AccountRead, new: Sequence[StoredEntry]) -> bool:
    """Add the entries' leaves and the moved position. Return False if the commit has no room for its documents."""
    hashes = [_hash_of(read.visit.uid, entry) for entry in new]
    position, spilled = _spilled(read.position, read.page)
    books, moves = _books_with(plan.books, read, new)
    figured, days = _figures_with(plan.figures, read, new)
    moved = position.moved(len(new), new[-1].hash, plan.next_index, stated(orjson.loads(new[-1].body)))
    writes = [_position_write(replace(moved, figured=figured)), *spilled]
    size = sum(map(_size, writes))
    if plan.bytes and plan.bytes + size > ROUND_BYTES_MAX:
        return False
    plan.books = books
    plan.figures = plan.figures.with_account(days, is_behind=figured.seq != moved.seq)
    plan.moves += moves
    plan.bytes += size
    plan.writes += writes
    plan.hashes += hashes
    plan.moved[position.uid] = len(new)
    plan.last_entries[position.uid] = new[-1]
    return True


def _books_with(
    books: LedgerBooks, read: AccountRead, new: Sequence[StoredEntry]
) -> tuple[LedgerBooks, list[WorldMove]]:
    """Return the books with the new entries, and the entries' moves from and to the outside.

    Raises IntegrityFailed for the first entry that cannot be summed.
    """
    before, moves = read.position.balances, list[WorldMove]()
    for entry in new:
        try:
            body = orjson.loads(entry.body)
            books, before = books.with_entries([body], before), stated(body)
            moves += moves_in(read.visit.uid, body)
        except (AttributeError, KeyError, TypeError) as error:
            raise IntegrityFailed(uid=read.visit.uid, seq=entry.seq, rule="canonical") from error
    return books, moves


def _figures_with(
    figures: FigureHead, read: AccountRead, new: Sequence[StoredEntry]
) -> tuple[FiguredAccount, Mapping[str, DayFigures]]:
    """Return the account's memory and the figures of the new entries.

    An account that is behind stays as it is. So does an account with entries of more days than a commit has room for,
    or with a forgotten lot that was not found. The job `figures` counts these accounts. Raises IntegrityFailed for
    entries that cannot be counted.
    """
    known, generation = read.position.figured, figures.generation
    if known.at(generation).seq != read.position.seq:
        return known, {}
    try:
        figured, days = figures_of(known.at(generation), (orjson.loads(entry.body) for entry in new), read.lots)
    except LotForgotten:
        log("entries_not_counted", "WARNING", uid=read.visit.uid, seq=new[0].seq)
        return known, {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise IntegrityFailed(uid=read.visit.uid, seq=new[0].seq, rule="canonical") from error
    return (figured, days) if figures.has_room_for(days) else (known, {})


def _hash_of(uid: Uid, entry: StoredEntry) -> bytes:
    try:
        return leaf_hash(entry_leaf(entry.hash, entry.signature))
    except InvalidLeaf as error:
        raise IntegrityFailed(uid=uid, seq=entry.seq, rule="signature") from error


def _spilled(position: LogPosition, page: Document | None) -> tuple[LogPosition, list[Write]]:
    """Return the position without its runs and the write of their page, if the runs are many."""
    if len(position.runs) < RUNS_MAX:
        return position, []
    uid, number = position.uid, len(position.pages) - 1
    known: tuple[Run, ...] = stored_page(uid, page) if position.pages else ()
    runs = (*known, *position.runs[:-1])
    kept = position.runs[-1:]
    if position.pages and page is not None and len(runs) <= PAGE_RUNS_MAX:
        write: Write = Put(page.path, page_data(runs), page.version)
        return replace(position, runs=kept), [write]
    pages = (*position.pages, position.runs[0].seq)
    write = Put(page_path(uid, number + 1), page_data(position.runs[:-1]))
    return replace(position, runs=kept, pages=pages), [write]


def _position_write(position: LogPosition) -> Write:
    path, data = position_path(position.uid), position_data(position)
    return Create(path, data) if position.version is None else Put(path, data, position.version)


def _size(write: Write) -> int:
    """Return about the size of a position or page, in bytes."""
    return 300 + sum(_length(value) for value in _state_of(write).values())


def _state_of(write: Write) -> Data:
    assert isinstance(write, Create | Put), "positions and pages are written whole"
    state = write.data["state"]
    assert isinstance(state, Mapping), "positions and pages have one map"
    return state


def _length(value: object) -> int:
    return len(value) if isinstance(value, bytes) else 0
