"""Leaves of the transparency log: bytes that stand for entries, keys, closed days, restores, snapshots and archives.

A leaf begins with the context of its kind, so that no leaf passes for another kind. The leaf of an entry has the
entry's hash and signature and no body: without the entry nobody can guess the leaf.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

from shared.kernel.canonical import Json, NotCanonical, canonical, parse_canonical
from shared.ledger.keys import from_base64, to_base64
from shared.ledger.log.merkle import HASH_BYTES

LeafKind = Literal["key", "day", "restore", "snapshot", "archive"]
"""Kinds of leaves whose data are canonical JSON. `key` is a changed registry of keys, `day` a closed day, `restore` a
restored database, `snapshot` the state in the place of a deleted body, and `archive` entries that moved to the bucket.
"""
LEAF_KINDS: Final[tuple[LeafKind, ...]] = get_args(LeafKind)
ENTRY_CONTEXT = b"ics-leaf-v1\n"
SIGNATURE_BYTES = 64
LEAF_BYTES_MAX = 100_000
"""Largest size of a typed leaf."""
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidLeaf(ValueError):
    """Refusal of data that make no leaf. The message is a sentence."""


def entry_leaf(hash_hex: str, signature_base64: str) -> bytes:
    """Return the data of an entry's leaf: the context, the 32 bytes of the hash, and the 64 bytes of the signature.

    Raises InvalidLeaf for a hash that is no lower-case hex, or a signature that is no canonical base64, of this length.
    """
    if not _HASH.fullmatch(hash_hex):
        raise InvalidLeaf(f"The hash of an entry must be {HASH_BYTES} bytes in lower-case hex.")
    try:
        signature = from_base64(signature_base64)
    except ValueError as error:
        raise InvalidLeaf("The signature of an entry must be padded base64.") from error
    if len(signature) != SIGNATURE_BYTES or to_base64(signature) != signature_base64:
        raise InvalidLeaf(f"The signature of an entry must be {SIGNATURE_BYTES} bytes in canonical base64.")
    return ENTRY_CONTEXT + bytes.fromhex(hash_hex) + signature


def typed_leaf(kind: LeafKind, body: Mapping[str, Json]) -> bytes:
    """Return the data of a typed leaf: the context of the kind and the canonical JSON of `body`.

    Raises InvalidLeaf for a body without a canonical form, or of more than LEAF_BYTES_MAX bytes.
    """
    try:
        data = _context(kind) + canonical(body)
    except NotCanonical as error:
        raise InvalidLeaf("The body of a leaf must have a canonical JSON form.") from error
    if len(data) > LEAF_BYTES_MAX:
        raise InvalidLeaf(f"A leaf has at most {LEAF_BYTES_MAX} bytes.")
    return data


def read_typed_leaf(data: bytes) -> tuple[LeafKind, Mapping[str, Json]]:
    """Return kind and body of a typed leaf's data. Raises InvalidLeaf unless `typed_leaf` gives the same data again."""
    for kind in LEAF_KINDS:
        if data.startswith(_context(kind)):
            return kind, _body(data.removeprefix(_context(kind)))
    raise InvalidLeaf("These data begin with the context of no typed leaf.")


def _context(kind: LeafKind) -> bytes:
    return f"ics-{kind}-v1\n".encode()


def _body(text: bytes) -> Mapping[str, Json]:
    try:
        body = parse_canonical(text)
    except (NotCanonical, UnicodeDecodeError) as error:
        raise InvalidLeaf("The body of this leaf is not canonical JSON.") from error
    if not isinstance(body, Mapping):
        raise InvalidLeaf("The body of this leaf is no JSON object.")
    return body
