"""Archive of an account for an export: the lots and holds that had left the state at one entry of the journal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from shared.kernel.canonical import NotCanonical, canonical
from shared.kernel.documents import Document, Documents, Query
from shared.kernel.ids import HoldId, LotId, Uid
from shared.ledger.account_documents import StoredAccount, account_path
from shared.ledger.document_paths import hold_path, lot_path, operation_path
from shared.ledger.entry_notes import binds_note
from shared.ledger.hold_names import capture_operation
from shared.ledger.stored_entries import StoredEntry

LOTS_AT_ONCE = 300
HOLDS_AT_ONCE = 100


class EndedHold(NamedTuple):
    """Hold that entry `seq` ended. `is_own`: by the hold's own capture, whose record may have the archived hold."""

    seq: int
    id: HoldId
    is_own: bool


class LotMoves(NamedTuple):
    """Lots that a part of a journal moved, and the lots among these that the part granted."""

    moved: frozenset[str]
    granted: frozenset[str]


def ended_holds(entries: Iterable[StoredEntry]) -> Iterator[EndedHold]:
    """Yield the holds that the entries ended. An entry that cannot be read ends none."""
    for entry in entries:
        if '"end":' not in entry.body:
            continue
        body = _object(entry.body)
        hold = body.get("hold")
        if isinstance(hold, dict) and "end" in hold and isinstance(hold.get("id"), str):
            name = HoldId(hold["id"])
            yield EndedHold(entry.seq, name, body.get("op") == capture_operation(name))


def lot_moves(entries: Iterable[StoredEntry]) -> LotMoves:
    """Return the lots that the entries name in postings, in the rest, and as granted lots."""
    moved: set[str] = set()
    granted: set[str] = set()
    for entry in entries:
        body = _object(entry.body)
        moved.update(str(posting.get("lot")) for posting in _objects(body.get("postings")))
        rest, lot = body.get("rest"), body.get("lot")
        moved.update(map(str, rest.get("lots", ())) if isinstance(rest, dict) else ())
        granted.update([str(lot.get("id"))] if isinstance(lot, dict) else ())
    return LotMoves(moved=frozenset(moved | granted), granted=frozenset(granted))


def lots_in_state(stored: StoredAccount) -> frozenset[str]:
    """Return the ids of the lots in an account's state. A state that cannot be read has none."""
    state = {} if stored.state is None else _object(str(stored.state.data.get("state")))
    return frozenset(str(lot.get("id")) for lot in _objects(state.get("lots")))


class ArchiveReader:
    """Reader of archived lots and holds as they are stored, not verified."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def all_lots(self, uid: Uid) -> dict[str, Document]:
        """Return the documents of all archived lots by id, in the order of their ids."""
        found: dict[str, Document] = {}
        after: tuple[str, ...] | None = None
        while True:
            query = Query(collection=f"{account_path(uid)}/lots", limit=LOTS_AT_ONCE, after=after)
            page = self._documents.query(query)
            found.update((document.id, document) for document in page)
            if len(page) < LOTS_AT_ONCE:
                return found
            after = (page[-1].path,)

    def lots(self, uid: Uid, names: Iterable[str]) -> dict[str, Document]:
        """Return the documents of these archived lots, as far as there are any."""
        paths = [lot_path(uid, LotId(name)) for name in sorted(names)]
        return {each.id: each for each in self._all(paths) if each is not None}

    def notes(self, uid: Uid, entries: Iterable[StoredEntry]) -> dict[int, Mapping[str, str]]:
        """Return the notes that these entries bind, by seq, as far as the notes are not erased."""
        bound = [entry for entry in entries if binds_note(entry.body)]
        paths = [f"{account_path(uid)}/notes/{_object(entry.body).get('op')}" for entry in bound]
        found = zip(bound, self._all(paths), strict=True)
        return {entry.seq: _note(document) for entry, document in found if document is not None}

    def holds(self, uid: Uid, ended: Sequence[EndedHold]) -> Iterator[tuple[int, str]]:
        """Yield the seq and the stored state of each of these holds. Holds without a document are left out."""
        for start in range(0, len(ended), HOLDS_AT_ONCE):
            yield from self._some_holds(uid, ended[start : start + HOLDS_AT_ONCE])

    def _some_holds(self, uid: Uid, ended: Sequence[EndedHold]) -> Iterator[tuple[int, str]]:
        """Read holds, first in the records of their captures. A record without the hold is of an earlier release."""
        own = [hold for hold in ended if hold.is_own]
        records = self._all([operation_path(uid, capture_operation(hold.id)) for hold in own])
        states = {hold.seq: _hold_in(record) for hold, record in zip(own, records, strict=True) if record is not None}
        is_in_record = {seq for seq, state in states.items() if state}
        gone = {hold.seq for hold in own if hold.seq not in states}
        others = [hold for hold in ended if hold.seq not in is_in_record | gone]
        documents = self._all([hold_path(uid, hold.id) for hold in others])
        for hold, document in zip(others, documents, strict=True):
            states[hold.seq] = "" if document is None else str(document.data.get("state"))
        yield from ((hold.seq, states[hold.seq]) for hold in ended if states.get(hold.seq))

    def _all(self, paths: Sequence[str]) -> list[Document | None]:
        return self._documents.get_all(list(paths)) if paths else []


def _note(document: Document) -> Mapping[str, str]:
    return {name: str(document.data.get(name)) for name in ("salt", "text")}


def _hold_in(record: Document) -> str:
    """Return the canonical text of the hold in an operation's record; "" if the record has none."""
    state = str(record.data.get("state"))
    operation = _object(state)
    if not operation:
        return state
    try:
        return canonical(operation["hold"]).decode() if "hold" in operation else ""
    except NotCanonical:
        return state


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
