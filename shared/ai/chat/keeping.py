"""Limits for free storage: conversations that a user only began, and tasks that a user only queued.

`users/{uid}/settings/storage` counts both. The count changes in the commit that creates or deletes a conversation or
task, so that two creations at once cannot both take the last place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from shared.kernel.clock import DAY, Millis
from shared.kernel.documents import Create, Data, Document, Put, Version
from shared.kernel.errors import Conflict, Rejected
from shared.kernel.ids import Uid

CONVERSATION_BYTES = 1_024
"""Bytes that a conversation counts for beside the system prompt."""
CONVERSATIONS_MAX, CONVERSATION_BYTES_MAX = 20_000, 100_000_000
FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX = 100, 1_000_000
"""Limits for a user without credits. Messages are not counted, as each answer is paid for."""
TASKS_PER_DAY_MAX = 500
"""Most agent tasks that a user may begin on one day (UTC), each with up to half a megabyte of documents."""


class StorageFull(Conflict):
    """Refusal: the user has reached the limit of conversations or of bytes in system prompts."""

    code = "storage_full"

    def __init__(self, conversations: int, bytes_max: int) -> None:
        super().__init__(
            f"You may keep {conversations} conversations with {bytes_max} bytes of system prompts;"
            " delete some, or buy credits if you have none.",
            conversations=conversations,
            bytes=bytes_max,
        )


class TooManyTasksToday(Rejected):
    """Refusal: the user has begun the most agent tasks that one day allows."""

    code = "too_many_tasks_today"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            f"You have begun {TASKS_PER_DAY_MAX} agent tasks today; begin the next one tomorrow (UTC).",
            limit=TASKS_PER_DAY_MAX,
            retry_after_ms=retry_after_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCount:
    """Storage count of a user: conversations, bytes of own texts, and tasks begun on `day` (days since 1970).

    `version` is None if no count is stored.
    """

    uid: Uid
    conversations: int = 0
    bytes: int = 0
    day: int = 0
    tasks: int = 0
    version: Version | None = None

    def with_conversation(self, size: int, is_paying: Callable[[], bool]) -> "StorageCount":
        """Return the count with one conversation more. Raises StorageFull.

        `is_paying` is called only if the count exceeds the free limits.
        """
        return replace(self, conversations=self.conversations + 1).with_bytes(size, is_paying)

    def with_bytes(self, more: int, is_paying: Callable[[], bool]) -> "StorageCount":
        """Return the count with `more` bytes; a negative number takes bytes away. Raises StorageFull."""
        grown = replace(self, bytes=max(0, self.bytes + more))
        if more > 0 and not grown.fits(FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX):
            most = (CONVERSATIONS_MAX, CONVERSATION_BYTES_MAX)
            if not is_paying():
                raise StorageFull(FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX)
            if not grown.fits(*most):
                raise StorageFull(*most)
        return grown

    def without_conversation(self, size: int) -> "StorageCount":
        """Return the count without one conversation of `size` bytes."""
        return replace(self, conversations=max(0, self.conversations - 1), bytes=max(0, self.bytes - size))

    def with_task(self, now: Millis) -> "StorageCount":
        """Return the count with a task that begins now. Raises TooManyTasksToday."""
        day = now // DAY
        begun = self.tasks if self.day == day else 0
        if begun >= TASKS_PER_DAY_MAX:
            raise TooManyTasksToday(retry_after_ms=(day + 1) * DAY - now)
        return replace(self, day=day, tasks=begun + 1)

    @property
    def write(self) -> Create | Put:
        """Write that stores this count. The commit fails if the stored count has changed since the read."""
        data: Data = {
            "uid": self.uid,
            "conversations": self.conversations,
            "bytes": self.bytes,
            "day": self.day,
            "tasks": self.tasks,
        }
        path = storage_path(self.uid)
        return Create(path, data) if self.version is None else Put(path, data, self.version)

    def fits(self, conversations: int, bytes_max: int) -> bool:
        """Return True if the count is within these limits."""
        return self.conversations <= conversations and self.bytes <= bytes_max


def storage_path(uid: Uid) -> str:
    """Return the path of the user's storage count."""
    return f"users/{uid}/settings/storage"


def kept_in(uid: Uid, document: Document | None) -> StorageCount:
    """Return the count in the document; zeros if there is no document."""
    if document is None:
        return StorageCount(uid=uid)
    data = cast("dict[str, int]", document.data)
    names = ("conversations", "bytes", "day", "tasks")
    return StorageCount(uid=uid, version=document.version, **{name: data.get(name, 0) for name in names})


def conversation_size(system_prompt: str | None) -> int:
    """Return the bytes that a conversation with this system prompt counts for."""
    return CONVERSATION_BYTES + len((system_prompt or "").encode())
