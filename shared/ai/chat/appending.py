"""Writes that append messages to a conversation: in the tail, or in a page of their own. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.message_pages import packed
from shared.ai.chat.messages import Message, title_of
from shared.ai.chat.paths import conversation_path, state_path
from shared.ai.chat.settings_copy import NO_COPY, settings_copy
from shared.ai.chat.tail import SystemCount, appended
from shared.kernel.clock import rfc3339
from shared.kernel.documents import Patch, Put, Value, Write


def tail_writes(
    conversation: Conversation, messages: Sequence[Message], system: SystemCount | None = None
) -> Sequence[Write]:
    """Build the writes that append the messages to the tail of the conversation, which must not be behind.

    The commit fails if the tail or the conversation has changed since, or is gone. `system` is the count of the system
    prompt to store; None keeps the stored count.
    """
    state, tail = conversation.state, conversation.tail
    assert state is not None, "a conversation that is not behind has a state"
    assert tail is not None, "a conversation that is not behind has a tail"
    grown, pages = appended(replace(tail, system=system or tail.system), messages)
    now = _continued(conversation, messages)
    return [
        replace(_touch(conversation, now), version=conversation.version),
        Put(state.path, {**state.data, **grown.data(), **settings_copy(now)}, state.version),
        *(page.write for page in pages),
    ]


def page_writes(conversation: Conversation, messages: Sequence[Message]) -> Sequence[Write]:
    """Build the writes that append the messages as a page, regardless of other writers.

    The commit fails if the conversation is gone. The next turn moves the messages into the tail.
    """
    note = Patch(state_path(conversation.id), {"last": messages[-1].position, **NO_COPY})
    return [
        _touch(conversation, _continued(conversation, messages)),
        note,
        *(page.write for page in packed(messages, messages[-1].id)),
    ]


def has_messages(conversation: Conversation, messages: Sequence[Message]) -> bool:
    """Return True if the tail has these messages, since an earlier commit without an answer was applied."""
    return conversation.tail is not None and any(each.id == messages[0].id for each in conversation.tail.messages())


def is_whole(conversation: Conversation, said: Sequence[Message]) -> bool:
    """Return True if `said` is all that was appended to the conversation when the conversation was read.

    `said` may have been read before the conversation. If a summary in `said` is not known to be paid, return False: the
    payment may be noted at any time, so a new read is better.
    """
    if conversation.last is None:
        return not said
    return any(each.position == conversation.last for each in said) and all(each.is_settled for each in said)


def _continued(conversation: Conversation, messages: Sequence[Message]) -> Conversation:
    """Return the conversation after these messages: with their time, and with a title from the first text of a user."""
    said = next((message.content for message in messages if message.role == "user"), None)
    title = title_of(said) if conversation.title is None and said is not None else conversation.title
    return replace(conversation, title=title, updated_at=max(conversation.updated_at, messages[-1].created_at))


def _touch(before: Conversation, now: Conversation) -> Patch:
    """Build the write that changes the time in `conversations/{id}`, and the title of an untitled conversation."""
    titled: dict[str, Value] = {} if now.title == before.title else {"title": now.title}
    return Patch(conversation_path(now.id), {"updated_at": rfc3339(now.updated_at), **titled})
