"""`/v1/openai`: OpenAI's own protocol, so that a client runs on a user's credits once its base URL is changed.

OpenAI's own fields pass through to the model's provider, and those that an operator named; all others are refused by
name. Failures have OpenAI's form. The cost of a call stands in the headers of a plain answer, and as `credits` in
every answer and in the last object of a stream.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from flask import Response
from marshmallow import INCLUDE, fields

from functions.http import sse
from functions.http.chat import TURN_ERRORS
from functions.http.fields import Answer, Flag, Items, Passing, Request, Table
from functions.http.model_ids import NamedModel
from functions.http.openai_errors import error_of
from functions.http.openai_fields import sifted, warn
from functions.http.openai_prepared import (
    PreparedRequest,
    prepared_chat,
    prepared_completion,
    prepared_plainly,
    prepared_response,
)
from functions.http.problems import problem_of
from functions.http.routes import ANY_SCOPE, CHAT, MEMBER, Call, Routes
from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.models.catalogue import Model, ModelNotFound
from shared.ai.openai.answers import AnswerNotKept
from shared.ai.openai.embeddings import INPUTS_MAX, Embeddings
from shared.ai.openai.kept_responses import ItemNotFound, PreviousResponseNotFound
from shared.kernel.money import format_credits
from shared.sagas.openai.call import CallEvent, OpenAIAnswer, OpenAIRequest, Piece, Quiet

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Images come as base64. All calls of an instance share its memory, so this is less than what providers take."""
MESSAGES_MAX = 4_096
"""Messages of a conversation, or items of an input. OpenAI takes 2,048."""
MEMBERS_MAX = 64
"""Fields of a message, some of which only other providers know."""
TOKENS_AT_ONCE_MAX = 300_000
"""Tokens of one call for embeddings, sent as numbers; OpenAI's own limit."""
EMBEDDED_VALUES_MAX = TOKENS_AT_ONCE_MAX + 2 * INPUTS_MAX
JSON = "application/json"
DONE = "data: [DONE]\n\n"
OWNER = "credits"
ERRORS = (*(error for error in TURN_ERRORS if error is not ConversationNotFound), AnswerNotKept)

EMBEDDINGS = Embeddings()

routes = Routes("openai", is_openai=True)


class Passed(Request):
    """Body whose named fields are checked here. The table of the endpoint decides which other fields pass."""

    class Meta:
        unknown = INCLUDE

    model = NamedModel(required=True)


class ChatCompletionIn(Passed):
    """A chat completion as OpenAI's clients ask for it."""

    messages = Items(Table(length_max=MEMBERS_MAX), required=True, length_min=1, length_max=MESSAGES_MAX)
    stream = Flag(load_default=False, allow_none=True)


class ResponseIn(Passed):
    """A response as OpenAI's clients ask for it."""

    input = Passing(
        required=True,
        length_max=MESSAGES_MAX,
        text_max=BODY_BYTES_MAX,
        metadata={"description": "A text, or a list of items."},
    )
    stream = Flag(load_default=False, allow_none=True)


class CompletionIn(Passed):
    """A text completion as OpenAI's clients ask for it."""

    prompt = Passing(
        required=True,
        length_max=MESSAGES_MAX,
        text_max=BODY_BYTES_MAX,
        metadata={"description": "A text, or a list of one text."},
    )
    stream = Flag(load_default=False, allow_none=True)


class EmbeddingsIn(Passed):
    """Embeddings as OpenAI's clients ask for them."""

    input = Passing(
        required=True,
        length_max=TOKENS_AT_ONCE_MAX,
        text_max=BODY_BYTES_MAX,
        metadata={"description": "A text, texts, or tokens as numbers."},
    )


class CreditsOut(Answer):
    """Cost of the call, in credits. `ended_by` if the call was ended here: `credit_limit`, `disconnected`, `timeout`.

    `model` and `choice` (why it) where the model asked for was `auto`.
    """

    cost = fields.String(required=True)
    available = fields.String(required=True)
    estimated = fields.Boolean(required=True)
    ended_by = fields.String()
    model = fields.String()
    choice = fields.String()


class PassedOut(Answer):
    """The provider's answer as it is, and what it cost."""

    class Meta:
        unknown = INCLUDE

    credits = fields.Nested(CreditsOut, required=True)


class OpenAIModel(Answer):
    """A model as OpenAI lists it."""

    id = fields.String(required=True)
    object = fields.String(required=True)
    created = fields.Integer(required=True)
    owned_by = fields.String(required=True)


class OpenAIModels(Answer):
    """All models that can be used."""

    object = fields.String(required=True)
    data = fields.List(fields.Nested(OpenAIModel), required=True)


SPENDING: Mapping[str, Any] = {
    "status": 200,
    "access": MEMBER,
    "query": None,
    "answer": PassedOut,
    "spends": True,
    "errors": ERRORS,
    "body_bytes_max": BODY_BYTES_MAX,
}
RESPONDING: Mapping[str, Any] = {**SPENDING, "errors": (*ERRORS, PreviousResponseNotFound, ItemNotFound)}


@routes.post("/openai/chat/completions", scopes=CHAT, body=ChatCompletionIn, streams=True, **SPENDING)
def chat_completions(call: Call) -> Any:
    """Create a chat completion, in OpenAI's own shapes.

    With `stream`, the answer comes in chunks and ends with `[DONE]`; the last chunk before the end has the cost.
    Without a limit, the answer is as long as the balance allows.
    """
    return _answer(call, prepared_chat(call), _chunk, last=DONE)


@routes.post("/openai/completions", scopes=CHAT, body=CompletionIn, streams=True, **SPENDING)
def completions(call: Call) -> Any:
    """Create a text completion, in OpenAI's own shapes: the continuation of one text.

    A provider that knows no text completions is asked for a chat completion. Without a limit, the completion has 16
    tokens.
    """
    return _answer(call, prepared_completion(call), _chunk, last=DONE)


@routes.post("/openai/responses", scopes=CHAT, body=ResponseIn, streams=True, **RESPONDING)
def responses(call: Call) -> Any:
    """Create a response, in OpenAI's own shapes, with function tools.

    Unless `store` is false, the response is stored for 30 days, so that `previous_response_id` and `item_reference`
    find it.
    """
    return _answer(call, prepared_response(call), _NumberedEvents(), last="")


@routes.post("/openai/embeddings", scopes=CHAT, body=EmbeddingsIn, body_values_max=EMBEDDED_VALUES_MAX, **SPENDING)
def embeddings(call: Call) -> Any:
    """Create embeddings, in OpenAI's own shapes."""
    return _answer(call, prepared_plainly(call, EMBEDDINGS), _chunk, last="")


@routes.get("/openai/models", scopes=ANY_SCOPE, query=None, answer=OpenAIModels)
def models(call: Call) -> Any:
    """List the models on offer, in OpenAI's own shapes."""
    return {"object": "list", "data": [_model(model) for model in call.services.models.catalogue.enabled()]}


@routes.get("/openai/models/{id}", scopes=ANY_SCOPE, query=None, answer=OpenAIModel, errors=(ModelNotFound,))
def model(call: Call) -> Any:
    """Show one model, in OpenAI's own shapes."""
    return _model(call.services.models.catalogue.get(call.path["id"]))


def _answer(
    call: Call, prepared: PreparedRequest, framed: Callable[[Mapping[str, Any]], str], *, last: str
) -> Response:
    request, dropped = _request(call, prepared)
    events = call.services.openai.call.run(request)
    if request.is_streamed:
        frames = _frames(events, framed, last)
        streamed = sse.stream(frames, call.request_id, tell=lambda error: framed(_broken(error, call.request_id)))
        return warn(streamed, dropped)
    with closing(events):
        answered = next(event for event in events if isinstance(event, OpenAIAnswer))
    response = Response(json.dumps(answered.answer), mimetype=JSON)
    response.headers["X-Credits-Cost"] = format_credits(answered.cost)
    response.headers["X-Credits-Available"] = format_credits(answered.available)
    return warn(response, dropped)


def _request(call: Call, prepared: PreparedRequest) -> tuple[OpenAIRequest, Sequence[str]]:
    """Return the request, and the names of fields that are not sent on. Raises InvalidValue."""
    passing = sifted(call, prepared.path, prepared.body)
    request = OpenAIRequest(
        uid=call.uid,
        operation=call.asked.operation,
        fingerprint=call.asked.fingerprint,
        has_key=call.asked.has_key,
        is_streamed=bool(call.body.get("stream")),
        principal=call.principal.spender,
        budgets=call.budgets,
        end_user=call.end_user,
        request_id=call.request_id,
        dialect=prepared.dialect,
        model=call.body["model"],
        body=passing.body,
        extras=passing.extras,
        extra_texts=passing.texts,
        keeping=prepared.keeping,
    )
    return request, (*prepared.left_out, *passing.dropped)


def _frames(
    events: Generator[CallEvent, None, None], framed: Callable[[Mapping[str, Any]], str], last: str
) -> Generator[str, None, None]:
    with closing(events):
        for event in events:
            match event:
                case Piece(raw):
                    yield framed(raw)
                case Quiet():
                    yield sse.PING
                case OpenAIAnswer(tail=tail):
                    yield from map(framed, tail)
    if last:
        yield last


def _chunk(raw: Mapping[str, Any]) -> str:
    return sse.frame(raw)


class _NumberedEvents:
    """Frames of events. A failure on the way gets the number behind the last event's."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, raw: Mapping[str, Any]) -> str:
        """Return the frame of an event."""
        numbered = {"sequence_number": self._next, **raw}
        self._next = numbered["sequence_number"] + 1
        return sse.frame(numbered, event=str(raw.get("type", "")))


def _broken(error: Exception, request_id: str) -> dict[str, Any]:
    """A failure on the way. Clients of chunks look for `error`, those of events also at the type."""
    told = error_of(error, problem_of(error, request_id))
    return {**told, "type": "error", "error": told}


def _model(model: Model) -> dict[str, Any]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": OWNER}
