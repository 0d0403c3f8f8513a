"""Deletion of one entry's body: the log names a snapshot of the fold first, the body is deleted after that.

`accounts/{uid}/redactions/{seq}` has the snapshot and the sealed statement. One commit creates it and queues the leaf,
so that of two operators one writes both. The body is deleted once the served checkpoint, which is anchored before, has
the leaf. Each call does the next step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.canonical import canonical
from shared.kernel.clock import Clock
from shared.kernel.deadline import Deadline
from shared.kernel.documents import DOCUMENT_BYTES_MAX, Create, Delete, Document, Documents, PreconditionFailed, Put
from shared.kernel.ids import Uid
from shared.ledger.account import Account, Hold, Lot
from shared.ledger.account_documents import account_path
from shared.ledger.archive_store import Archives
from shared.ledger.archives import ARCHIVED
from shared.ledger.audit_usage import usage_text
from shared.ledger.document_paths import SEQ_MAX, entry_path
from shared.ledger.entry_notes import NOTE_FACT
from shared.ledger.errors import (
    UNREADABLE,
    EntryArchived,
    EntryNotFound,
    IntegrityFailed,
    JournalTooLong,
    LimitReached,
    NotLoggedYet,
    NotPublishedYet,
)
from shared.ledger.export import WINDOW, entry_pages
from shared.ledger.hold_names import capture_operation
from shared.ledger.journal_audit import JournalAudit
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import REDACTION_CONTEXT
from shared.ledger.links import entry_rule
from shared.ledger.log.position import leaf_index, position_path, stored_position
from shared.ledger.log.signed_heads import read_signed_head
from shared.ledger.log.typed_leaves import queue_leaf
from shared.ledger.past import MemoryPast
from shared.ledger.positions import read_position
from shared.ledger.redaction_store import Redactions, StoredRedaction, redaction_path
from shared.ledger.redactions import (
    RULE,
    FoldSnapshot,
    Progress,
    Redaction,
    leaf_body,
    leaf_name,
    statement_in,
    statement_of,
    usage_body,
)
from shared.ledger.running_parts import RunningHold, RunningLot, ended_value, lot_value
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry, redacted_data, stored_entry
from shared.ledger.usage import UsageFold, folded

SNAPSHOT_BYTES_MAX = DOCUMENT_BYTES_MAX - 20_000
"""Largest snapshot: a document has the statement, too."""
ATTEMPTS_MAX = 5


class EntryRedactor:
    """Deleter of bodies. Safe to use in two instances at once, and again after a crash at any point."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str, clock: Clock, page: int = WINDOW) -> None:
        """Make a deleter. `page` entries of a journal are read at once."""
        self._page = page
        self._documents = documents
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._store = AccountStore(documents, keys, ledger)
        self._redactions = Redactions(documents, keys, ledger)
        self._archives = Archives(documents, keys, ledger)

    def redact(self, uid: Uid, seq: int, deadline: Deadline) -> Progress:
        """Have the log name a snapshot, or delete the body and the note if the log does, and return the progress.

        Raises EntryNotFound, EntryArchived, NotLoggedYet, NotPublishedYet, JournalTooLong; IntegrityFailed, with
        nothing deleted, if the ledger did not write the entry, an entry before or the redaction; LimitReached for a
        snapshot that no document holds; UnknownKey, LogBroken, StoreUnavailable, OutcomeUnknown.
        """
        for _ in range(ATTEMPTS_MAX):
            document = self._documents.get(entry_path(uid, seq)) if 1 <= seq <= SEQ_MAX else None
            if document is None:
                raise EntryNotFound
            if document.version is ARCHIVED or self._archives.has(uid, seq):
                raise EntryArchived
            entry = self._sound(uid, seq, stored_entry(document))
            if entry.redaction is not None:
                return self._done(uid, entry)
            try:
                return self._step(uid, document, entry, deadline)
            except PreconditionFailed:
                self._clock.wait(0.1)
        raise PreconditionFailed

    def _step(self, uid: Uid, document: Document, entry: StoredEntry, deadline: Deadline) -> Progress:
        """Go one step on. Raises PreconditionFailed if another call was faster."""
        stored = self._redactions.find(uid, entry.seq)
        if stored is None:
            self.require_settled(uid, entry.seq)
            self._begin(uid, entry, self.snapshot(uid, entry, deadline))
            return "waiting"
        left = self._left(entry, stored)
        self._require_sound(uid, left)
        if self._redactions.problem(uid, left) is not None:
            return "waiting"
        note = _note_path(uid, entry)
        deleted = [] if note is None else [Delete(note)]
        data = redacted_data(entry, stored.statement, stored.seal)
        self._documents.commit([Put(document.path, data, document.version), *deleted])
        return "redacted"

    def _sound(self, uid: Uid, seq: int, entry: StoredEntry) -> StoredEntry:
        rule = "format" if entry.schema < 0 else entry_rule([entry], self._keys, ledger=self._ledger, uid=uid, seq=seq)
        if rule is not None:
            raise IntegrityFailed(uid=uid, seq=seq, rule=rule)
        return entry

    def _done(self, uid: Uid, entry: StoredEntry) -> Progress:
        """Return that the body is gone. Raises IntegrityFailed if the log does not name the snapshot."""
        [opened] = self._redactions.opened(uid, [entry])
        self._require_sound(uid, opened)
        if self._redactions.problem(uid, opened) is not None:
            raise IntegrityFailed(uid=uid, seq=entry.seq, rule=RULE)
        return "redacted"

    def _left(self, entry: StoredEntry, stored: StoredRedaction) -> StoredEntry:
        """Return the entry as it is without the body."""
        return StoredEntry(
            seq=entry.seq,
            body=stored.statement,
            hash=entry.hash,
            signature=entry.signature,
            kind=entry.kind,
            redaction=Redaction(stored.seal, stored.snapshot),
        )

    def _require_sound(self, uid: Uid, entry: StoredEntry) -> None:
        assert entry.redaction is not None, "the body is gone, or goes"
        try:
            self._redactions.require_sound(uid, entry, entry.redaction)
        except UNREADABLE as error:
            raise IntegrityFailed(uid=uid, seq=entry.seq, rule=RULE) from error

    def require_settled(self, uid: Uid, seq: int) -> None:
        """Raise NotLoggedYet or NotPublishedYet for an entry whose body somebody still needs; IntegrityFailed."""
        position = stored_position(uid, self._documents.get(position_path(uid)))
        if position.parked is not None:
            raise IntegrityFailed(uid=uid, seq=position.parked.seq, rule=position.parked.rule)
        index, signed = leaf_index(self._documents, position, seq), read_signed_head(self._documents)
        if index is None or signed is None or index >= signed.head.size:
            raise NotLoggedYet
        if read_position(self._documents, uid).is_behind(seq):
            raise NotPublishedYet

    def _begin(self, uid: Uid, entry: StoredEntry, made: "MadeSnapshot") -> None:
        """Store the redaction, and queue the leaf that names the snapshot. Raises PreconditionFailed."""
        now = self._clock.now()
        statement = canonical(statement_of(made.body, entry.hash, made.before, made.snapshot, now)).decode()
        kid = self._keys.kid_at(now)
        seal = f"{kid}:{self._keys.sign(REDACTION_CONTEXT, statement.encode(), kid)}"
        text = made.snapshot.text
        if len(text.encode()) > SNAPSHOT_BYTES_MAX:
            raise LimitReached("bytes in a snapshot", SNAPSHOT_BYTES_MAX)
        data = {"statement": statement, "seal": seal, "snapshot": text}
        leaf = queue_leaf("snapshot", leaf_name(self._ledger, uid, entry.seq), leaf_body(statement, seal), now)
        self._documents.commit([Create(redaction_path(uid, entry.seq), data), leaf])

    def snapshot(self, uid: Uid, entry: StoredEntry, deadline: Deadline) -> "MadeSnapshot":
        """Fold the journal up to the entry. Raises IntegrityFailed for the first broken law, JournalTooLong."""
        past, usage = PartsLeaving(), UsageFold()
        journal = JournalAudit.of(self._ledger, uid, past, self._keys)
        journal.are_signatures_checked = False
        for page in entry_pages(self._store, uid, 1, entry.seq, self._page):
            for each in self._redactions.opened(uid, page):
                past.is_last = each.seq == entry.seq
                before = journal.account.account() if past.is_last and journal.account is not None else None
                body = _followed(journal, each)
                if body is None or journal.findings.items:
                    raise _broken(uid, journal, each.seq)
                usage = _last_day(folded(usage, [usage_body(body, each.redaction)]))
                if before is not None and journal.account is not None and each.hash == entry.hash:
                    return MadeSnapshot(
                        body=body, before=before, snapshot=past.snapshot(journal.account.account(), usage)
                    )
            if deadline.is_over():
                raise JournalTooLong
        raise IntegrityFailed(uid=uid, seq=entry.seq, rule="sequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSnapshot:
    """Snapshot of an entry, with the entry's parsed body and the state before the entry."""

    body: Mapping[str, Any]
    before: Account
    snapshot: FoldSnapshot


class PartsLeaving(MemoryPast):
    """Past that remembers which lots and hold left the state while `is_last` was True."""

    def __init__(self) -> None:
        super().__init__()
        self.is_last = False
        self._left: dict[str, Lot] = {}
        self._ended: Hold | None = None
        self._is_own = False

    def keep_lot(self, lot: RunningLot) -> None:
        """Remember a lot that leaves the state."""
        super().keep_lot(lot)
        if self.is_last:
            self._left[lot.id] = lot_value(lot)

    def keep_hold(self, seq: int, hold: RunningHold, body: Mapping[str, Any]) -> None:
        """Remember the hold that the last entry ended."""
        if self.is_last:
            self._ended = ended_value(hold, body["hold"]["end"])
            self._is_own = body["op"] == capture_operation(self._ended.id)

    def snapshot(self, account: Account, usage: UsageFold) -> FoldSnapshot:
        """Return the snapshot of the last entry, which led to this state and usage."""
        return FoldSnapshot(
            account=account,
            lots=tuple(self._left.values()),
            ended=self._ended,
            is_own_capture=self._is_own,
            usage=usage_text(usage),
        )


def _followed(journal: JournalAudit, entry: StoredEntry) -> Mapping[str, Any] | None:
    try:
        return journal.follow(entry)
    except UNREADABLE:
        return None


def _broken(uid: Uid, journal: JournalAudit, seq: int) -> IntegrityFailed:
    found = journal.findings.items
    return IntegrityFailed(uid=uid, seq=found[0].seq if found else seq, rule=found[0].rule if found else "format")


def _last_day(usage: UsageFold) -> UsageFold:
    last = max(usage.days, default="")
    return UsageFold(seq=usage.seq, open=usage.open, days={last: usage.days[last]} if last else {})


def _note_path(uid: Uid, entry: StoredEntry) -> str | None:
    body = statement_in(entry.body)
    return f"{account_path(uid)}/notes/{body['op']}" if NOTE_FACT in body or entry.has_note else None
