"""Schemas of `/v1/chat`: the bodies of requests, and the answers about conversations and messages."""

from typing import Any

from marshmallow import fields

from functions.http.fields import (
    Answer,
    Choice,
    Credits,
    Cursor,
    Flag,
    Limit,
    NextCursor,
    Request,
    Text,
    Time,
    Whole,
)
from shared.ai.chat.messages import CONTENT_BYTES_MAX, TITLE_CHARACTERS_MAX
from shared.ai.models.catalogue import TOKENS_MAX
from shared.kernel.ids import ID_CHARACTERS_MAX
from shared.sagas.metering.reply import SETTLING


class ModelId(Text):
    """The id of a model; `auto` chooses one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(length_min=1, length_max=ID_CHARACTERS_MAX, **kwargs)


class Content(Text):
    """Text of a message, of limited size."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(length_min=1, bytes_max=CONTENT_BYTES_MAX, **kwargs)


class Title(Text):
    """A conversation's title."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(length_min=1, length_max=TITLE_CHARACTERS_MAX, **kwargs)


class ConversationIn(Request):
    """A conversation to begin; with `message` the model answers at once."""

    title = Title(load_default=None, allow_none=True)
    model = ModelId(load_default=None, allow_none=True)
    system_prompt = Content(load_default=None, allow_none=True)
    message = Content(load_default=None, allow_none=True)


class ConversationPatch(Request):
    """Fields of a conversation to change; null clears a field."""

    title = Title(allow_none=True)
    model = ModelId(allow_none=True)
    system_prompt = Content(allow_none=True)


class MessageIn(Request):
    """Message to send. Without `model`: the conversation's model, else the caller's preference, else the platform's."""

    content = Content(required=True)
    model = ModelId(load_default=None, allow_none=True)
    stream = Flag(load_default=False)
    max_output_tokens = Whole(1, TOKENS_MAX, load_default=None, allow_none=True)


class UsageOut(Answer):
    """Tokens; `estimated` if the model's provider did not say."""

    input_tokens = fields.Integer(required=True)
    output_tokens = fields.Integer(required=True)
    estimated = fields.Boolean(required=True)


class AnswerMessage(Answer):
    """The model's message."""

    id = fields.String(required=True)
    role = Choice("assistant", required=True)
    content = fields.String(required=True)
    model = fields.String(required=True)
    model_reason = fields.String(required=True, allow_none=True, metadata={"description": "Why, if it was `auto`."})
    finish_reason = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)


class BalanceAfter(Answer):
    """The balance after a message."""

    available = fields.String(required=True)
    held = fields.String(required=True)


class AnsweredOut(Answer):
    """Message of the model, and its cost."""

    message = fields.Nested(AnswerMessage, required=True)
    usage = fields.Nested(UsageOut, required=True)
    cost = fields.String(required=True)
    balance = fields.Nested(BalanceAfter, required=True)


class ConversationOut(Answer):
    """A conversation."""

    id = fields.String(required=True)
    title = fields.String(required=True, allow_none=True)
    title_cost = Credits(required=True, allow_none=True)
    model = fields.String(required=True, allow_none=True)
    system_prompt = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class StartedOut(ConversationOut):
    """New conversation, with the answer if the conversation began with a message."""

    message = fields.Nested(AnswerMessage)
    usage = fields.Nested(UsageOut)
    cost = fields.String()
    balance = fields.Nested(BalanceAfter)


class TitleOut(Answer):
    """Title, and its cost. `local` is true if no model was asked, or no model could be paid for."""

    title = fields.String(required=True)
    cost = Credits(required=True)
    local = fields.Boolean(required=True, attribute="is_local")


class Conversations(Answer):
    """A page of conversations, the last used first."""

    items = fields.List(fields.Nested(ConversationOut), required=True)
    next_cursor = NextCursor()


class MessageOut(Answer):
    """Message; only a model's message has usage and cost.

    Until the provider reports the usage, `status` is `settling`, `cost` is null, and `at_most` bounds the cost.
    """

    id = fields.String(required=True)
    role = Choice("user", "assistant", "system", required=True)
    content = fields.String(required=True)
    model = fields.String(required=True, allow_none=True)
    model_reason = fields.String(required=True, allow_none=True, metadata={"description": "Why, if it was `auto`."})
    finish_reason = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)
    usage = fields.Nested(UsageOut, required=True, allow_none=True)
    cost = Credits(required=True, allow_none=True)
    status = Choice(SETTLING)
    at_most = Credits()
    is_summary = fields.Boolean(
        required=True, metadata={"description": "Whether it stands for older messages, which no longer fit."}
    )


class Messages(Answer):
    """A page of messages, newest first."""

    items = fields.List(fields.Nested(MessageOut), required=True)
    next_cursor = NextCursor()


class ConversationWithMessages(ConversationOut):
    """Conversation, with a page of messages."""

    messages = fields.Nested(Messages, required=True)


class ConversationsQuery(Request):
    """Page of the caller's conversations."""

    limit = Limit()
    cursor = Cursor(str)
