"""Store of accounts: documents are read as verified state, and decisions are written as one commit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from shared.kernel.clock import Millis
from shared.kernel.documents import (
    Create,
    Document,
    Documents,
    Put,
    Query,
    StoreUnavailable,
    Version,
    Where,
    Write,
)
from shared.kernel.documents import Order as OrderBy
from shared.kernel.due import DuePlace
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.ledger.account import Account, Archive, Hold, Lot
from shared.ledger.account_documents import (
    DUE_ACCOUNTS,
    DUE_OLD_ACCOUNTS,
    StoredAccount,
    account_path,
    account_writes,
    committed_version,
    moving_writes,
    plain_fields,
    read_steady,
    read_stored,
)
from shared.ledger.account_seals import AccountSeals
from shared.ledger.codec import decode_account, encode_hold, encode_lot
from shared.ledger.commands import Capture, Command
from shared.ledger.decide import Decision
from shared.ledger.document_paths import (
    SEQ_MAX,
    archived_paths,
    entry_id,
    entry_path,
    hold_path,
    hold_paths,
    lot_path,
    operation_path,
)
from shared.ledger.entries import Entry, genesis
from shared.ledger.entry_index import first_indexed, numbered_nonce
from shared.ledger.entry_notes import binds_note
from shared.ledger.errors import IntegrityFailed
from shared.ledger.heads import Head, Snapshot
from shared.ledger.hold_names import capture_operation
from shared.ledger.key_ring import KeyRing
from shared.ledger.markers import are_silent, marker_write
from shared.ledger.operation_records import OperationRecord, encode_operation, lifetime_field
from shared.ledger.receipts import Receipt
from shared.ledger.record_seals import RecordSeals
from shared.ledger.rest import rest_fields
from shared.ledger.stored_entries import StoredEntry, entry_data, stored_entry

__all__ = [
    "AccountStore",
    "entry_path",
    "hold_path",
    "is_recorded",
    "lot_path",
    "operation_path",
]

NO_MARKS: Mapping[str, Sequence[bytes]] = {}


class AccountStore:
    """Reader and writer of the ledger's documents below `accounts/`.

    The documents are the state, entries, operations, notes, archived lots and holds, and the marker.
    """

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str, *, is_retired_taken: bool = False) -> None:
        """Make a store. `is_retired_taken`: seals of retired keys count; see `AccountSeals`."""
        self._documents = documents
        self._keys = keys
        self._ledger = ledger
        self._seals = AccountSeals(keys, ledger, is_retired_taken=is_retired_taken)
        self._records = RecordSeals(keys, ledger)

    def blank(self, uid: Uid) -> Head:
        """Return the head of an account without a document."""
        account = Account(ledger=self._ledger, uid=uid, head=genesis(self._ledger, uid))
        return Head(account=account, number=0, version=None)

    def read(self, uid: Uid, commands: Sequence[Command] = (), rest_lots: int = 0) -> Snapshot:
        """Return the account with the archived lots, holds and operations that the commands may refer to.

        With `rest_lots`, also return about that many lots of the rest, those spent first.

        The account is read first. Documents of one request are read at different times. If the account were read last,
        a lot or hold archived in between would be in neither place, and a finished operation would be refused. Raises
        IntegrityFailed if stored data differ from the ledger's writes, UnknownKey, StoreUnavailable.
        """
        named = [command.operation for command in commands if is_recorded(command)]
        operations = {operation: operation_path(uid, operation) for operation in named}
        archived = {path for command in commands for path in archived_paths(uid, command)}
        head = self._head(uid, read_stored(self._documents, uid))
        paths = [*operations.values(), *sorted(archived)]
        found = {document.path: document for document in self._all(paths) if document is not None}
        archive = self._records.archive(uid, [found[path] for path in archived if path in found])
        if rest_lots and head.account.rest_count:
            rest = self._rest(head, rest_lots)
            archive = replace(rest, lots={**archive.lots, **rest.lots}, holds=archive.holds)
        return Snapshot(
            head=head,
            is_fresh=True,
            operations={
                id_: self._records.operation(uid, found[path]) for id_, path in operations.items() if path in found
            },
            archive=archive,
            versions={path: found[path].version for path in archived if path in found},
        )

    def kid_at(self, now: Millis) -> str:
        """Return the id of the key that signs at the time `now`; see `KeyRing.kid_at`, also for the errors."""
        return self._keys.kid_at(now)

    def create(self, uid: Uid, nonce: str, now: Millis) -> None:
        """Create the documents of an account without entries, at the time `now` (ms). `nonce` names this commit.

        Raises PreconditionFailed if the account exists already; NoSigningKey.
        """
        self.kid_at(now)
        account = replace(self.blank(uid).account, at=now)
        self._documents.commit(self.account_writes(self.blank(uid), account, nonce))

    def writes(
        self,
        snapshot: Snapshot,
        decisions: Sequence[tuple[Command, Decision[Receipt]]],
        nonce: str,
        extra_writes: Sequence[Write] = (),
    ) -> list[Write]:
        """Return the writes of one commit: account, entries, operations, notes, archived lots and holds, marker last.

        There is no marker if the commit needs none, see `are_silent`. The extra writes are the callers' own, and not
        about the account.
        """
        head, last = snapshot.head, decisions[-1][1].account
        uid = last.uid
        writes: dict[str, Write] = {}
        for command, decision in decisions:
            for write in self._decision_writes(uid, command, decision, snapshot, nonce):
                writes[write.path] = write
        account = self.account_writes(head, last, nonce)
        marker = [] if are_silent(decisions) else [marker_write(uid, last.seq, last.at)]
        return [*account, *writes.values(), *extra_writes, *marker]

    def account_writes(self, head: Head, account: Account, nonce: str) -> list[Write]:
        """Return the writes of the account's documents, the sealed one first.

        The commit fails if `head` is outdated.
        """
        sealed = self._seals.data(account, head.number + 1, numbered_nonce(nonce, head.next_indexed))
        return account_writes(account.uid, sealed, plain_fields(account), head.version)

    def commit(self, writes: Sequence[Write]) -> tuple[Version, Mapping[str, Version]]:
        """Write all or nothing, and return the account's new version, and the versions of documents of others, by path.

        Raises the errors of `Documents.commit`.
        """
        versions = self._documents.commit(writes)
        others = {
            write.path: version
            for write, version in zip(writes, versions, strict=True)
            if not write.path.startswith("accounts/")
        }
        return committed_version(versions), others

    def entry_above(self, head: Head, last: int) -> int | None:
        """Return the seq of the first entry stored above `head`, up to `last`. The ledger did not write such an entry.

        None if there is no such entry, or if `head` is outdated.
        """
        uid, seqs = head.account.uid, range(head.account.seq + 1, last + 1)
        entries = self._all([entry_path(uid, seq) for seq in seqs])
        stored = read_stored(self._documents, uid)  # afterwards: what was above it before is none of ours
        if stored.version != head.version:
            return None
        return next((seq for seq, entry in zip(seqs, entries, strict=True) if entry is not None), None)

    def entries(self, uid: Uid, first: int, last: int) -> list[StoredEntry]:
        """Return the stored entries `first` to `last`, in order. Missing entries are left out."""
        return self.entries_from(uid, first, last, last - first + 1)

    def newest(
        self,
        uid: Uid,
        first: int,
        last: int,
        kinds: frozenset[str],
        limit: int,
        marks: Mapping[str, Sequence[bytes]] = NO_MARKS,
    ) -> list[StoredEntry]:
        """Return at most `limit` stored entries of these kinds among `first` to `last`, newest first.

        `marks` has the accepted values of index fields. No other entries are read. Fewer: there are no others.
        """
        marked = tuple(Where(name, "in", list(accepted)) for name, accepted in marks.items())
        query = Query(
            collection=f"{account_path(uid)}/entries",
            limit=limit,
            where=(Where("kind", "in", sorted(kinds)), *marked),
            id_from=entry_id(first),
            id_to=entry_id(min(last, SEQ_MAX)),
            is_newest_first=True,
        )
        return [stored_entry(document) for document in self._documents.query(query)]

    def entries_from(self, uid: Uid, first: int, last: int, limit: int) -> list[StoredEntry]:
        """Return at most `limit` stored entries of `first` to `last`, in order. Fewer: there are no others."""
        query = Query(
            collection=f"{account_path(uid)}/entries",
            limit=limit,
            id_from=entry_id(first),
            id_to=entry_id(min(last, SEQ_MAX)),
        )
        return [stored_entry(document) for document in self._documents.query(query)]

    def strangers(self, uid: Uid, last: int, limit: int) -> list[StoredEntry]:
        """Return stored entries with ids outside 1 to `last`: newer entries, or entries not written by the ledger."""
        collection = f"{account_path(uid)}/entries"
        below = Query(collection=collection, limit=limit, id_to=entry_id(0))
        above = Query(collection=collection, limit=limit, id_from=entry_id(last + 1))
        return [stored_entry(document) for query in (below, above) for document in self._documents.query(query)]

    def is_written(self, uid: Uid, entry: Entry) -> bool:
        """Return True if this very entry is stored."""
        document = self._documents.get(entry_path(uid, entry.seq))
        return document is not None and document.data.get("body") == entry.body

    def is_done(self, uid: Uid, operation: OperationId) -> bool:
        """Return True if this operation is remembered. Raises IntegrityFailed like `read`."""
        return operation in self.operations(uid, [operation])

    def notes(self, uid: Uid, operations: Iterable[str]) -> Mapping[str, str]:
        """Return the notes of operations: free text, stored beside the journal so that a note can be erased.

        A document without a text counts as an erased note.
        """
        paths = [f"{account_path(uid)}/notes/{operation}" for operation in operations]
        found = self._documents.get_all(paths) if paths else []
        texts = {document.id: document.data.get("text") for document in found if document is not None}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    def operations(self, uid: Uid, operations: Iterable[OperationId]) -> Mapping[OperationId, OperationRecord]:
        """Return the records of the done ones among `operations`. Raises IntegrityFailed like `read`."""
        documents = self._all([operation_path(uid, operation) for operation in operations])
        return {
            OperationId(document.id): self._records.operation(uid, document)
            for document in documents
            if document is not None
        }

    def archived_lots(self, uid: Uid, lots: Iterable[LotId]) -> Mapping[LotId, Lot]:
        """Return the archived lots among `lots`. Raises IntegrityFailed if the ledger did not write a document."""
        return self._records.archive(uid, _there(self._all([lot_path(uid, lot) for lot in lots]))).lots

    def archived_hold(self, uid: Uid, hold: HoldId) -> Hold | None:
        """Return a resolved hold; None if there is none.

        Raises IntegrityFailed if the ledger did not write the document.
        """
        found = _there(self._documents.get_all(list(hold_paths(uid, hold))))
        return self._records.archive(uid, found).holds.get(hold)

    def archived_holds(self, uid: Uid, holds: Sequence[HoldId]) -> Mapping[HoldId, Hold]:
        """Return the resolved holds among `holds`. Raises IntegrityFailed if the ledger did not write a document."""
        found = self._records.archive(uid, _there(self._all([hold_path(uid, hold) for hold in holds]))).holds
        others = [operation_path(uid, capture_operation(hold)) for hold in holds if hold not in found]
        return {**found, **self._records.archive(uid, _there(self._all(others))).holds}

    def due(self, now: Millis, limit: int, after: DuePlace | None, *, is_old: bool) -> list[Document]:
        """Return documents of accounts with due lots or holds, of the old form or the present, the most overdue first.

        The documents stand behind `after`. Raises StoreUnavailable.
        """
        accounts = DUE_OLD_ACCOUNTS if is_old else DUE_ACCOUNTS
        return accounts.page(self._documents, now, limit, after)

    def move(self, uid: Uid) -> None:
        """Give an account of the old form its two documents; do nothing to any other.

        Raises IntegrityFailed, UnknownKey, PreconditionFailed, OutcomeUnknown, StoreUnavailable.
        """
        stored = read_stored(self._documents, uid)
        if stored.is_old:
            self._documents.commit(moving_writes(uid, stored, self._head(uid, stored).account))

    def reseal(self, uid: Uid, nonce: str, now: Millis) -> None:
        """Seal the account again with the key that signs now, and change nothing else. Do nothing without an account.

        Raises IntegrityFailed, UnknownKey, NoSigningKey, PreconditionFailed, OutcomeUnknown, StoreUnavailable.
        """
        self.kid_at(now)
        head = self._head(uid, read_stored(self._documents, uid))
        if head.version is not None:
            self._documents.commit(self.account_writes(head, head.account, nonce))

    def shown_status(self, uid: Uid) -> str | None:
        """Return the account's status as a listener sees the status, not verified; None without an account."""
        shown = self._documents.get(account_path(uid))
        return None if shown is None else str(shown.data.get("status"))

    def stored(self, uid: Uid) -> StoredAccount:
        """Return the account's documents as one commit wrote them, not verified, for audits and exports."""
        return read_steady(self._documents, uid)

    def _all(self, paths: Iterable[str]) -> list[Document | None]:
        asked = list(dict.fromkeys(paths))
        return self._documents.get_all(asked) if asked else []

    def _decision_writes(
        self, uid: Uid, command: Command, decision: Decision[Receipt], snapshot: Snapshot, nonce: str
    ) -> Iterable[Write]:
        """Yield the writes of one decision: entries, the operation's record, the note, archived lots and holds."""
        for entry in decision.entries:
            yield Create(entry_path(uid, entry.seq), entry_data(entry, self._keys, has_note=binds_note(entry.body)))
        ended = _charged_hold(command, decision)
        if is_recorded(command):
            path = operation_path(uid, command.operation)
            record = self._records.sealed(path, encode_operation(command, decision.receipt, nonce, ended))
            yield Create(path, {**record, **lifetime_field(command, decision.account.at)})
        for note in decision.notes:
            yield Put(f"{account_path(uid)}/notes/{note.operation}", note.data)
        for lot in decision.archive.lots.values():
            path = lot_path(uid, lot.id)
            data = {**self._records.sealed(path, encode_lot(lot)), **rest_fields(lot)}
            yield Put(path, data, snapshot.versions.get(path))
        for hold in decision.archive.holds.values():
            if hold is ended:
                continue
            path = hold_path(uid, hold.id)
            yield Put(path, self._records.sealed(path, encode_hold(hold)), snapshot.versions.get(path))

    def _head(self, uid: Uid, stored: StoredAccount) -> Head:
        """Return the verified head. If the two documents disagree, read both again as one commit wrote them.

        Raises IntegrityFailed if a law stays broken.
        """
        if stored.version is None:
            return self.blank(uid)
        rule = self._seals.broken_rule(uid, stored)
        if rule is not None:
            stored = read_steady(self._documents, uid)
            rule = self._seals.broken_rule(uid, stored)
        if rule is not None or stored.state is None:
            raise IntegrityFailed(uid=uid, seq=_seq_told(stored), rule=rule or "seal")
        data = stored.state.data
        return Head(
            account=decode_account(str(data["state"])),
            number=_int(data["version"]),
            version=stored.version,
            first_indexed=first_indexed(data.get("nonce")),
        )

    def _rest(self, head: Head, count: int) -> Archive:
        """Return the first `count` lots of the rest, or more.

        A lot that is in the state again keeps its document until the lot leaves the state. Raises IntegrityFailed if
        lots are missing, StoreUnavailable if a commit falls between the reads.
        """
        account, limit = head.account, count + len(head.account.lots)
        where, order = (Where("rest_order", ">", ""),), (OrderBy("rest_order"),)
        lots_of = f"{account_path(account.uid)}/lots"
        documents = self._documents.query(Query(collection=lots_of, where=where, order_by=order, limit=limit))
        found = self._records.archive(account.uid, documents).lots
        lots = {name: lot for name, lot in found.items() if name not in account.lots}
        is_whole = len(documents) < limit
        if is_whole and sum(lot.available for lot in lots.values()) != account.rest_available:
            if read_stored(self._documents, account.uid).version != head.version:
                raise StoreUnavailable("This account changes faster than it can be read; try again.")
            raise IntegrityFailed(uid=account.uid, seq=account.seq, rule="rest")
        ordered = sorted(lots.values(), key=lambda lot: lot.order)
        return Archive(lots=lots, rest=tuple(lot.id for lot in ordered), is_whole=is_whole)


def is_recorded(command: Command) -> bool:
    """Return True if the operation of the command leaves a record."""
    return bool(command.operation) and command.record != "none"


def _charged_hold(command: Command, decision: Decision[Receipt]) -> Hold | None:
    """Return the hold that the command charged and ended, if the command is the hold's own capture; else None."""
    if not isinstance(command, Capture) or not is_recorded(command):
        return None
    is_own = command.operation == capture_operation(command.hold)
    return decision.archive.holds.get(command.hold) if is_own else None


def _there(documents: Iterable[Document | None]) -> list[Document]:
    return [document for document in documents if document is not None]


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1


def _seq_told(stored: StoredAccount) -> int:
    return 0 if stored.shown is None else _int(stored.shown.data.get("seq"))
