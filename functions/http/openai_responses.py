"""`/v1/openai/responses/{id}`: responses that are kept for their user, read and forgotten in OpenAI's own shapes."""

import json
from typing import Any

from flask import Response
from marshmallow import INCLUDE, fields

from functions.http.fields import Answer
from functions.http.openai import JSON
from functions.http.routes import CHAT, CHAT_OR_READ, MEMBER, Call, Routes
from shared.ai.openai.kept_responses import ResponseNotCancellable, ResponseNotFound

routes = Routes("openai", is_openai=True)


class KeptResponseOut(Answer):
    """Stored response, as the provider answered."""

    class Meta:
        unknown = INCLUDE

    id = fields.String(required=True)
    object = fields.String(required=True)


class ResponseDeleted(Answer):
    """Confirmation that a stored response was deleted."""

    id = fields.String(required=True)
    object = fields.String(required=True)
    deleted = fields.Boolean(required=True)


@routes.get(
    "/openai/responses/{id}",
    access=MEMBER,
    scopes=CHAT_OR_READ,
    query=None,
    answer=KeptResponseOut,
    errors=(ResponseNotFound,),
)
def response(call: Call) -> Any:
    """Show a stored response of the caller, for 30 days after its answer."""
    kept = call.services.openai.kept_responses.get(call.uid, call.path["id"])
    return Response(json.dumps(kept.answer), mimetype=JSON)


@routes.delete(
    "/openai/responses/{id}",
    access=MEMBER,
    scopes=CHAT,
    status=200,
    query=None,
    answer=ResponseDeleted,
    errors=(ResponseNotFound,),
)
def delete_response(call: Call) -> Any:
    """Delete a stored response of the caller, with its items."""
    call.services.openai.kept_responses.delete(call.uid, call.path["id"])
    return {"id": call.path["id"], "object": "response", "deleted": True}


@routes.post(
    "/openai/responses/{id}/cancel",
    access=MEMBER,
    scopes=CHAT,
    status=200,
    query=None,
    answer=KeptResponseOut,
    errors=(ResponseNotFound, ResponseNotCancellable),
)
def cancel_response(call: Call) -> Any:
    """Refuse to cancel a response: no response is begun in the background."""
    call.services.openai.kept_responses.get(call.uid, call.path["id"])
    raise ResponseNotCancellable
