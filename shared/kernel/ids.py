"""Identifiers: typed, random where they are new, derived where the same intention must find the same thing."""

import hashlib
import os
import re
from typing import NewType

Uid = NewType("Uid", str)
"""A user, as Firebase Auth names them; also the name of their account."""

OperationId = NewType("OperationId", str)
"""One intention. The same intention has the same id, however often it is sent."""

HoldId = NewType("HoldId", str)
LotId = NewType("LotId", str)

SAFE_ID = re.compile(r"[A-Za-z0-9_~.:@=+-]{1,128}", re.ASCII)


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


def is_safe_id(text: str) -> bool:
    """Whether `text` can stand in a document path: 1–128 characters, no slash, not `.` or `..`."""
    return SAFE_ID.fullmatch(text) is not None and text not in {".", ".."} and not text.startswith("__")
