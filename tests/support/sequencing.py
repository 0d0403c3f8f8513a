"""A log over many accounts whose entries are made in bulk, and the checks that the log is the tree that it must be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.kernel.canonical import canonical
from shared.kernel.clock import Millis
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Documents, Put, Query, Upsert, Version, Write
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path, uid_of
from shared.ledger.document_paths import entry_path
from shared.ledger.entries import Entry, Kind, body_hash, genesis
from shared.ledger.log.leaves import entry_leaf
from shared.ledger.log.merkle import leaf_hash, root_of
from shared.ledger.log.position import (
    LogPosition,
    leaf_index,
    page_path,
    position_path,
    stored_page,
    stored_position,
)
from shared.ledger.log.sequencer import Sequencer
from shared.ledger.log.tile_reader import read_head
from shared.ledger.log.typed_leaves import LEAVES, stored_leaf
from shared.ledger.log.waiting import is_position
from shared.ledger.markers import LOG, RELAY, marker_write
from shared.ledger.stored_entries import StoredEntry, entry_data, stored_entry
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.accounts.log_sweep import LogSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.faults import FaultyDocuments
from tests.support.ledgers import KEYS, ledger_on

LEDGER = "demo-test"
RUN_SECONDS = 55.0
PAGE = 1_000


class WriteCounting(FaultyDocuments):
    """Documents that count reads, writes and commits of the head, with the time of each such commit."""

    def __init__(self, inner: Documents, clock: ManualClock) -> None:
        super().__init__(inner)
        self.clock = clock
        self.writes = 0
        self.head_commits: list[Millis] = []

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        versions = super().commit(writes, timeout_seconds=timeout_seconds)
        self.writes += len(writes)
        if any(write.path == "ledger_log/head" for write in writes):
            self.head_commits.append(self.clock.now())
        return versions


@dataclass
class EntryMill:
    """Writer of sound entries without their accounts' states: the chain, the signatures and the markers are real."""

    documents: Documents
    clock: ManualClock = field(default_factory=ManualClock)
    heads: dict[Uid, tuple[int, str]] = field(default_factory=dict)

    def grow(self, uids: Iterable[Uid], count: int, *, kind: Kind = "charge", is_told: bool = True) -> None:
        """Add `count` entries to each account, in one commit for each account. `is_told`: the marker is written."""
        for uid in uids:
            writes: list[Write] = [self.entry_write(uid, kind) for _ in range(count)]
            seq = self.heads[uid][0]
            writes.append(Put(account_path(uid), {"seq": seq}))
            if is_told:
                writes.append(published_marker(uid, seq, self.clock.now()))
            self.documents.commit(writes)

    def entry_write(self, uid: Uid, kind: Kind = "charge", **changes: object) -> Put:
        """Return the write of the account's next entry, and take note of its place in the chain."""
        seq, before = self.heads.get(uid, (0, genesis(LEDGER, uid)))
        at = changes.pop("at", self.clock.now())
        entry = made_entry(uid, seq + 1, before, at, kind, **changes)  # type: ignore[arg-type]  # a time
        self.heads[uid] = (entry.seq, entry.hash)
        return Put(entry_path(uid, entry.seq), entry_data(entry, KEYS, has_note=False))


def published_marker(uid: Uid, seq: int, at: Millis) -> Upsert:
    """Return the write of a marker that the relay has cleared."""
    write = marker_write(uid, seq, at)
    return Upsert(write.path, {**write.data, RELAY: None}, {LOG: write.minima[LOG]})


def made_entry(uid: Uid, seq: int, prev: str, at: Millis, kind: Kind = "charge", **changes: object) -> Entry:
    """Return a signed entry without postings."""
    fields: dict[str, object] = {
        "v": 1,
        "ledger": LEDGER,
        "uid": uid,
        "seq": seq,
        "prev": prev,
        "kind": kind,
        "op": f"op_{seq}",
        "at": at,
        "kid": KEYS.kid,
        "postings": [],
        "posted": 0,
        "held": 0,
        "debt": 0,
    }
    body = canonical({**fields, **changes}).decode()  # type: ignore[dict-item]
    return Entry(seq=seq, kind=kind, body=body, hash=body_hash(body), kid=KEYS.kid)


@dataclass
class LogWorld:
    """A store with a mill, and the minute's job over it."""

    store: Documents = field(default_factory=MemoryDocuments)
    clock: ManualClock = field(default_factory=ManualClock)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    cursor: str = ""

    def __post_init__(self) -> None:
        self.documents = WriteCounting(self.store, self.clock)
        self.mill = EntryMill(self.store, self.clock)

    def sequencer(self, documents: Documents | None = None) -> Sequencer:
        """Return a new sequencer, over other documents if given."""
        documents = documents or self.documents
        return Sequencer(documents, ledger_on(documents, self.clock).check_links, self.clock)

    def minute(self, seconds: float = RUN_SECONDS) -> int:
        """Run the job once, and return the number of entries that it appended."""
        run = JobRun(self.cursor, self.clock, seconds)
        LogSweep(self.documents, self.sequencer(), self.alerts, self.clock).sweep(run)
        self.cursor = run.cursor
        return run.done

    def alerted(self) -> list[tuple[object, ...]]:
        """Return the alerts about parked accounts, as (uid, seq, rule)."""
        parked = [each.fields for each in self.alerts.raised if each.event == "log_account_parked"]
        return [(each["uid"], each["seq"], each["rule"]) for each in parked]


def users(count: int, name: str = "user") -> list[Uid]:
    return [Uid(f"{name}{number:05}") for number in range(count)]


def check_log(documents: Documents, *, is_complete: bool = True) -> int:
    """Assert that the log has each entry of each account once, and is the naive tree of its leaves. Return its size.

    `is_complete`: the log lacks no entry.
    """
    leaves = dict[int, bytes]()
    for name in {uid_of(each.path) for each in _all(documents, "entries")}:
        entries = _entries(documents, name)
        position = stored_position(name, documents.get(position_path(name)))
        assert position.seq == len(entries) or not is_complete, f"the log lacks entries of {name}"
        _add(leaves, {index: entries[seq] for seq, index in _leaf_indexes(documents, position).items()})
    for document in _all(documents, "outbox"):
        if document.path.startswith(LEAVES) and (leaf := stored_leaf(document)).index is not None:
            assert leaf.index not in leaves
            leaves[leaf.index] = leaf_hash(leaf.data)
    head = read_head(documents)
    size = 0 if head is None else head.size
    assert sorted(leaves) == list(range(size)), "each leaf belongs to one entry"
    assert head is None or head.root == root_of([leaves[index] for index in range(size)])
    return size


def _leaf_indexes(documents: Documents, position: LogPosition) -> dict[int, int]:
    """Return the index of each entry's leaf. Each page is read once, so that a long log is checked in linear time."""
    pages = (documents.get(page_path(position.uid, number)) for number in range(len(position.pages)))
    runs = [run for page in pages for run in stored_page(position.uid, page)]
    runs += position.runs
    ends = [*(run.seq for run in runs[1:]), position.seq + 1]
    found = {
        seq: run.index + seq - run.seq for run, end in zip(runs, ends, strict=False) for seq in range(run.seq, end)
    }
    for seq in {1, position.seq // 2, position.seq} - {0}:
        assert position.seq == 0 or leaf_index(documents, position, seq) == found[seq]
    return found


def positions(documents: Documents) -> Mapping[str, int]:
    """Return the last entry that the log has, by account."""
    found = [each for each in _all(documents, "log") if is_position(each)]
    return {uid_of(each.path): stored_position(uid_of(each.path), each).seq for each in found}


def _add(leaves: dict[int, bytes], entries: Mapping[int | None, StoredEntry]) -> None:
    for index, entry in entries.items():
        assert index is not None, "the position knows each entry"
        assert index not in leaves, "no leaf belongs to two entries"
        leaves[index] = leaf_hash(entry_leaf(entry.hash, entry.signature))


def _entries(documents: Documents, uid: Uid) -> dict[int, StoredEntry]:
    query = Query(collection=f"{account_path(uid)}/entries", limit=1_000_000)
    return {entry.seq: entry for entry in map(stored_entry, documents.query(query))}


def _all(documents: Documents, group: str):
    after: tuple[str] | None = None
    while page := documents.query(Query(collection=group, group=True, limit=PAGE, after=after)):
        yield from page
        after = (page[-1].path,)
