"""`/v1/chat`: conversations and their messages. A message is answered whole or in pieces."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from flask import Response

from functions.http import sse
from functions.http.chat_schemas import (
    AnsweredOut,
    ConversationIn,
    ConversationOut,
    ConversationPatch,
    Conversations,
    ConversationsQuery,
    ConversationWithMessages,
    MessageIn,
    MessageOut,
    Messages,
    StartedOut,
    TitleOut,
)
from functions.http.credit_history import NDJSON
from functions.http.credits import SPENDING_ERRORS
from functions.http.fields import (
    page_answer,
)
from functions.http.routes import CHAT, CHAT_OR_READ, MEMBER, Call, Reply, Routes
from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.chat.keeping import StorageFull
from shared.ai.chat.messages import Message, title_of
from shared.ai.models.catalogue import AUTO, ModelNotFound, ModelUnpriced
from shared.ai.models.choice import NoModelFits
from shared.ai.models.prompt import ContextTooLong
from shared.ai.openai.passthrough import RequestRefused
from shared.ai.ports import (
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamUnavailable,
)
from shared.kernel.clock import Millis
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import DomainError, InvalidValue
from shared.kernel.ids import OperationId, operation_id
from shared.kernel.pages import Page
from shared.ledger.errors import BudgetExceeded
from shared.sagas.chat.turn import Delta, Ping, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.chat.turn import ModelAnswer as TurnAnswer
from shared.sagas.metering.reply import SETTLING

TURN_ERRORS = (
    *SPENDING_ERRORS,
    BudgetExceeded,
    ConversationNotFound,
    ModelNotFound,
    ModelUnpriced,
    NoModelFits,
    ContextTooLong,
    InvalidValue,
    UpstreamUnavailable,
    UpstreamBusy,
    UpstreamOverloaded,
    UpstreamMisconfigured,
    UpstreamRejected,
    RequestRefused,
)

routes = Routes("chat")


@routes.post(
    "/chat/conversations",
    access=MEMBER,
    scopes=CHAT,
    body=ConversationIn,
    answer=StartedOut,
    spends=True,
    errors=(*TURN_ERRORS, StorageFull, PreconditionFailed),
)
def start(call: Call) -> Any:
    """Begin a conversation. With `message`, the model answers at once."""
    check_chat_model(call, call.body["model"])
    conversation = _created(call)
    if call.body["message"] is None:
        return _as_begun(call, conversation)
    answer = _first_answer(call, conversation)
    begun = _as_begun(call, conversation) | {"updated_at": answer.message.created_at}
    return Reply(value=begun | answer.as_wire(), cost=answer.cost, available=answer.available)


@routes.get(
    "/chat/conversations",
    scopes=CHAT_OR_READ,
    query=ConversationsQuery,
    answer=Conversations,
    errors=(InvalidValue,),
)
def conversations(call: Call) -> Any:
    """List the caller's conversations, the last used first."""
    page = call.services.chat.conversations.list(call.uid, cursor=call.query["cursor"], limit=call.query["limit"])
    return _page(page)


@routes.get(
    "/chat/conversations/{id}",
    scopes=CHAT_OR_READ,
    query=ConversationsQuery,
    answer=ConversationWithMessages,
    errors=(ConversationNotFound,),
)
def conversation(call: Call) -> Any:
    """Show one conversation with its messages, newest first. `limit` and `cursor` page the messages."""
    found = call.services.chat.conversations.get(call.uid, call.path["id"])
    return _shown(found) | {"messages": messages(call)}


@routes.get(
    "/chat/conversations/{id}/messages",
    scopes=CHAT_OR_READ,
    query=ConversationsQuery,
    answer=Messages,
    errors=(ConversationNotFound,),
)
def messages(call: Call) -> Any:
    """List the messages of a conversation, newest first."""
    cursor, limit = call.query["cursor"], call.query["limit"]
    page = call.services.chat.conversations.messages(call.uid, call.path["id"], cursor=cursor, limit=limit)
    now = call.services.clock.now()
    return _page(page) | {"items": [_told(message, now) for message in page.items]}


@routes.patch(
    "/chat/conversations/{id}",
    scopes=CHAT,
    body=ConversationPatch,
    answer=ConversationOut,
    errors=(ConversationNotFound, ModelNotFound, ModelUnpriced, StorageFull, PreconditionFailed),
)
def change(call: Call) -> Any:
    """Change a conversation's title, model or system prompt."""
    check_chat_model(call, call.body.get("model"))
    return call.services.chat.conversations.patch(
        call.uid, call.path["id"], call.body, is_paying=lambda: _is_paying(call)
    )


@routes.delete("/chat/conversations/{id}", scopes=CHAT, errors=(ConversationNotFound, PreconditionFailed))
def delete(call: Call) -> None:
    """Delete a conversation with its messages."""
    call.services.chat.conversations.delete(call.uid, call.path["id"])


@routes.post(
    "/chat/conversations/{id}/messages",
    access=MEMBER,
    scopes=CHAT,
    body=MessageIn,
    answer=AnsweredOut,
    spends=True,
    streams=True,
    errors=TURN_ERRORS,
)
def say(call: Call) -> Any:
    """Send a message and get the model's answer: whole, or in pieces with `stream`.

    The stream is `data: {"delta": "…"}` for each piece, `: ping` while the model is silent, and last `event: done`
    with the same object as the whole answer. If the stream fails on the way, the last event is `event: error` with
    a problem.
    """
    asked = _turn(call, call.path["id"], call.body["content"], call.asked.operation)
    events = call.services.chat.turn.run(asked)
    if call.body["stream"]:
        return _streamed(events, call.request_id)
    answer = _finished(events)
    return Reply(value=answer.as_wire(), cost=answer.cost, available=answer.available)


@routes.post(
    "/chat/conversations/{id}/title",
    access=MEMBER,
    scopes=CHAT,
    answer=TitleOut,
    spends=True,
    errors=(ConversationNotFound,),
)
def title(call: Call) -> Any:
    """Let a model write a title for the conversation. The title costs the cheapest model's price.

    If the title cannot be paid for, or no model answers, the title is the first line of the first message, and costs
    nothing.
    """
    made = call.services.chat.turn.memory.title(
        call.uid,
        call.path["id"],
        operation=call.asked.operation,
        principal=call.principal.spender,
        budgets=call.budgets,
        end_user=call.end_user,
    )
    available = call.services.credits.ledger.balance(call.uid).available
    return Reply(value=made, cost=made.cost, available=available)


@routes.get("/chat/conversations/{id}/export", scopes=CHAT_OR_READ, answer=NDJSON, errors=(ConversationNotFound,))
def export(call: Call) -> Response:
    """Export the conversation and all its messages as NDJSON, oldest first, with summaries and costs."""
    found = call.services.chat.conversations.get(call.uid, call.path["id"])
    said = call.services.chat.conversations.export(call.uid, found.id)
    response = Response(_lines(found, said, call.services.clock.now()), mimetype=NDJSON)
    response.headers["Content-Disposition"] = 'attachment; filename="conversation.ndjson"'
    return response


def _lines(found: Conversation, said: Iterator[Message], now: Millis) -> Iterator[str]:
    yield json.dumps({"type": "conversation", **dict(ConversationOut().dump(_shown(found)))}) + "\n"
    for message in said:
        yield json.dumps({"type": "message", **dict(MessageOut().dump(_told(message, now)))}) + "\n"


def _told(message: Message, now: Millis) -> dict[str, Any]:
    """Return the fields of `MessageOut` for a message."""
    usage = None
    if message.usage is not None:
        counts = {"input_tokens": message.usage.input_tokens, "output_tokens": message.usage.output_tokens}
        usage = {**counts, "estimated": message.is_estimated}
    names = ("id", "role", "content", "model", "model_reason", "finish_reason", "created_at", "cost")
    told = {name: getattr(message, name) for name in names}
    if message.is_settling(now):
        told |= {"status": SETTLING, "cost": None, "at_most": message.cost}
    return {**told, "usage": usage, "is_summary": message.covers is not None}


def check_chat_model(call: Call, model: str | None) -> None:
    """Raise ModelNotFound or ModelUnpriced for a model that cannot chat. No model, or `auto`, is decided later."""
    if model is not None and model != AUTO:
        call.services.models.catalogue.chat(model)


def _turn(call: Call, conversation_id: str, content: str, operation: OperationId) -> TurnRequest:
    """Return the turn that this call asks for in the conversation."""
    return TurnRequest(
        uid=call.uid,
        conversation_id=conversation_id,
        content=content,
        operation=operation,
        fingerprint=call.asked.fingerprint,
        has_key=call.asked.has_key,
        model=call.body["model"],
        max_output_tokens=call.body.get("max_output_tokens"),
        is_streamed=call.body.get("stream", False),
        principal=call.principal.spender,
        budgets=call.budgets,
        end_user=call.end_user,
        request_id=call.request_id,
    )


def _streamed(events: Generator[TurnEvent, None, None], request_id: str) -> Response:
    return sse.stream(_frames(events, request_id), request_id)


def _frames(events: Generator[TurnEvent, None, None], request_id: str) -> Generator[str, None, None]:
    with closing(events):
        for event in events:
            match event:
                case Delta(text):
                    yield sse.frame({"delta": text})
                case Ping():
                    yield sse.PING
                case TurnEnded(answer):
                    yield sse.frame(answer.as_wire(), event="done", event_id=request_id)


def _finished(events: Generator[TurnEvent, None, None]) -> TurnAnswer:
    with closing(events):
        return next(event.answer for event in events if isinstance(event, TurnEnded))


def _created(call: Call) -> Conversation:
    return call.services.chat.conversations.create(
        call.uid,
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        title=call.body["title"],
        model=call.body["model"],
        system_prompt=call.body["system_prompt"],
        is_paying=lambda: _is_paying(call),
    )


def _is_paying(call: Call) -> bool:
    """True if the caller has credits, free or held."""
    return call.services.credits.ledger.balance(call.uid).total > 0


def _first_answer(call: Call, conversation: Conversation) -> TurnAnswer:
    """Return the answer to the first message.

    If the message was refused before any write, delete the new conversation; a repeated request creates it again. After
    any other error, delete the conversation if no request can repeat this one under the same key.
    """
    operation = operation_id(call.asked.operation, "message")
    try:
        return _finished(call.services.chat.turn.run(_turn(call, conversation.id, call.body["message"], operation)))
    except (*SPENDING_ERRORS, BudgetExceeded):
        call.services.chat.conversations.discard_empty(call.uid, conversation.id)
        raise
    except DomainError:
        if not call.asked.has_key:
            call.services.chat.conversations.delete(call.uid, conversation.id)
        raise


def _as_begun(call: Call, conversation: Conversation) -> dict[str, Any]:
    """Return the conversation as at its beginning, so that the same key has the same answer after later changes."""
    first = call.body["message"]
    return {
        "id": conversation.id,
        "title": call.body["title"] or (title_of(first) if first else None),
        "title_cost": None,
        "model": call.body["model"],
        "system_prompt": call.body["system_prompt"],
        "created_at": conversation.created_at,
        "updated_at": conversation.created_at,
    }


def _shown(conversation: Conversation) -> dict[str, Any]:
    return {name: getattr(conversation, name) for name in ConversationOut().fields}


def _page(page: Page[Any]) -> dict[str, Any]:
    return page_answer(page.items, page.next_cursor)
