"""What a user keeps without paying for it: conversations that were only begun, tasks that were only queued.

`users/{uid}/settings/storage` counts both. It changes in the commit that creates or deletes what it counts, so that
two creations at once cannot both take the last place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from shared.kernel.clock import DAY, Millis
from shared.kernel.documents import Create, Data, Document, Put, Version
from shared.kernel.errors import Conflict, Rejected
from shared.kernel.ids import Uid

CONVERSATION_BYTES = 1_024
"""What a conversation takes beside its system prompt."""
CONVERSATIONS_MAX, CONVERSATION_BYTES_MAX = 20_000, 100_000_000
FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX = 100, 1_000_000
"""For a user without credits. Messages are not counted: each answer is paid for."""
TASKS_PER_DAY_MAX = 500
"""Agent tasks that a user may begin on one day (UTC), each with up to half a megabyte of documents."""


class StorageFull(Conflict):
    """This user keeps as many conversations, or as much text in them, as one may."""

    code = "storage_full"

    def __init__(self, conversations: int, bytes_max: int) -> None:
        super().__init__(
            f"You may keep {conversations} conversations with {bytes_max} bytes of system prompts;"
            " delete some, or buy credits if you have none.",
            conversations=conversations,
            bytes=bytes_max,
        )


class TooManyTasksToday(Rejected):
    """This user has begun as many agent tasks today as one may."""

    code = "too_many_tasks_today"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            f"You have begun {TASKS_PER_DAY_MAX} agent tasks today; begin the next one tomorrow (UTC).",
            limit=TASKS_PER_DAY_MAX,
            retry_after_ms=retry_after_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a user keeps: conversations, the bytes of their own texts, tasks begun on `day` (days since 1970)."""

    uid: Uid
    conversations: int = 0
    bytes: int = 0
    day: int = 0
    tasks: int = 0
    version: Version | None = None

    def with_conversation(self, size: int, is_paying: Callable[[], bool]) -> "Kept":
        """Add a conversation. Raises StorageFull; whether the user has credits is asked only where that matters."""
        return replace(self, conversations=self.conversations + 1).with_bytes(size, is_paying)

    def with_bytes(self, more: int, is_paying: Callable[[], bool]) -> "Kept":
        """Add text to what is kept, or take some away. Raises StorageFull."""
        grown = replace(self, bytes=max(0, self.bytes + more))
        if more > 0 and not grown.fits(FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX):
            most = (CONVERSATIONS_MAX, CONVERSATION_BYTES_MAX)
            if not is_paying():
                raise StorageFull(FREE_CONVERSATIONS_MAX, FREE_BYTES_MAX)
            if not grown.fits(*most):
                raise StorageFull(*most)
        return grown

    def without_conversation(self, size: int) -> "Kept":
        """Take a conversation away."""
        return replace(self, conversations=max(0, self.conversations - 1), bytes=max(0, self.bytes - size))

    def with_task(self, now: Millis) -> "Kept":
        """Add a task that is begun now. Raises TooManyTasksToday."""
        day = now // DAY
        begun = self.tasks if self.day == day else 0
        if begun >= TASKS_PER_DAY_MAX:
            raise TooManyTasksToday(retry_after_ms=(day + 1) * DAY - now)
        return replace(self, day=day, tasks=begun + 1)

    @property
    def write(self) -> Create | Put:
        """The write that stores this, if nobody has changed what it was made from."""
        data: Data = {
            "v": 1,
            "uid": self.uid,
            "conversations": self.conversations,
            "bytes": self.bytes,
            "day": self.day,
            "tasks": self.tasks,
        }
        path = storage_path(self.uid)
        return Create(path, data) if self.version is None else Put(path, data, self.version)

    def fits(self, conversations: int, bytes_max: int) -> bool:
        """True if no more is kept than this."""
        return self.conversations <= conversations and self.bytes <= bytes_max


def storage_path(uid: Uid) -> str:
    """Return the path of what a user keeps."""
    return f"users/{uid}/settings/storage"


def kept_in(uid: Uid, document: Document | None) -> Kept:
    """Return what the document says; nothing is kept where there is none."""
    if document is None:
        return Kept(uid=uid)
    data = cast("dict[str, int]", document.data)
    names = ("conversations", "bytes", "day", "tasks")
    return Kept(uid=uid, version=document.version, **{name: data.get(name, 0) for name in names})


def conversation_size(system_prompt: str | None) -> int:
    """Return what a conversation counts for, bytes."""
    return CONVERSATION_BYTES + len((system_prompt or "").encode())
