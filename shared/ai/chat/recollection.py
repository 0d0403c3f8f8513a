"""Cache of the conversations that an instance answered last, so that the next turn need not read the messages again.

A conversation's document names the `last` message, and every append changes that name. A cached conversation is stored
under the name of the last message. If the stored document still has the same name, no message came later.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

RECALLED_BYTES_MAX = 32_000_000
MESSAGE_BYTES = 1_000
"""Approximate bytes of memory that a message takes beside the text."""


IDS_MAX = 10_000


class RecentIds:
    """Ids that were added last, in a bounded number. Safe to share between threads."""

    def __init__(self, most: int = IDS_MAX) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, id_: str) -> bool:
        """Return True if the id is remembered."""
        return id_ in self._ids

    def add(self, id_: str) -> None:
        """Remember an id. The id that was added longest ago makes room."""
        with self._lock:
            self._ids[id_] = None
            self._ids.move_to_end(id_)
            while len(self._ids) > self._most:
                self._ids.popitem(last=False)


class CachedMessage(Protocol):
    """Protocol of a cached message."""

    @property
    def content(self) -> str:
        """Return the message's text."""
        ...


SaidT = TypeVar("SaidT", bound=CachedMessage)


class Recollection(Generic[SaidT]):
    """Conversations used last, newest messages first, within a bound of bytes. Safe to share between threads."""

    def __init__(self, bytes_max: int = RECALLED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, Sequence[SaidT], int]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, conversation_id: str) -> bool:
        """Return True if the cache has this conversation, even if outdated."""
        return conversation_id in self._kept

    def of(self, conversation_id: str, last: str | None) -> Sequence[SaidT] | None:
        """Return the cached messages if the last message is `last`; None if they are absent or outdated."""
        with self._lock:
            kept = self._kept.get(conversation_id)
            if kept is None or kept[0] != last:
                return None
            self._kept.move_to_end(conversation_id)
            return kept[1]

    def keep(self, conversation_id: str, last: str, said: Sequence[SaidT]) -> None:
        """Cache the messages of a conversation. The conversations used longest ago make room."""
        size = sum(sys.getsizeof(each.content) + MESSAGE_BYTES for each in said)
        with self._lock:
            self._drop(conversation_id)
            self._kept[conversation_id] = (last, said, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._kept)))

    def forget_conversation(self, conversation_id: str) -> None:
        """Drop a conversation from the cache, so that the next turn reads the store."""
        with self._lock:
            self._drop(conversation_id)

    def _drop(self, conversation_id: str) -> None:
        self._bytes -= self._kept.pop(conversation_id, ("", (), 0))[2]
