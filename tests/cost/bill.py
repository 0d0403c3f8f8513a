"""Counts of what Google bills: documents read, written and deleted, invocations, messages; by function and kind."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from shared.kernel.documents import Data, Value
from tests.support.live import collection_of

Operation: TypeAlias = Literal["read", "write", "delete", "trip", "invocation", "message"]

NAMED = frozenset({"accounts/*/outbox", "accounts/*/relay", "accounts/*/sealed", "jobs", "users/*/settings"})
"""Collections whose documents have fixed ids, which the breakdown tells."""
POLLED = frozenset({"jobs/drain"})
"""Documents that an instance reads every few seconds, however many calls it serves."""
NAME_BYTES, DOCUMENT_BYTES = 16, 32
"""Bytes that Firestore adds to a document's name, and to a document."""


@dataclass(frozen=True, slots=True)
class Line:
    """Line of a bill: a function, an operation, and the kind of documents or the topic."""

    function: str
    operation: Operation
    kind: str


@dataclass(slots=True)
class Bill:
    """Counts by line. Safe to share between threads."""

    counts: Counter[Line] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, function: str, operation: Operation, kind: str, number: int = 1) -> None:
        """Add to the line of this function, operation and kind."""
        with self.lock:
            self.counts[Line(function, operation, kind)] += number

    def clear(self) -> None:
        """Forget all counts."""
        with self.lock:
            self.counts.clear()


def kind_of(path: str) -> str:
    """Return the kind of a document: `accounts/*/entries`. A document with a fixed id keeps the id."""
    kind = collection_of(path)
    return f"{kind}/{path.rpartition('/')[2]}" if kind in NAMED else kind


def stored_bytes(path: str, data: Data) -> int:
    """Return the size of a document as Firestore counts it, without its indexes.

    https://firebase.google.com/docs/firestore/storage-size
    """
    name = sum(len(part.encode()) + 1 for part in path.split("/")) + NAME_BYTES
    return name + _size(data) + DOCUMENT_BYTES


def _size(value: Value) -> int:
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return len(value.encode()) + 1
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(name.encode()) + 1 + _size(item) for name, item in value.items())
    return sum(_size(item) for item in value) if isinstance(value, list | tuple) else 8
