"""Evidence of the log in an export: the checkpoint, the entries of the registry of keys, and a closed day.

An export is never refused for want of evidence. Without a checkpoint, or if stored data of the log do not fit together,
the export has less evidence, and the verifier says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from shared.kernel.canonical import Json
from shared.kernel.documents import Document, Documents
from shared.kernel.events import log_error
from shared.kernel.ids import Uid
from shared.ledger.document_paths import entry_id
from shared.ledger.errors import UnknownKey
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import to_base64
from shared.ledger.log.day_store import ClosedDay, DayBroken, DayStore
from shared.ledger.log.days import statement_in
from shared.ledger.log.head import EMPTY_HEAD, LogBroken, TreeHead
from shared.ledger.log.merkle import leaf_hash
from shared.ledger.log.proofs import prove_inclusion
from shared.ledger.log.signed_heads import SignedHead, read_signed_head
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.typed_leaves import TypedLeaf, read_leaf, stored_leaf, typed_leaf_path

LEAVES_AT_ONCE = 300
KEY_FIELDS, DAY_FIELDS = frozenset({"body", "signature"}), frozenset({"seal", "statement"})
"""Fields of leaves that exports carry. Leaves of days that an earlier release closed have the sums of the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportEvidence:
    """Evidence of one export. `log` is the header's field, and `head` the head of the checkpoint's tree.

    `closed` is None without a closed day in the log.
    """

    checkpoint: str
    log: Mapping[str, Json]
    closed: ClosedDay | None = None
    head: TreeHead = EMPTY_HEAD

    @property
    def fields(self) -> Mapping[str, Json]:
        """Fields of the header."""
        return {"checkpoint": self.checkpoint, "log": self.log}


class ExportEvidenceReader:
    """Reader of the evidence for exports of one ledger."""

    def __init__(self, documents: Documents, keys: KeyRing, ledger: str) -> None:
        self._documents = documents
        self._keys = keys
        self._days = DayStore(documents, keys, ledger)

    def read(self) -> ExportEvidence | None:
        """Return the evidence of the served checkpoint; None without one. Raises StoreUnavailable, RegistryBroken.

        The caller reads the header's keys afterwards, so that they are as new as the registry in the log, or newer.
        """
        try:
            signed = read_signed_head(self._documents)
            return None if signed is None else self._evidence(signed)
        except LogBroken as error:
            log_error("export_without_evidence", error, code=error.code, rule=str(error.params["rule"]))
            return None

    def place(self, closed: ClosedDay, uid: Uid) -> Mapping[str, Json] | None:
        """Return the line of an account's place in a closed day; None if the day has no such account."""
        try:
            path = self._days.path_in(closed, uid)
        except DayBroken as error:
            log_error("export_without_day", error, uid=uid, code=error.code)
            return None
        if path is None:
            return None
        return {"type": "day", **path.account.to_json(), "index": path.index, "hashes": _texts(path.hashes)}

    def _evidence(self, signed: SignedHead) -> ExportEvidence:
        reader = TileReader(self._documents, signed.head)
        keys = [_logged(leaf, signed, reader) for leaf in self._key_leaves(signed)]
        evidence = ExportEvidence(checkpoint=str(signed.note), log={"keys": keys}, head=signed.head)
        for closed in self._closed_days():
            leaf = read_leaf(self._documents, closed.record.day)
            if leaf is not None and _is_within(leaf, signed, DAY_FIELDS) and _keys_at(leaf) <= len(keys):
                return replace(evidence, log={**evidence.log, "day": _logged(leaf, signed, reader)}, closed=closed)
        return evidence

    def _key_leaves(self, signed: SignedHead) -> Iterator[TypedLeaf]:
        """Yield the entries of the registry that the checkpoint has, as far as no entry before is missing."""
        paths = [typed_leaf_path(f"key-{entry_id(seq)}") for seq in range(1, self._keys.registry_size + 1)]
        for start in range(0, len(paths), LEAVES_AT_ONCE):
            for document in self._documents.get_all(paths[start : start + LEAVES_AT_ONCE]):
                leaf = _leaf(document)
                if leaf is None or not _is_within(leaf, signed, KEY_FIELDS):
                    return
                yield leaf

    def _closed_days(self) -> Iterator[ClosedDay]:
        """Yield the last closed day, then the day before, for the minutes until the log has the last one."""
        try:
            last = self._days.state().last
            closed = self._days.find(last) if last else None
            if closed is not None:
                yield closed
                before = self._days.find(_day_before(closed.record.day))
                yield from () if before is None else (before,)
        except (DayBroken, UnknownKey) as error:
            log_error("export_without_day", error, code=error.code)


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _leaf(document: Document | None) -> TypedLeaf | None:
    return None if document is None else stored_leaf(document)


def _is_within(leaf: TypedLeaf, signed: SignedHead, names: AbstractSet[str]) -> bool:
    """Return True if the checkpoint has the leaf, and the leaf has these fields, all of them texts."""
    is_whole = leaf.body.keys() == names and all(isinstance(each, str) for each in leaf.body.values())
    return is_whole and leaf.index is not None and leaf.index < signed.head.size


def _keys_at(leaf: TypedLeaf) -> int:
    """Return the number of entries that the registry had when the day was closed. Raises LogBroken."""
    try:
        return statement_in(str(leaf.body["statement"])).keys
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise LogBroken("leaf", f"The leaf of {leaf.name} has no statement of a closed day.") from error


def _logged(leaf: TypedLeaf, signed: SignedHead, reader: TileReader) -> dict[str, Any]:
    """Return the body of a leaf with its index and proof. Raises LogBroken if the log does not hold the leaf."""
    assert leaf.index is not None, "the checkpoint has the leaf"
    hashes = prove_inclusion(leaf_hash(leaf.data), leaf.index, signed.head, reader)
    return {**leaf.body, "index": leaf.index, "hashes": _texts(hashes)}


def _texts(hashes: Sequence[bytes]) -> list[Json]:
    return [to_base64(each) for each in hashes]
