"""`/v1/models`: what can be asked, what it costs, and what a caller prefers."""

from typing import Any

from marshmallow import fields

from functions.http.chat import Content, ModelId
from functions.http.fields import Answer, Choice, Credits, Request, Whole
from functions.http.routes import CHAT_OR_READ, READ, Call, Routes
from shared.ai.conversations import ConversationNotFound
from shared.ai.models import TOKENS_MAX, ModelNotFound, ModelUnpriced
from shared.ai.prompt import ContextTooLong
from shared.kernel.errors import InvalidValue
from shared.users.principal import SCOPES

routes = Routes("models")


class ModelOut(Answer):
    """A model; prices in USD as decimal strings, per million tokens or per image."""

    id = fields.String(required=True)
    kind = Choice("chat", "image", required=True)
    display_name = fields.String(required=True)
    input_usd_per_mtok = fields.String(required=True, allow_none=True)
    output_usd_per_mtok = fields.String(required=True, allow_none=True)
    image_usd = fields.String(required=True, allow_none=True)
    image_usd_by_size = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "What an image model paints: each size with its price in USD."},
    )
    context_window = fields.Integer(required=True)
    max_output_tokens = fields.Integer(required=True)
    expected_output_tokens = fields.Integer(required=True)
    capabilities = fields.List(fields.String(), required=True)
    price_version = fields.Integer(required=True)


class Models(Answer):
    """All models that can be used, by id."""

    items = fields.List(fields.Nested(ModelOut), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class PreferencesIn(Request):
    """The models to use when a request does not say; what is not named is unset."""

    chat_model = ModelId(load_default=None, allow_none=True)
    image_model = ModelId(load_default=None, allow_none=True)


class PreferencesOut(Answer):
    """The models used when a request does not say."""

    chat_model = fields.String(required=True, allow_none=True)
    image_model = fields.String(required=True, allow_none=True)


class EstimateIn(Request):
    """A message as it would be sent, to a conversation or to a new one."""

    content = Content(required=True)
    model = ModelId(load_default=None, allow_none=True)
    conversation_id = ModelId(load_default=None, allow_none=True)
    system_prompt = Content(load_default=None, allow_none=True)
    max_output_tokens = Whole(1, TOKENS_MAX, load_default=None, allow_none=True)


class EstimateOut(Answer):
    """What the message costs: never more than `ceiling`, probably `expected`."""

    model = fields.String(required=True)
    price_version = fields.Integer(required=True)
    ceiling = Credits(required=True)
    expected = Credits(required=True)
    input_tokens_at_most = fields.Integer(required=True)
    output_tokens_at_most = fields.Integer(required=True)
    input_tokens_expected = fields.Integer(required=True)
    output_tokens_expected = fields.Integer(required=True)


@routes.get("/models", scopes=frozenset(SCOPES), answer=Models)
def models(call: Call) -> Any:
    """All models that can be used, and their prices."""
    return {"items": [model.as_wire() for model in call.services.catalogue.enabled()], "next_cursor": None}


@routes.get("/models/preferences", scopes=READ, answer=PreferencesOut)
def preferences(call: Call) -> Any:
    """The models used when a request does not say."""
    return call.services.preferences.get(call.uid)


@routes.put(
    "/models/preferences",
    body=PreferencesIn,
    answer=PreferencesOut,
    errors=(ModelNotFound, ModelUnpriced, InvalidValue),
)
def set_preferences(call: Call) -> Any:
    """Choose the models to use when a request does not say."""
    catalogue = call.services.catalogue
    for find, name in ((catalogue.chat, call.body["chat_model"]), (catalogue.image, call.body["image_model"])):
        if name is not None:
            find(name)
    return call.services.preferences.put(call.uid, call.body)


@routes.post(
    "/models/estimate-cost",
    status=200,
    scopes=CHAT_OR_READ,
    body=EstimateIn,
    answer=EstimateOut,
    errors=(ModelNotFound, ModelUnpriced, ConversationNotFound, ContextTooLong, InvalidValue),
)
def estimate_cost(call: Call) -> Any:
    """What a message would cost, at most and probably; nothing is called and nothing is charged."""
    wanted = {name: value for name, value in call.body.items() if name != "content"}
    return call.services.chat_turn.estimate(call.uid, content=call.body["content"], **wanted)
