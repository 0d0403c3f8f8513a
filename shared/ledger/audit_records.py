"""Comparison of an account's records with its journal: records of operations, archived holds, archived lots.

The mark of a record shows that the ledger wrote the record. The journal shows that the record is there, and tells the
same as the entry. A record that the database may have deleted (`PASSING_FOR`) is not missed.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from shared.kernel.canonical import parse_canonical
from shared.kernel.clock import Millis, to_datetime
from shared.kernel.documents import Document, Documents
from shared.kernel.ids import HoldId, OperationId, Uid
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account import Hold, Lot
from shared.ledger.account_documents import account_path
from shared.ledger.codec import decode_hold, decode_lot
from shared.ledger.document_paths import hold_path, lot_path, operation_path
from shared.ledger.entries import CALL_KINDS
from shared.ledger.entry_notes import NOTE_FACT, is_bound_by
from shared.ledger.errors import UNREADABLE, UnknownKey
from shared.ledger.findings import Findings
from shared.ledger.hold_names import capture_operation
from shared.ledger.operation_records import PASSING_FOR
from shared.ledger.record_seals import RecordSeals
from shared.ledger.rest import rest_fields

Body = Mapping[str, Any]
RECORD_FIELDS = frozenset({"state", "seal", "expires_at"})
NOTE_FIELDS = frozenset({"text", "salt"})
ARCHIVE_FIELDS = frozenset({"state", "seal"})
PART = ":"
"""Sign in the operation of an entry that is one of several of a command, or of an expiry. Such operations leave no
record of their own."""
AT_ONCE = 500
"""Most documents that are read together."""


class RecordAudit:
    """Comparison of the records of one account. Broken laws are reported to `findings`.

    Rules: `operation` (a record is missing, or tells something else than its entry), `operation_seal` and
    `archive_seal` (the ledger did not write the document), `archive` (a lot or hold is missing, or is another), `note`
    (a note is another than its entry binds).
    """

    def __init__(self, documents: Documents, seals: RecordSeals, uid: Uid, findings: Findings) -> None:
        self._documents = documents
        self._seals = seals
        self._uid = uid
        self._findings = findings

    def check_entries(
        self, page: Sequence[Body], ended: Mapping[HoldId, Hold], now: Millis, chosen: Container[int]
    ) -> None:
        """Compare the records of the operations of the `chosen` entries, and the holds that these entries ended.

        `page` are entries in order, without a gap. `ended` are the holds as they left the state; a hold that is missing
        there is compared with its entry alone.
        """
        bodies = [body for body in page if body["seq"] in chosen]
        named = [body for body in bodies if _is_name(body["op"])]
        found = self._read([operation_path(self._uid, OperationId(body["op"])) for body in named])
        journal = {body["seq"]: body for body in page}
        states = {
            body["seq"]: self._operation(body, journal, document, now)
            for body, document in zip(named, found, strict=True)
        }
        self._check_holds([body for body in bodies if "end" in body.get("hold", {})], states, ended, now)
        self._check_notes([body for body in bodies if NOTE_FACT in body])

    def check_lots(self, lots: Sequence[Lot]) -> None:
        """Compare lots that left the state, and are not in the state, with their documents."""
        found = self._read([lot_path(self._uid, lot.id) for lot in lots])
        for lot, document in zip(lots, found, strict=True):
            fields = self._archived(0, document, {*ARCHIVE_FIELDS, *rest_fields(lot)}, f"lot {lot.id}")
            if fields is None or document is None:
                continue
            told = {name: document.data.get(name) for name in rest_fields(lot)}
            if told != rest_fields(lot) or _value(decode_lot, fields) != lot:
                self._findings.report(0, "archive", f"lot {lot.id} is another than the journal says")

    def _operation(
        self, body: Body, journal: Mapping[int, Body], document: Document | None, now: Millis
    ) -> Mapping[str, Any] | None:
        """Compare the record of an entry's operation, and return the record; None if there is none that can be used."""
        if document is None:
            if _must_exist(body, now):
                self._findings.report(body["seq"], "operation", f"the record of {body['op']} is missing")
            return None
        state = self._state(body["seq"], document, "operation_seal", f"the record of {body['op']}")
        if state is None:
            return None
        try:
            difference = _difference(body, journal, state, document)
        except UNREADABLE as error:
            difference = f"cannot be read ({type(error).__name__})"
        if difference:
            self._findings.report(body["seq"], "operation", f"the record of {body['op']} {difference}")
        return state

    def _check_holds(
        self,
        bodies: Sequence[Body],
        states: Mapping[int, Mapping[str, Any] | None],
        ended: Mapping[HoldId, Hold],
        now: Millis,
    ) -> None:
        """Compare ended holds: in the records of their captures (`states` by entry), or in a document of their own."""
        apart: list[Body] = []
        for body in bodies:
            state = states.get(body["seq"])
            if state is not None and "hold" in state:
                self._check_hold(body, state["hold"], ended)
            elif not _may_be_gone(body, now) or state is not None:
                apart.append(body)
        found = self._read([hold_path(self._uid, HoldId(body["hold"]["id"])) for body in apart])
        for body, document in zip(apart, found, strict=True):
            if document is None and body["seq"] in states and states[body["seq"]] is None and _is_own(body):
                continue  # the record that has the hold is a finding of its own
            fields = self._archived(body["seq"], document, ARCHIVE_FIELDS, f"hold {body['hold']['id']}")
            if fields is not None:
                self._check_hold(body, fields, ended)

    def _check_hold(self, body: Body, fields: Mapping[str, Any], ended: Mapping[HoldId, Hold]) -> None:
        fact, hold = body["hold"], _value(decode_hold, fields)
        expected = ended.get(HoldId(fact["id"]))
        is_right = hold == expected if expected is not None else _is_end(hold, fact)
        if not is_right:
            self._findings.report(body["seq"], "archive", f"hold {fact['id']} is another than the journal says")

    def _check_notes(self, bodies: Sequence[Body]) -> None:
        """Compare the notes that the entries bind. A note that is not there was erased."""
        found = self._read([f"{account_path(self._uid)}/notes/{body['op']}" for body in bodies])
        for body, document in zip(bodies, found, strict=True):
            try:
                is_bound = document is None or (
                    document.data.keys() == NOTE_FIELDS and is_bound_by(body, document.data)
                )
            except SchemaUnknown as error:
                self._findings.report(body["seq"], error.code, error.detail)
                continue
            if not is_bound:
                self._findings.report(body["seq"], "note", f"the note of {body['op']} is another than the entry binds")

    def _archived(
        self, seq: int, document: Document | None, names: Iterable[str], what: str
    ) -> Mapping[str, Any] | None:
        if document is None:
            self._findings.report(seq, "archive", f"{what} is missing")
            return None
        state = self._state(seq, document, "archive_seal", what)
        if state is not None and set(document.data) != set(names):
            self._findings.report(seq, "archive", f"the document of {what} has other fields")
            return None
        return state

    def _state(self, seq: int, document: Document, rule: str, what: str) -> Mapping[str, Any] | None:
        """Return the parsed state of a record that the ledger wrote; None after a finding."""
        try:
            if self._seals.is_ours(document):
                state: Any = parse_canonical(str(document.data["state"]))
                return dict(state)
        except (SchemaUnknown, UnknownKey) as error:
            self._findings.report(seq, error.code, error.detail)
            return None
        except UNREADABLE:
            pass
        self._findings.report(seq, rule, f"the ledger did not write {what}")
        return None

    def _read(self, paths: Sequence[str]) -> list[Document | None]:
        parts = [list(paths[first : first + AT_ONCE]) for first in range(0, len(paths), AT_ONCE)]
        return [document for part in parts for document in self._documents.get_all(part)]


def _is_name(operation: str) -> bool:
    """Return True if the operation of an entry can have a record of this name."""
    return bool(operation) and PART not in operation and "/" not in operation and operation not in {".", ".."}


def _must_exist(body: Body, now: Millis) -> bool:
    """Return True if the record cannot have been left out, and cannot have been deleted by the database yet.

    The placing of a call's hold and a direct charge may leave no record. Other operations of calls leave one for
    PASSING_FOR at least, all others for ever.
    """
    if body["kind"] not in CALL_KINDS:
        return True
    is_optional = body["kind"] == "hold" or "hold" not in body
    return not is_optional and body["at"] + PASSING_FOR > now


def _may_be_gone(body: Body, now: Millis) -> bool:
    """Return True if the hold was archived in the record of its capture, which the database may have deleted."""
    return _is_own(body) and body["at"] + PASSING_FOR <= now


def _is_own(body: Body) -> bool:
    return bool(body["op"] == capture_operation(HoldId(body["hold"]["id"])))


def _difference(body: Body, journal: Mapping[int, Body], state: Mapping[str, Any], document: Document) -> str:
    """Return the difference between the record of an operation and its entry; empty if there is none.

    The record tells the balance after the last entry of its command: the entry itself, or a part behind the entry.
    """
    result, seq = state["result"], body["seq"]
    if not document.data.keys() <= RECORD_FIELDS:
        return "has other fields"
    parts = range(seq + 1, min(result["seq"], max(journal)) + 1)
    is_last = result["seq"] >= seq and all(PART in journal[part]["op"] for part in parts)
    if not is_last or state.get("seq", result["seq"]) != result["seq"]:
        return f"names entry {result['seq']}"
    last, told = journal.get(result["seq"]), (result["available"], result["held"], result["debt"])
    if last is not None and told != (last["posted"] - last["held"], last["held"], last["debt"]):
        return f"tells the balance {told}"
    names = {"lot": body.get("lot", {}).get("id"), "hold": body.get("hold", {}).get("id")}
    if any(name in result and known is not None and result[name] != known for name, known in names.items()):
        return "names another lot or hold"
    end = document.data.get("expires_at")
    is_passing = body["kind"] in CALL_KINDS and end == to_datetime(body["at"] + PASSING_FOR)
    return "" if is_passing or "expires_at" not in document.data else "ends at another time"


def _is_end(hold: Hold | None, fact: Mapping[str, Any]) -> bool:
    return hold is not None and (hold.id, hold.status, hold.takes) == (fact["id"], fact["end"], ())


def _value(decode: Any, fields: Mapping[str, Any]) -> Any:
    """Return the decoded value; None if the fields are of none."""
    try:
        return decode(fields)
    except UNREADABLE:
        return None
