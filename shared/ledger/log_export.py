"""Export of everything up to one size of the log: all accounts' entries, and the other leaves of the log.

The lines depend on the size alone, and not on entries that are written meanwhile. So an interrupted export continues
behind the last account in the file, and the same export can be made again. The lines are those of
`shared.ledger.export_format`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared.kernel.canonical import Json, canonical
from shared.kernel.documents import Document, Documents, Query
from shared.kernel.errors import Conflict
from shared.kernel.events import log_error
from shared.kernel.ids import Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account_documents import uid_of
from shared.ledger.errors import IntegrityFailed
from shared.ledger.export import entry_pages, entry_record, header_record
from shared.ledger.export_evidence import ExportEvidenceReader
from shared.ledger.export_format import HASHES_AT_ONCE, LOG_SCOPE, RUNS_AT_ONCE
from shared.ledger.export_redacted import RedactedLines
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import to_base64
from shared.ledger.log.head import EMPTY_HEAD, LogBroken
from shared.ledger.log.position import LogPosition, Run, page_path, stored_page, stored_position
from shared.ledger.log.tile_reader import TileReader, read_head
from shared.ledger.log.tiles import TILE_WIDTH
from shared.ledger.log.typed_leaves import LEAVES, TypedLeaf, stored_leaf
from shared.ledger.log.waiting import is_position, positions_behind
from shared.ledger.redaction_store import Redactions
from shared.ledger.store import AccountStore

POSITIONS_AT_ONCE = 50
LEAVES_AT_ONCE = 50


class NoCheckpoint(Conflict):
    """Refusal to export a log that has no signed checkpoint, or whose checkpoint cannot be proven."""

    code = "no_checkpoint"

    def __init__(self) -> None:
        super().__init__("The log has no checkpoint that its leaves prove. `log-status` compares them.")


class ExportedAccountGone(Conflict):
    """Refusal to go on with an export whose last account has no position in the log any more."""

    code = "exported_account_gone"

    def __init__(self, uid: Uid) -> None:
        super().__init__(f"The log has no position of {uid} any more, the last account in the file.", uid=uid)


@dataclass(slots=True)
class CoveredLeaves:
    """Leaves that an export has, as one bit each: 16 MiB for a log of 2^27 leaves."""

    size: int
    _bits: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self._bits = bytearray(self.size // 8 + 1)

    def add(self, first: int, end: int) -> None:
        """Count the leaves from `first` to before `end`."""
        for index in range(first, min(end, self.size)):
            self._bits[index >> 3] |= 1 << (index & 7)

    def gaps(self) -> Iterator[range]:
        """Yield the leaves that are not counted, as ranges that each lie within one tile."""
        for start in range(0, self.size, TILE_WIDTH):
            end = min(start + TILE_WIDTH, self.size)
            missing = [index for index in range(start, end) if not self._bits[index >> 3] >> (index & 7) & 1]
            while missing:
                count = next((at for at, index in enumerate(missing) if index != missing[0] + at), len(missing))
                yield range(missing[0], missing[0] + count)
                missing = missing[count:]


class LogExport:
    """Export of the log of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._ledger = ledger
        self._store = AccountStore(documents, keys, ledger)

    def header(self) -> str:
        """Return the header of an export up to the served checkpoint. Raises NoCheckpoint, StoreUnavailable."""
        evidence = ExportEvidenceReader(self._documents, self._keys, self._ledger).read()
        if evidence is None:
            raise NoCheckpoint
        log: Mapping[str, Json] = {"keys": evidence.log["keys"]}
        fields: Mapping[str, Json] = {**replace(evidence, log=log).fields, "scope": LOG_SCOPE}
        return _line(header_record(self._keys, self._ledger, fields))

    def lines(self, size: int, behind: Uid | None = None) -> Iterator[str]:
        """Yield the lines behind the header, for the first `size` leaves.

        `behind` is the last account that an interrupted export has; None for a new one. Memory holds one page of
        entries, the runs of one account, and a bit for each leaf. Raises ExportedAccountGone if that account is gone,
        LogBroken, StoreUnavailable.
        """
        covered, is_reached = CoveredLeaves(size), behind is None
        redactions = Redactions(self._documents, self._keys, self._ledger)
        redacted = RedactedLines(self._documents, redactions, size, read_head(self._documents) or EMPTY_HEAD)
        for position in self._positions():
            every = list(self._runs(position))
            runs = [run for run in every if run.index < size]
            if not runs:
                continue
            end = every[len(runs)].seq if len(runs) < len(every) else position.seq + 1
            last = min(end - 1, runs[-1].seq + size - runs[-1].index - 1)
            _cover(covered, runs, last)
            if is_reached:
                yield from self._account(position.uid, runs, last, redacted)
            is_reached = is_reached or position.uid == behind
        if behind is not None and not is_reached:
            raise ExportedAccountGone(behind)
        yield from self._typed_leaves(covered)
        yield from self._gaps(covered)

    def _positions(self) -> Iterator[LogPosition]:
        after = ""
        while found := positions_behind(self._documents, after, POSITIONS_AT_ONCE):
            after = found[-1].path
            yield from (position for each in found if is_position(each) and (position := _read(each)) is not None)

    def _runs(self, position: LogPosition) -> Iterator[Run]:
        for number in range(len(position.pages)):
            yield from stored_page(position.uid, self._documents.get(page_path(position.uid, number)))
        yield from position.runs

    def _account(self, uid: Uid, runs: Sequence[Run], last: int, redacted: RedactedLines) -> Iterator[str]:
        """Yield the lines of an account: places, entries, and the last line. Missing entries are left out."""
        for start in range(0, len(runs), RUNS_AT_ONCE):
            some = [[run.seq, run.index] for run in runs[start : start + RUNS_AT_ONCE]]
            yield _line({"type": "runs", "uid": uid, "runs": some})
        for page in entry_pages(self._store, uid, 1, last):
            for entry in page:
                if 1 <= entry.seq <= last:
                    yield _line(entry_record(entry) if entry.redaction is None else redacted.line(uid, entry))
        yield _line({"type": "logged", "uid": uid, "last": last})

    def _typed_leaves(self, covered: CoveredLeaves) -> Iterator[str]:
        """Yield the leaves of other kinds than entries. Documents that wait for the log have no index yet."""
        after: str | None = None
        while True:
            query = Query(collection=LEAVES, limit=LEAVES_AT_ONCE, after=None if after is None else (after,))
            found = self._documents.query(query)
            for document in found:
                leaf = _leaf(document)
                if leaf is not None and leaf.index is not None and 0 <= leaf.index < covered.size:
                    covered.add(leaf.index, leaf.index + 1)
                    yield _line({"type": "leaf", "index": leaf.index, "data": leaf.data.decode()})
            if len(found) < LEAVES_AT_ONCE:
                return
            after = found[-1].path

    def _gaps(self, covered: CoveredLeaves) -> Iterator[str]:
        """Yield the hashes of the leaves whose entries the database has no more: after a restore, or a fork."""
        head = read_head(self._documents) or EMPTY_HEAD
        for gap in covered.gaps():
            assert len(gap) <= HASHES_AT_ONCE, "a gap lies within one tile"
            tile = TileReader(self._documents, head)
            hashes: list[Json] = [to_base64(tile.hash_at(0, index)) for index in gap]
            yield _line({"type": "gap", "index": gap.start, "hashes": hashes})


def _leaf(document: Document) -> TypedLeaf | None:
    """Return the leaf in a document. None for a broken one: its hash alone is exported."""
    try:
        return stored_leaf(document)
    except (LogBroken, SchemaUnknown) as error:
        log_error("log_export_leaf", error, path=document.path)
        return None


def _read(document: Document) -> LogPosition | None:
    """Return the position in a document. None for a broken one: its leaves are exported as hashes alone."""
    uid = uid_of(document.path)
    try:
        return stored_position(uid, document)
    except (IntegrityFailed, SchemaUnknown) as error:
        log_error("log_export_position", error, uid=uid)
        return None


def _cover(covered: CoveredLeaves, runs: Sequence[Run], last: int) -> None:
    for run, after in zip(runs, [*runs[1:], Run(last + 1, 0)], strict=True):
        covered.add(run.index, run.index + after.seq - run.seq)


def _line(record: Mapping[str, Json]) -> str:
    return canonical(record).decode() + "\n"
