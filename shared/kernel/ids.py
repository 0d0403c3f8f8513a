"""Identifiers: typed, random for new things, and derived where the same intention must find the same thing."""

import hashlib
import os
import re
from typing import NewType
from urllib.parse import quote

Uid = NewType("Uid", str)
"""Id of a user in Firebase Auth; also the name of the user's account."""

OperationId = NewType("OperationId", str)
"""Id of a caller's intention. A repeated request for the same intention has the same id."""

HoldId = NewType("HoldId", str)
LotId = NewType("LotId", str)

ID_CHARACTERS_MAX = 128
"""Longest id in a document path, such as the id of a model or a package."""
SAFE_ID = re.compile(rf"[A-Za-z0-9_~.:@=+-]{{1,{ID_CHARACTERS_MAX}}}", re.ASCII)
SAFE_PUNCTUATION = "_~.:@=+-"
UID_CHARS_MAX = 128
"""Most characters of a uid, as Firebase Auth counts them."""
RESERVED_ID = re.compile(r"__.*__", re.DOTALL)
"""Pattern of ids that Firestore reserves."""
NAME_CHARS_MAX = 512
"""Most characters of a uid's encoded name, so that an object's whole name fits 1,024 bytes."""


def random_token(size_bytes: int = 8) -> str:
    """Return fresh randomness from the system, in hex.

    The module `secrets` does the same but adds 10 ms to every cold start.
    """
    return os.urandom(size_bytes).hex()


def new_id(prefix: str) -> str:
    """Return a fresh random identifier such as `msg_5f0c…` (96 bits)."""
    return f"{prefix}_{random_token(12)}"


def derived_id(prefix: str, *parts: str) -> str:
    """Return the fixed identifier of these parts (96 bits of SHA-256 over length-prefixed parts)."""
    joined = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
    return f"{prefix}_{hashlib.sha256(joined).hexdigest()[:24]}"


def operation_id(*parts: str) -> OperationId:
    """Return the id of the operation that these parts name: caller's scope and key, or a saga and a step."""
    return OperationId(derived_id("op", *parts))


def fingerprint(text: str) -> str:
    """Return the hash of a text such as a request, 256 bits in hex.

    The same key with another fingerprint is a conflict.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def is_uid(text: str) -> bool:
    """Return True if `text` is a uid that can name a Firestore document: 1-128 characters of any script.

    The uid is checked as sent, without normalisation.
    """
    if not 1 <= len(text) <= UID_CHARS_MAX or "/" in text or text in {".", ".."} or RESERVED_ID.fullmatch(text):
        return False
    return not any("\ud800" <= char <= "\udfff" for char in text)


def name_of(uid: Uid) -> str:
    """Return the uid in the characters of a safe id and `%`: percent-encoded UTF-8. No two uids have the same name.

    A uid that is a safe id is its own name. If the name is longer than NAME_CHARS_MAX, return a hash of the uid.
    """
    encoded = quote(uid, safe=SAFE_PUNCTUATION)
    return encoded if len(encoded) <= NAME_CHARS_MAX else f"%sha256-{hashlib.sha256(uid.encode()).hexdigest()}"


def is_safe_id(text: str) -> bool:
    """Return True if `text` can be an id in a document path.

    An id has 1 to `ID_CHARACTERS_MAX` safe characters. It is not `.` or `..`, and does not begin with `__`.
    """
    return SAFE_ID.fullmatch(text) is not None and text not in {".", ".."} and not text.startswith("__")
