"""`/v1/models`: models and prices, estimates of cost, and the caller's preferences."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, cast

from marshmallow import fields

from functions.http.chat import check_chat_model
from functions.http.chat_schemas import Content, ModelId
from functions.http.fields import Amount, Answer, Choice, Credits, Items, NextCursor, Request, Text, Whole, page_answer
from functions.http.images import SIZE_CHARACTERS_MAX
from functions.http.routes import ANY_SCOPE, CHAT_OR_READ, READ, Call, Routes
from shared.ai.agents.task import ModelWithoutTools
from shared.ai.chat.conversations import ConversationNotFound
from shared.ai.images.tasks import IMAGES_MAX
from shared.ai.models.catalogue import TOKENS_MAX, ModelNotFound, ModelUnpriced
from shared.ai.models.choice import WEIGHT_MAX, NoModelFits
from shared.ai.models.offer import price_tag
from shared.ai.models.preferences import ALLOWED_MAX, PreferredModels
from shared.ai.models.prices import QUALITY_CHARACTERS_MAX
from shared.ai.models.prompt import ContextTooLong
from shared.ai.models.tariff import QualityNotOffered, SizeNotOffered
from shared.kernel.errors import InvalidValue
from shared.sagas.metering.estimate import Estimate

routes = Routes("models")


class ContextTierOut(Answer):
    """The prices of each call whose input is longer than `above_input_tokens`."""

    above_input_tokens = fields.Integer(required=True)
    input_credits_per_mtok = fields.String(required=True)
    output_credits_per_mtok = fields.String(required=True, allow_none=True)
    cached_input_credits_per_mtok = fields.String(required=True)
    cache_write_credits_per_mtok = fields.String(required=True)


class ModelOut(Answer):
    """Model with its prices for users: credits as decimal strings, for a million tokens, a request or an image."""

    id = fields.String(required=True)
    kind = Choice("chat", "image", "embedding", required=True)
    display_name = fields.String(required=True)
    input_credits_per_mtok = fields.String(required=True, allow_none=True)
    output_credits_per_mtok = fields.String(required=True, allow_none=True)
    cached_input_credits_per_mtok = fields.String(
        required=True, allow_none=True, metadata={"description": "Input that the provider read from a cache."}
    )
    cache_write_credits_per_mtok = fields.String(
        required=True, allow_none=True, metadata={"description": "Input that the provider wrote to a cache."}
    )
    context_tiers = fields.List(
        fields.Nested(ContextTierOut),
        required=True,
        metadata={"description": "Other prices of all tokens of a call with a longer input."},
    )
    request_credits = fields.String(required=True, metadata={"description": "For each call, beside its tokens."})
    image_credits = fields.String(
        required=True, allow_none=True, metadata={"description": "An image of the model's own size."}
    )
    image_credits_by_size = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "What an image model paints: each size with its price in credits."},
    )
    image_credits_by_quality = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.String()),
        required=True,
        allow_none=True,
        metadata={"description": "The qualities that can be asked for: each with its price by size."},
    )
    context_window = fields.Integer(required=True)
    max_output_tokens = fields.Integer(required=True)
    expected_output_tokens = fields.Integer(required=True)
    capabilities = fields.List(fields.String(), required=True)
    quality = fields.Integer(required=True)
    speed = fields.Integer(required=True)
    price_version = fields.Integer(required=True)


class Models(Answer):
    """Models on offer, by id."""

    items = fields.List(fields.Nested(ModelOut), required=True)
    next_cursor = NextCursor()


class PreferencesIn(Request):
    """Default models of the caller's requests, and the weights of `auto`. A field that is not named takes its default.

    `auto` weighs quality, speed and price, chooses among the allowed models (all models, if the list is empty), and
    keeps a message below its maximum cost.
    """

    chat_model = ModelId(load_default=None, allow_none=True)
    image_model = ModelId(load_default=None, allow_none=True)
    quality = Whole(0, WEIGHT_MAX, load_default=1)
    speed = Whole(0, WEIGHT_MAX, load_default=1)
    price = Whole(0, WEIGHT_MAX, load_default=1)
    allowed_models = Items(ModelId(), load_default=list, length_max=ALLOWED_MAX)
    max_cost_per_message = Amount(load_default=None, allow_none=True)


class PreferencesOut(Answer):
    """Default models of the caller's requests, and the weights of `auto`."""

    chat_model = fields.String(required=True, allow_none=True)
    image_model = fields.String(required=True, allow_none=True)
    quality = fields.Integer(required=True)
    speed = fields.Integer(required=True)
    price = fields.Integer(required=True)
    allowed_models = fields.List(fields.String(), required=True)
    max_cost_per_message = Credits(required=True, allow_none=True)


class EstimateIn(Request):
    """Message to a conversation or to a new conversation; or images, or an agent task, by `kind`.

    For images, `content` is the prompt, and `size`, `quality` and `n` are as in the request. For an agent task,
    `content` is the goal, and `budget` is the most that the task may cost.
    """

    kind = Choice("message", "images", "agent_task", load_default="message")
    content = Content(required=True)
    model = ModelId(load_default=None, allow_none=True)
    conversation_id = ModelId(load_default=None, allow_none=True)
    system_prompt = Content(load_default=None, allow_none=True)
    max_output_tokens = Whole(1, TOKENS_MAX, load_default=None, allow_none=True)
    size = Text(length_min=1, length_max=SIZE_CHARACTERS_MAX, load_default=None, allow_none=True)
    quality = Text(length_min=1, length_max=QUALITY_CHARACTERS_MAX, load_default=None, allow_none=True)
    n = Whole(1, IMAGES_MAX, load_default=1)
    budget = Amount(load_default=None, allow_none=True)


class EstimateOut(Answer):
    """Estimated cost: at most `ceiling`, probably `expected`.

    Images have no token counts. The ceiling of an agent task is the task's budget; `expected` is the cost of the first
    thought.
    """

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
    """List the models on offer, and their prices for users."""
    tariff = call.services.models.tariff
    items = [{**model.as_wire(), **price_tag(model, tariff)} for model in call.services.models.catalogue.enabled()]
    return page_answer(items)


@routes.get("/models/preferences", scopes=READ, answer=PreferencesOut)
def preferences(call: Call) -> Any:
    """Show the default models of the caller's requests, and the weights of `auto`."""
    return call.services.models.preferences.get(call.uid)


@routes.put(
    "/models/preferences",
    body=PreferencesIn,
    answer=PreferencesOut,
    errors=(ModelNotFound, ModelUnpriced, InvalidValue),
)
def set_preferences(call: Call) -> Any:
    """Change the default models of the caller's requests, and the weights of `auto`."""
    catalogue = call.services.models.catalogue
    for name in call.body["allowed_models"]:
        catalogue.chat(name)
    check_chat_model(call, call.body["chat_model"])
    if call.body["image_model"] is not None:
        catalogue.image(call.body["image_model"])
    return call.services.models.preferences.put(call.uid, cast("PreferredModels", dict(call.body)))


@routes.post(
    "/models/estimate-cost",
    status=200,
    scopes=CHAT_OR_READ,
    body=EstimateIn,
    answer=EstimateOut,
    errors=(
        ModelNotFound,
        ModelUnpriced,
        ModelWithoutTools,
        NoModelFits,
        SizeNotOffered,
        QualityNotOffered,
        ConversationNotFound,
        ContextTooLong,
        InvalidValue,
    ),
)
def estimate_cost(call: Call) -> Any:
    """Estimate the most and the likely cost of a message, images or an agent task. Nothing is called or charged."""
    estimate = _ESTIMATES[call.body["kind"]](call)
    model = call.services.models.catalogue.get(estimate.model)
    return {**asdict(estimate), "stop_saves": call.services.models.upstream_profiles.is_stop_saving(model)}


def _of_message(call: Call) -> Estimate:
    names = ("content", "model", "conversation_id", "system_prompt", "max_output_tokens")
    return call.services.chat.turn.estimate(call.uid, **{name: call.body[name] for name in names})


def _of_images(call: Call) -> Estimate:
    names = ("model", "size", "quality", "n")
    wanted = {name: call.body[name] for name in names}
    return call.services.images.estimates.estimate(call.uid, prompt=call.body["content"], **wanted)


def _of_agent_task(call: Call) -> Estimate:
    if call.body["budget"] is None:
        raise InvalidValue("budget", "is needed for an agent task: the most that it may cost")
    model = call.services.agents.tasks.model_for(call.uid, call.body["model"])
    return call.services.agents.estimates.estimate(model, goal=call.body["content"], budget=call.body["budget"])


_ESTIMATES: Mapping[str, Callable[[Call], Estimate]] = {
    "message": _of_message,
    "images": _of_images,
    "agent_task": _of_agent_task,
}
