"""Tail of a conversation: the newest messages, in the document that only the server reads. Pure.

`conversation_states/{id}` holds the tail in two fields. `messages` lists the newest messages as a page does. `tail` is
a JSON text: the pages of the window that are older than those messages, with the tokens of each message; the position
that the newest summary covers; the position of the newest message outside the tail; the tokens of the system prompt. So
one document of at most 256 kB tells what a model gets, and only a larger window reads pages.

`last` in the document is the position of the last message. The tail is outdated if `last` is another position than that
of the tail's last change: then messages were appended as pages of their own.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from shared.ai.chat.message_pages import (
    MessageEntry,
    NewPage,
    as_list,
    bytes_of,
    entries_in,
    entry_of,
    message_in,
    packed,
)
from shared.ai.chat.message_pages import turns_of as _turns_of
from shared.ai.chat.messages import Message
from shared.kernel.documents import Document, Value
from shared.kernel.ids import Uid

TAIL_BYTES_MAX = 236_000
"""Most bytes of messages in the tail. With the other fields the document stays within 256 kB."""
TAIL_BYTES_KEPT = 120_000
"""Bytes of messages that stay in a tail that was full. The older messages become a page."""
WINDOW_MESSAGES_MAX = 100
"""Most earlier messages in a prompt, even if the model's window is larger."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """Page of the window: the document's id, the last message's position, and the tokens of each message."""

    id: str
    last: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SystemCount:
    """Tokens of the system prompt with this digest."""

    digest: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The newest messages of a conversation, oldest first, and the pages of the window before these messages.

    `covers` is the position that the newest summary covers, None without a summary. `older` is the position of the
    newest message outside the tail, None if the tail has all messages. `last` is the position of the last message.
    """

    uid: Uid
    conversation_id: str
    entries: tuple[MessageEntry, ...] = ()
    pages: tuple[PageRow, ...] = ()
    covers: str | None = None
    older: str | None = None
    last: str | None = None
    system: SystemCount | None = None
    is_outdated: bool = False
    """True if messages were appended since that the tail does not know."""

    def newest(self, limit: int, before: str | None = None) -> list[Message]:
        """Return the tail's last `limit` messages before the position `before`, newest first."""
        found: list[Message] = []
        for entry in reversed(self.entries):
            if len(found) == limit:
                break
            message = self._message(entry)
            if before is None or message.position < before:
                found.append(message)
        return found

    def window(self) -> list[Message]:
        """Return the tail's messages that a model may get: not the messages that a summary covers. Newest first."""
        newest = (self._message(entry) for entry in reversed(self.entries[-WINDOW_MESSAGES_MAX:]))
        return list(takewhile(lambda message: self.covers is None or message.position > self.covers, newest))

    def messages(self) -> list[Message]:
        """Return all messages of the tail, oldest first."""
        return [self._message(entry) for entry in self.entries]

    def with_changed(self, changed: Message) -> "Tail":
        """Return the tail with the message of the same id replaced."""
        return replace(
            self, entries=tuple(entry_of(changed if each.id == changed.id else each) for each in self.messages())
        )

    def data(self) -> dict[str, Value]:
        """Return the fields of `conversation_states/{id}` that hold the tail."""
        header = {
            "pages": [[row.id, row.last, row.tokens] for row in self.pages],
            "covers": self.covers,
            "older": self.older,
            "last": self.last,
            "system": None if self.system is None else [self.system.digest, self.system.tokens],
        }
        return {
            "last": self.last,
            "tail": json.dumps(header, separators=(",", ":")),
            "messages": as_list(self.entries),
        }

    def _message(self, entry: MessageEntry) -> Message:
        return message_in(entry, self.uid, self.conversation_id)


def tail_of(state: Document | None) -> Tail | None:
    """Return the tail in the document `conversation_states/{id}`; None for a document of the older form."""
    if state is None or "tail" not in state.data:
        return None
    # Written by us alone: every field is there and of its type.
    header: dict[str, Any] = json.loads(str(state.data["tail"]))
    return Tail(
        uid=Uid(str(state.data["uid"])),
        conversation_id=state.id,
        entries=entries_in(state),
        pages=tuple(PageRow(id_, last, tuple(tokens)) for id_, last, tokens in header["pages"]),
        covers=header["covers"],
        older=header["older"],
        last=header["last"],
        system=None if header["system"] is None else SystemCount(*header["system"]),
        is_outdated=header["last"] != state.data["last"],
    )


def appended(tail: Tail, messages: Sequence[Message]) -> tuple[Tail, list[NewPage]]:
    """Return the tail with these messages, whose positions are behind all others, and the pages to create.

    If the tail is full, all but the newest messages become a page. A turn stays in the tail if the turn fits.
    """
    entries = (*tail.entries, *map(entry_of, messages))
    grown = replace(tail, entries=entries, covers=_covers(messages) or tail.covers, last=messages[-1].position)
    if bytes_of(entries) <= TAIL_BYTES_MAX:
        return replace(grown, pages=pruned(grown, grown.pages)), []
    ordered = grown.messages()
    kept = kept_of(ordered)
    pages = packed(ordered[: len(ordered) - len(kept)], messages[-1].id)
    rest = replace(grown, entries=tuple(map(entry_of, kept)))
    rows = (*rest.pages, *map(row_of, pages))
    return replace(rest, older=max(pages[-1].last, rest.older or ""), pages=pruned(rest, rows)), pages


def kept_of(messages: Sequence[Message]) -> list[Message]:
    """Return the newest of the messages, which come oldest first: those that stay in a tail.

    All stay if they fit. Else whole turns stay within TAIL_BYTES_KEPT, and the newest turn within TAIL_BYTES_MAX.
    """
    if bytes_of(map(entry_of, messages)) <= TAIL_BYTES_MAX:
        return list(messages)
    kept: list[Message] = []
    size = 0
    for turn in reversed(_turns_of(messages)):
        size += bytes_of(map(entry_of, turn))
        if size > (TAIL_BYTES_KEPT if kept else TAIL_BYTES_MAX):
            break
        kept = [*turn, *kept]
    return kept


def row_of(page: NewPage) -> PageRow:
    """Return the row of a new page."""
    return PageRow(page.id, page.last, tuple(message.tokens or 0 for message in page.messages))


def pruned(tail: Tail, pages: Iterable[PageRow]) -> tuple[PageRow, ...]:
    """Return the pages of the window, which come oldest first: those that a model may get messages of."""
    kept: list[PageRow] = []
    count = len(tail.entries)
    for row in sorted(pages, key=lambda row: row.last, reverse=True):
        if count >= WINDOW_MESSAGES_MAX or (tail.covers is not None and row.last <= tail.covers):
            break
        kept.append(row)
        count += len(row.tokens)
    return tuple(kept[::-1])


def digest_of(text: str) -> str:
    """Return the digest by which a counted text is known again."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _covers(messages: Iterable[Message]) -> str | None:
    return max((message.covers for message in messages if message.covers is not None), default=None)
