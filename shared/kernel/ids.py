"""Identifiers: typed, random where they are new, derived where the same intention must find the same thing."""

import hashlib
import os
import re
from typing import NewType
from urllib.parse import quote

Uid = NewType("Uid", str)
"""A user, as Firebase Auth names them; also the name of their account."""

OperationId = NewType("OperationId", str)
"""One intention. The same intention has the same id, however often it is sent."""

HoldId = NewType("HoldId", str)
LotId = NewType("LotId", str)

SAFE_ID = re.compile(r"[A-Za-z0-9_~.:@=+-]{1,128}", re.ASCII)
SAFE_PUNCTUATION = "_~.:@=+-"
UID_CHARS_MAX = 128
"""Most characters of a uid, as Firebase Auth counts them."""
RESERVED_ID = re.compile(r"__.*__", re.DOTALL)
"""Ids that Firestore keeps for itself."""
NAME_CHARS_MAX = 512
"""Most characters of a uid's encoded name, so that an object's whole name fits 1,024 bytes."""


def random_token(size_bytes: int = 8) -> str:
    """Fresh randomness from the system, in hex. (`secrets` does the same and costs 10 ms of every cold start.)"""
    return os.urandom(size_bytes).hex()


def new_id(prefix: str) -> str:
    """A fresh random identifier such as `msg_5f0c…` (96 bits)."""
    return f"{prefix}_{random_token(12)}"


def derived_id(prefix: str, *parts: str) -> str:
    """The identifier that these parts always have (96 bits of SHA-256 over length-prefixed parts)."""
    joined = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
    return f"{prefix}_{hashlib.sha256(joined).hexdigest()[:24]}"


def operation_id(*parts: str) -> OperationId:
    """The operation that these parts name: caller's scope and key, or a saga and its step."""
    return OperationId(derived_id("op", *parts))


def fingerprint(text: str) -> str:
    """What a request said, as 256 bits of hex: the same key with another fingerprint is a conflict."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_uid(text: str) -> bool:
    """True if `text` is a uid that Firestore can name a document by, in any script: 1-128 characters, taken as sent."""
    if not 1 <= len(text) <= UID_CHARS_MAX or "/" in text or text in {".", ".."} or RESERVED_ID.fullmatch(text):
        return False
    return not any("\ud800" <= char <= "\udfff" for char in text)


def name_of(uid: Uid) -> str:
    """Return the uid in the characters of a safe id and `%`: percent-encoded UTF-8. No two uids have the same name.

    A uid that is a safe id is its own name. If the name were longer than NAME_CHARS_MAX, it is a hash of the uid.
    """
    encoded = quote(uid, safe=SAFE_PUNCTUATION)
    return encoded if len(encoded) <= NAME_CHARS_MAX else f"%sha256-{hashlib.sha256(uid.encode()).hexdigest()}"


def is_safe_id(text: str) -> bool:
    """Whether `text` can stand in a document path: 1–128 characters, no slash, not `.` or `..`."""
    return SAFE_ID.fullmatch(text) is not None and text not in {".", ".."} and not text.startswith("__")
