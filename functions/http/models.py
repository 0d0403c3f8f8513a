"""`/v1/models`: what can be asked, what it costs, and what a caller prefers."""

from dataclasses import asdict
from typing import Any, cast

from marshmallow import fields

from functions.http.chat import Content, ModelId, check_chat_model
from functions.http.fields import Amount, Answer, Choice, Credits, Items, Request, Whole
from functions.http.routes import ANY_SCOPE, CHAT_OR_READ, READ, Call, Routes
from shared.ai.choice import WEIGHT_MAX, NoModelFits
from shared.ai.conversations import ConversationNotFound
from shared.ai.models import TOKENS_MAX, ModelNotFound, ModelUnpriced
from shared.ai.preferences import ALLOWED_MAX, Preferred
from shared.ai.prompt import ContextTooLong
from shared.kernel.errors import InvalidValue

routes = Routes("models")


class ModelOut(Answer):
    """A model; prices in USD as decimal strings, per million tokens or per image."""

    id = fields.String(required=True)
    kind = Choice("chat", "image", "embedding", required=True)
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
    quality = fields.Integer(required=True)
    speed = fields.Integer(required=True)
    price_version = fields.Integer(required=True)


class Models(Answer):
    """All models that can be used, by id."""

    items = fields.List(fields.Nested(ModelOut), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class PreferencesIn(Request):
    """The models to use when a request does not say, and what `auto` goes by; what is not named is as at first.

    `auto` weighs quality, speed and price, chooses among the allowed models (all of them, if there are none), and keeps
    a message below its maximum cost.
    """

    chat_model = ModelId(load_default=None, allow_none=True)
    image_model = ModelId(load_default=None, allow_none=True)
    quality = Whole(0, WEIGHT_MAX, load_default=1)
    speed = Whole(0, WEIGHT_MAX, load_default=1)
    price = Whole(0, WEIGHT_MAX, load_default=1)
    allowed_models = Items(ModelId(), load_default=list, length_max=ALLOWED_MAX)
    max_cost_per_message = Amount(load_default=None, allow_none=True)


class PreferencesOut(Answer):
    """The models used when a request does not say, and what `auto` goes by."""

    chat_model = fields.String(required=True, allow_none=True)
    image_model = fields.String(required=True, allow_none=True)
    quality = fields.Integer(required=True)
    speed = fields.Integer(required=True)
    price = fields.Integer(required=True)
    allowed_models = fields.List(fields.String(), required=True)
    max_cost_per_message = Credits(required=True, allow_none=True)


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
    model_reason = fields.String(required=True, allow_none=True, metadata={"description": "Why, if it was `auto`."})
    price_version = fields.Integer(required=True)
    ceiling = Credits(required=True)
    expected = Credits(required=True)
    input_tokens_at_most = fields.Integer(required=True)
    output_tokens_at_most = fields.Integer(required=True)
    input_tokens_expected = fields.Integer(required=True)
    output_tokens_expected = fields.Integer(required=True)
    stop_saves = fields.Boolean(
        required=True,
        metadata={"description": "Whether stopping a streamed answer ends its cost; if not, all of it is charged."},
    )


@routes.get("/models", scopes=ANY_SCOPE, answer=Models)
def models(call: Call) -> Any:
    """All models that can be used, and their prices."""
    return {"items": [model.as_wire() for model in call.services.catalogue.enabled()], "next_cursor": None}


@routes.get("/models/preferences", scopes=READ, answer=PreferencesOut)
def preferences(call: Call) -> Any:
    """The models used when a request does not say, and what `auto` goes by."""
    return call.services.preferences.get(call.uid)


@routes.put(
    "/models/preferences",
    body=PreferencesIn,
    answer=PreferencesOut,
    errors=(ModelNotFound, ModelUnpriced, InvalidValue),
)
def set_preferences(call: Call) -> Any:
    """Choose the models to use when a request does not say, and what `auto` goes by."""
    catalogue = call.services.catalogue
    for name in call.body["allowed_models"]:
        catalogue.chat(name)
    check_chat_model(call, call.body["chat_model"])
    if call.body["image_model"] is not None:
        catalogue.image(call.body["image_model"])
    return call.services.preferences.put(call.uid, cast("Preferred", dict(call.body)))


@routes.post(
    "/models/estimate-cost",
    status=200,
    scopes=CHAT_OR_READ,
    body=EstimateIn,
    answer=EstimateOut,
    errors=(ModelNotFound, ModelUnpriced, NoModelFits, ConversationNotFound, ContextTooLong, InvalidValue),
)
def estimate_cost(call: Call) -> Any:
    """What a message would cost, at most and probably; nothing is called and nothing is charged."""
    wanted = {name: value for name, value in call.body.items() if name != "content"}
    estimate = call.services.chat_turn.estimate(call.uid, content=call.body["content"], **wanted)
    model = call.services.catalogue.get(estimate.model)
    return {**asdict(estimate), "stop_saves": call.services.upstream_profiles.is_stop_saving(model)}
