"""Index of entries: stored fields by which the history finds the entries about one object or of one API key.

Each field has the first bytes of the SHA-256 of an id, since most entries are of calls and each byte is kept for ever.
Two ids may share a mark, so a reader compares the body too. The body alone determines the fields.

Entries of earlier releases have no such fields and never change. So the sealed document of an account tells the number
from which all entries have the fields: behind a tilde in the nonce, which the seal covers. An earlier release writes
nonces without a number, and the next commit of this release begins with its own first entry.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from shared.ledger.about import REF_TYPES

REF, KEY = "ref", "key"
"""Names of the stored fields."""
INDEX_FIELDS = frozenset({REF, KEY})
MARK_BYTES = 3
UNTOLD = b""
"""Mark of an entry that names a hold and no purpose of its own: only the hold tells object and API key."""
NUMBER_SIGN = "~"
NUMBER_CHARACTERS_MAX = 18
ABOUT_START = '{"about":{'
"""Start of most bodies, in which the names are sorted."""


@lru_cache(maxsize=4_096)
def index_mark(name: str) -> bytes:
    """Return the mark of an id."""
    return hashlib.sha256(name.encode("utf-8", "replace")).digest()[:MARK_BYTES]


def ref_mark(ref: str) -> bytes:
    """Return the mark of an object that is named as `type:id`, or by id alone."""
    kind, _, name = ref.partition(":")
    return index_mark(name if kind in REF_TYPES and name else ref)


def index_fields(body: str) -> Mapping[str, bytes]:
    """Return the index fields of an entry by the canonical text of the body.

    Raises ValueError, AttributeError or TypeError for a body that the ledger did not write.
    """
    tags = _tags(body)
    if tags is None:
        return {REF: UNTOLD, KEY: UNTOLD}
    _, colon, name = tags.get("ref", "").partition(":")
    key = tags.get("key")
    return {**({REF: index_mark(name)} if colon else {}), **({KEY: index_mark(key)} if key is not None else {})}


def _tags(body: str) -> Mapping[str, str] | None:
    """Return the tags that name object and API key; None if only the entry's hold names them."""
    if body.startswith(ABOUT_START):
        try:
            return _mapping(orjson.loads(body[len(ABOUT_START) - 1 : body.index("}") + 1]))
        except orjson.JSONDecodeError:  # a name has a brace
            return _mapping(orjson.loads(body)["about"])
    if '"about":' not in body and '"hold":' not in body and '"tags":' not in body:
        return {}
    parsed = _mapping(orjson.loads(body))
    if "about" in parsed:
        return _mapping(parsed["about"])
    if _mapping(parsed.get("hold", {})).get("id") is not None:
        return None
    tags = _mapping(parsed.get("tags", {}))
    return {"key": tags["key"]} if tags.get("key") is not None else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return value


def numbered_nonce(nonce: str, first: int) -> str:
    """Return the nonce of a commit after which all entries from number `first` on have their index fields."""
    return f"{nonce}{NUMBER_SIGN}{first}"


def first_indexed(nonce: object) -> int | None:
    """Return the number from which all entries have their index fields; None if the nonce tells none."""
    number = nonce.rpartition(NUMBER_SIGN)[2] if isinstance(nonce, str) and NUMBER_SIGN in nonce else ""
    is_number = number.isascii() and number.isdecimal() and len(number) <= NUMBER_CHARACTERS_MAX
    return int(number) if is_number else None
