"""Typed leaves: queued as documents by any commit, and put into the log once by the sequencer.

`ledger_log/leaves/outbox/{name}` has the leaf's data from the start, and the leaf's index once the log has the leaf.
The document waits for the sequencer as the marker of an account does, so that one query finds both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.kernel.canonical import Json
from shared.kernel.clock import Millis
from shared.kernel.documents import Create, Document, Documents, Patch
from shared.ledger.log.head import LogBroken
from shared.ledger.log.leaves import InvalidLeaf, LeafKind, read_typed_leaf, typed_leaf
from shared.ledger.markers import LOG

LEAVES = "ledger_log/leaves/outbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedLeaf:
    """Leaf with its name in the store. `index` is None until the log has the leaf."""

    name: str
    kind: LeafKind
    body: Mapping[str, Json]
    data: bytes
    index: int | None


def typed_leaf_path(name: str) -> str:
    """Return `ledger_log/leaves/outbox/{name}`, the path of the leaf's document."""
    return f"{LEAVES}/{name}"


def queue_leaf(kind: LeafKind, name: str, body: Mapping[str, Json], at: Millis) -> Create:
    """Return the write that queues a leaf. `name` is unique among typed leaves and has no slash.

    The same name always means the same leaf: a commit that queues a name again fails with PreconditionFailed. The log
    vouches for order and time only, so that a body must be signed by itself. Raises InvalidLeaf.
    """
    return Create(typed_leaf_path(name), {"leaf": typed_leaf(kind, body), LOG: at})


def read_leaf(documents: Documents, name: str) -> TypedLeaf | None:
    """Return the leaf of this name, None if none was queued. Raises LogBroken, StoreUnavailable."""
    document = documents.get(typed_leaf_path(name))
    return None if document is None else stored_leaf(document)


def stored_leaf(document: Document) -> TypedLeaf:
    """Return the leaf in this document. Raises LogBroken if the document has no leaf."""
    data, index = document.data.get("leaf"), document.data.get("index")
    is_index = index is None or (isinstance(index, int) and not isinstance(index, bool))
    try:
        kind, body = read_typed_leaf(data if isinstance(data, bytes) and is_index else b"")
    except InvalidLeaf as error:
        raise LogBroken("leaf", f"The document of leaf {document.id} has no leaf of the log.") from error
    assert isinstance(data, bytes), "other data have no context"
    return TypedLeaf(name=document.id, kind=kind, body=body, data=data, index=index if isinstance(index, int) else None)


def indexed(document: Document, index: int) -> Patch:
    """Return the write that stores the index of a leaf and ends its waiting, on the version that was read."""
    return Patch(document.path, {"index": index, LOG: None}, document.version)


def is_typed_leaf(path: str) -> bool:
    """Return True for the path of a typed leaf, False for the path of an account's marker."""
    return path.startswith(f"{LEAVES}/")
