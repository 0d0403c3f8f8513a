"""Export of an account as one self-contained NDJSON, which a customer or an auditor can verify offline.

The lines are those of `shared.ledger.export_format`. An export shows the account as of one entry, while others write.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import cast

from shared.kernel.canonical import INTEGER_MAX, Json, canonical
from shared.kernel.clock import from_datetime, rfc3339
from shared.kernel.documents import Document, Documents, StoreUnavailable
from shared.kernel.ids import Uid
from shared.ledger.account_documents import StoredAccount
from shared.ledger.document_paths import SEQ_MAX
from shared.ledger.export_archive import ArchiveReader, EndedHold, ended_holds, lot_moves, lots_in_state
from shared.ledger.export_evidence import ExportEvidenceReader
from shared.ledger.export_format import FORMAT, FORMAT_VERSION, HEADER_CONTEXT, header_message
from shared.ledger.export_redacted import RedactedLines
from shared.ledger.key_ring import KeyRing
from shared.ledger.log.head import EMPTY_HEAD
from shared.ledger.redaction_store import Redactions
from shared.ledger.store import AccountStore
from shared.ledger.stored_entries import StoredEntry

WINDOW = 500
STRANGERS_MAX = 20
CATCH_UPS_MAX = 50
"""Largest number of times that an export follows new entries that move archived lots."""


def export_lines(documents: Documents, keys: KeyRing, ledger: str, uid: Uid) -> Iterator[str]:
    """Yield the lines of the export.

    The account is read before the entries, so that every counted entry exists when read, and behind the closed day, so
    that the account has all entries of that day. Entries in the journal's collection that the ledger did not write are
    exported too, so that the verifier finds them. Raises StoreUnavailable while archived lots change faster than they
    can be read.
    """
    reader = ExportEvidenceReader(documents, keys, ledger)
    evidence = reader.read()
    place = reader.place(evidence.closed, uid) if evidence is not None and evidence.closed is not None else None
    head = EMPTY_HEAD if evidence is None else evidence.head
    redacted = RedactedLines(documents, Redactions(documents, keys, ledger), head.size, head)
    account = _AccountExport(documents, keys, ledger, uid, redacted)
    yield _line(header_record(keys, ledger, {} if evidence is None else evidence.fields))
    if place is not None:
        yield _line(place)
    yield from account.lines()


def header_record(keys: KeyRing, ledger: str, evidence: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the header of an export, sealed by the signing key. `evidence` has the optional fields, read before."""
    header = {
        "type": "header",
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "ledger": ledger,
        "keys": [key.exported() for key in keys.registry],
        **evidence,
    }
    kid = keys.kid
    return {**header, "seal": f"{kid}:{keys.sign(HEADER_CONTEXT, header_message(header), kid)}"}


class _AccountExport:
    """Export of one account as of the last entry that the account's documents count."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str, uid: Uid, redacted: RedactedLines) -> None:
        self._redacted = redacted
        self._uid = uid
        self._store = AccountStore(documents, keys, ledger)
        self._archive = ArchiveReader(documents)
        self._stored = self._store.stored(uid)
        self._ended: list[EndedHold] = []

    def lines(self) -> Iterator[str]:
        """Yield the lines of the account: entries, archived lots, archived holds, the account itself."""
        has_account = self._stored.state is not None
        yield from self._entries(1, _seq_in(self._stored) if has_account else SEQ_MAX)
        if not has_account:
            return
        lots = yield from self._settled_lots()
        strangers = uncounted_entries(self._store, self._uid, _seq_in(self._stored))
        yield from self._entry_lines(strangers)
        yield from (_line(_lot(self._uid, document)) for _, document in sorted(lots.items()))
        for seq, state in self._archive.holds(self._uid, sorted(self._ended)):
            yield _line({"type": "hold", "uid": self._uid, "seq": seq, "state": state})
        yield _line({"uid": self._uid, **account_record(self._stored)})

    def _entries(self, first: int, last: int) -> Iterator[str]:
        for page in entry_pages(self._store, self._uid, first, last):
            yield from self._entry_lines(page)

    def _entry_lines(self, entries: Sequence[StoredEntry]) -> Iterator[str]:
        """Yield the lines of entries, with their notes, and remember the holds that the entries ended."""
        self._ended.extend(ended_holds(entries))
        self._ended.extend(self._redacted.ended_holds(self._uid, entries))
        notes = self._archive.notes(self._uid, entries)
        for entry in entries:
            if entry.redaction is not None:
                yield _line(self._redacted.line(self._uid, entry))
                continue
            note = notes.get(entry.seq)
            yield _line(entry_record(entry) if note is None else {**entry_record(entry), "note": note})

    def _settled_lots(self) -> Generator[str, None, dict[str, Document]]:
        """Return the archived lots as of the account's last entry. Yield the entries that had to be followed for that.

        A lot in the state has no line. A lot of the archive that a newer entry moves was read as of that entry or not,
        so the export follows to the newest entry, and reads these lots again. Raises StoreUnavailable if that never
        ends.
        """
        lots = self._archive.all_lots(self._uid)
        for _ in range(CATCH_UPS_MAX):
            last, newest = _seq_in(self._stored), self._store.stored(self._uid) if lots else self._stored
            if _seq_in(newest) <= last:
                return _without(lots, lots_in_state(self._stored))
            pages = entry_pages(self._store, self._uid, last + 1, _seq_in(newest))
            moves = lot_moves(entry for page in pages for entry in page)
            newer = lots_in_state(self._stored) | moves.granted
            if moves.moved.isdisjoint(lots.keys() - newer):
                return _without(lots, newer)
            yield from self._entries(last + 1, _seq_in(newest))
            self._stored = newest
            lots.update(self._archive.lots(self._uid, moves.moved))
        raise StoreUnavailable("This account changes faster than it can be read; try again.")


def entry_pages(
    store: AccountStore, uid: Uid, first: int, last: int, size: int = WINDOW
) -> Iterator[list[StoredEntry]]:
    """Yield the stored entries `first` to `last` in pages of `size` entries. Stops behind the last stored entry.

    A document between two entries that the ledger did not write is part of a page, and has the seq -1.
    """
    while first <= last:
        page = store.entries_from(uid, first, last, size)
        if page:
            yield page
        if len(page) < size:
            return
        first = max(first, *(entry.seq for entry in page)) + 1


def uncounted_entries(store: AccountStore, uid: Uid, last: int) -> list[StoredEntry]:
    """Return stored entries that the account does not count, at most `STRANGERS_MAX` on each side.

    Entries that the account counts by a second read are left out.
    """
    found = store.strangers(uid, last, STRANGERS_MAX)
    if not found:
        return []
    now = _seq_in(store.stored(uid))
    return [entry for entry in found if not last < entry.seq <= now]


def account_record(stored: StoredAccount) -> Mapping[str, object]:
    """Return the account's line of an export, without the user."""
    data = {} if stored.state is None else stored.state.data
    plain = {**stored.plain, **stored.beside_the_seal}
    version = data.get("version")
    return {
        "type": "account",
        "version": version if _is_exact(version) else -1,
        **{name: str(data.get(name)) for name in ("nonce", "state", "seal")},
        "plain": {_ascii(name): _exported(value) for name, value in plain.items() if value is not None},
    }


def entry_record(entry: StoredEntry) -> Mapping[str, Json]:
    """Return the entry's line of an export, without the note."""
    return {
        "type": "entry",
        "schema": entry.schema if _is_exact(entry.schema) else -1,
        "seq": entry.seq,
        "kind": entry.kind,
        "body": entry.body,
        "hash": entry.hash,
        "signature": entry.signature,
    }


def _lot(uid: Uid, document: Document) -> Mapping[str, object]:
    order = document.data.get("rest_order")
    ordered = {} if order is None else {"rest_order": str(order)}
    return {"type": "lot", "uid": uid, "id": document.id, "state": str(document.data.get("state")), **ordered}


def _without(lots: Mapping[str, Document], names: Iterable[str]) -> dict[str, Document]:
    left_out = frozenset(names)
    return {name: document for name, document in lots.items() if name not in left_out}


def _seq_in(stored: StoredAccount) -> int:
    seq = stored.plain.get("seq")
    return seq if isinstance(seq, int) else 0


def _exported(value: object) -> Json:
    """Return a plain field in the form of an export: times as RFC 3339, and as a text any value of no plain type."""
    if isinstance(value, datetime):
        return rfc3339(from_datetime(value))
    is_plain = isinstance(value, str) or _is_exact(value)
    return cast("Json", value) if is_plain else f"{type(value).__name__} {value!r}"


def _is_exact(value: object) -> bool:
    return type(value) is int and abs(value) <= INTEGER_MAX


def _ascii(name: str) -> str:
    return name if name.isascii() else ascii(name)


def _line(record: Mapping[str, object]) -> str:
    return canonical(cast("Json", record)).decode() + "\n"
