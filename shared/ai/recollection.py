"""What an instance recalls of the conversations it answered last, so that a next turn need not read them again.

A conversation's document names its `last` message, and every append writes another name there. What is recalled is kept
under the name it ends with, and is good while that is the one that stands in the store: then nothing came after it.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

RECALLED_BYTES_MAX = 32_000_000
MESSAGE_BYTES = 1_000
"""About what a message takes in memory beside its text."""


class Said(Protocol):
    """As much of a message as matters here."""

    @property
    def content(self) -> str:
        """Its text."""
        ...


SaidT = TypeVar("SaidT", bound=Said)


class Recollection(Generic[SaidT]):
    """The conversations used last, newest messages first, within a bound of bytes. Safe to share between threads."""

    def __init__(self, bytes_max: int = RECALLED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, Sequence[SaidT], int]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, conversation_id: str) -> bool:
        """Whether anything is recalled of it, good or not."""
        return conversation_id in self._kept

    def of(self, conversation_id: str, last: str | None) -> Sequence[SaidT] | None:
        """What was said, if it ends with `last`."""
        with self._lock:
            kept = self._kept.get(conversation_id)
            if kept is None or kept[0] != last:
                return None
            self._kept.move_to_end(conversation_id)
            return kept[1]

    def keep(self, conversation_id: str, last: str, said: Sequence[SaidT]) -> None:
        """Recall this from now on; what was used longest ago makes room for it."""
        size = sum(sys.getsizeof(each.content) + MESSAGE_BYTES for each in said)
        with self._lock:
            self._drop(conversation_id)
            self._kept[conversation_id] = (last, said, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._kept)))

    def forget(self, conversation_id: str) -> None:
        """Read it next time."""
        with self._lock:
            self._drop(conversation_id)

    def _drop(self, conversation_id: str) -> None:
        self._bytes -= self._kept.pop(conversation_id, ("", (), 0))[2]
