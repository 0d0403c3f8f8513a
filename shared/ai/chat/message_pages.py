"""Documents with several messages: `conversations/{id}/messages/{page}`. Pure.

A page holds messages of consecutive turns, oldest first. `messages` is a list in which the fields of a message, as one
JSON text, and the content of the message alternate. `position` is that of the page's last message, and `ids` names all
messages of the page. A document of the older form holds one message, whose content is the field `content`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from shared.ai.chat.messages import Message, message_fields, message_from, message_of, turn_name
from shared.ai.chat.paths import message_path
from shared.kernel.documents import Create, Data, Document, Put
from shared.kernel.ids import Uid, derived_id

PAGE_BYTES_MAX = 900_000
"""Most bytes of messages in a page. Both messages of a turn are in one page if they fit."""


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """Message as stored in a list: the fields as JSON, and the content."""

    fields: str
    content: str

    @property
    def bytes(self) -> int:
        """The bytes that Firestore counts for the entry."""
        return _stored_bytes(self.fields) + _stored_bytes(self.content)


def entry_of(message: Message) -> MessageEntry:
    """Return the message as an entry. The owner and the conversation stand in the document."""
    fields = {"id": message.id, **message_fields(message)}
    return MessageEntry(json.dumps(fields, ensure_ascii=False, separators=(",", ":")), message.content)


def message_in(entry: MessageEntry, uid: Uid, conversation_id: str) -> Message:
    """Return the message of an entry."""
    fields = json.loads(entry.fields)
    return message_from(fields, uid, conversation_id, fields["id"], entry.content)


def entries_in(document: Document) -> tuple[MessageEntry, ...]:
    """Return the entries of a document's list, oldest first."""
    texts = cast("Sequence[str]", document.data["messages"])
    return tuple(map(MessageEntry, texts[::2], texts[1::2]))


def as_list(entries: Iterable[MessageEntry]) -> list[str]:
    """Return the list that a document stores for the entries."""
    return [text for entry in entries for text in (entry.fields, entry.content)]


def bytes_of(entries: Iterable[MessageEntry]) -> int:
    """Return the bytes that Firestore counts for the entries."""
    return sum(entry.bytes for entry in entries)


def is_page(document: Document) -> bool:
    """Return True for a page, False for a document of the older form."""
    return "messages" in document.data


def messages_of(document: Document, conversation_id: str) -> list[Message]:
    """Return the messages of a page, or of a document of the older form; oldest first."""
    if not is_page(document):
        return [message_of(document, conversation_id)]
    uid = Uid(str(document.data["uid"]))
    return [message_in(entry, uid, conversation_id) for entry in entries_in(document)]


@dataclass(frozen=True, slots=True)
class NewPage:
    """Page to be created: consecutive messages, oldest first.

    `reason` names the append that creates the page. Two appends never create the same page, so that a page that exists
    shows that the append was applied.
    """

    messages: tuple[Message, ...]
    reason: str

    @property
    def id(self) -> str:
        """The id of the page, which follows from the append and the messages."""
        return derived_id("page", self.reason, self.messages[0].id, self.messages[-1].id)

    @property
    def last(self) -> str:
        """The position of the page's last message."""
        return self.messages[-1].position

    @property
    def write(self) -> Create:
        """The write that creates the page."""
        first = self.messages[0]
        return Create(message_path(first.conversation_id, self.id), page_data(self.messages))


def page_data(messages: Sequence[Message]) -> Data:
    """Return the document of a page with these messages."""
    return {
        "uid": messages[0].uid,
        "position": messages[-1].position,
        "ids": [message.id for message in messages],
        "messages": as_list(map(entry_of, messages)),
    }


def changed_page(document: Document, messages: Sequence[Message]) -> Put:
    """Build the write that replaces the messages of a stored page. The commit fails if the page has changed since."""
    return Put(document.path, page_data(messages), document.version)


def turns_of(messages: Iterable[Message]) -> list[list[Message]]:
    """Return the messages grouped by turn, in the order given."""
    turns: list[list[Message]] = []
    for message in messages:
        if turns and turn_name(turns[-1][-1].position) == turn_name(message.position):
            turns[-1].append(message)
        else:
            turns.append([message])
    return turns


def packed(messages: Iterable[Message], reason: str) -> list[NewPage]:
    """Return as few pages as hold the messages, which come oldest first, for the append that `reason` names.

    A turn is in one page, unless the turn alone exceeds PAGE_BYTES_MAX.
    """
    pages: list[list[Message]] = []
    room = 0
    for part in _parts(messages):
        size = bytes_of(map(entry_of, part))
        if size > room:
            pages.append([])
            room = PAGE_BYTES_MAX
        pages[-1].extend(part)
        room -= size
    return [NewPage(tuple(page), reason) for page in pages]


def _parts(messages: Iterable[Message]) -> Iterable[list[Message]]:
    """Yield the turns; for a turn that exceeds PAGE_BYTES_MAX, yield the messages one by one."""
    for turn in turns_of(messages):
        if bytes_of(map(entry_of, turn)) <= PAGE_BYTES_MAX:
            yield turn
        else:
            yield from ([message] for message in turn)


def _stored_bytes(text: str) -> int:
    return (len(text) if text.isascii() else len(text.encode())) + 1
