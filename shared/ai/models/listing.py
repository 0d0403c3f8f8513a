"""Comparison of a provider's model listing with our models: new, changed and left-out models, with reasons. Pure.

The shape is OpenAI's (`{"data": [{"id": …}]}`), with the additions of OpenRouter and similar providers: `pricing`,
`context_length`, `top_provider.max_completion_tokens`, `architecture.input_modalities`, `supported_parameters`, `name`.
LiteLLM's is an object of models by name: `mode`, `max_input_tokens`, `max_output_tokens`, `supports_vision`, and costs.
A model without a price is left out, never free; so is a model with a price that is not charged here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any, cast

from shared.ai.models.catalogue import (
    AUTO,
    FIELDS,
    IMAGE_TOKENS,
    NAME_CHARACTERS_MAX,
    REASONING,
    TOKENS_MAX,
    parse_model,
)
from shared.ai.models.image_tokens import NUMBER_MAX, is_known
from shared.ai.models.listing_prices import TOKENS_PER_PRICE, LeftOut, exact, is_litellm, is_priced, prices_of
from shared.ai.models.prices import INPUT, OUTPUT, REQUEST, TIERS, TOKEN_PRICES, ModelFields
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import is_safe_id

CHATTING = frozenset({"chat", "language", "text", "multimodal", "model", "base", "llm", "text-generation"})
"""Names of listings for models that chat, if a listing names a kind."""
NOT_CHATTING = re.compile(
    r"embed|rerank|moderation|whisper|transcri|dall-e|gpt-image|imagen|stable-?diffusion|(^|[^a-z])(tts|flux|sora|veo)([^a-z]|$)",
    re.ASCII | re.IGNORECASE,
)
SYNCED = (*TOKEN_PRICES, REQUEST, TIERS, "context_window", "max_output_tokens")
"""Fields in which a listing overrides our model. The operators decide the other fields."""
OUTPUT_DEFAULT = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Write of one model. `before` is None for a new model. `differences` maps each changed field to
    before and after.
    """

    model_id: str
    before: ModelFields | None
    after: ModelFields
    differences: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Result of `compared`. `left_out` gives a reason by the provider's name; `gone` are our models that are listed no
    more.
    """

    changes: Sequence[Change]
    unchanged: Sequence[str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    gone: Sequence[str] = ()


def compared(
    listing: Iterable[Mapping[str, Any]] | Mapping[str, Any],
    known: Mapping[str, ModelFields],
    upstream: str,
    *,
    is_free_wanted: bool = False,
) -> Comparison:
    """Return the differences between the listing of `upstream` and our models.

    `known` holds our models' documents by id.
    """
    ours = {
        str(fields.get("upstream_model", model_id)): model_id
        for model_id, fields in known.items()
        if fields.get("upstream", DEFAULT_UPSTREAM) == upstream and fields.get("kind") == "chat"
    }
    changes: list[Change] = []
    unchanged: list[str] = []
    left_out: dict[str, str] = {}
    listed: set[str] = set()
    for item in listed_models(listing if isinstance(listing, Mapping) else list(listing)):
        name = str(item.get("id", ""))
        listed.add(name)
        try:
            change = _change(item, name, ours.get(name), known, upstream, is_free_wanted=is_free_wanted)
        except LeftOut as reason:
            left_out[name[:NAME_CHARACTERS_MAX]] = str(reason)
            continue
        if change.differences:
            changes.append(change)
        else:
            unchanged.append(change.model_id)
    gone = sorted(model_id for name, model_id in ours.items() if name not in listed)
    return Comparison(changes=changes, unchanged=unchanged, left_out=left_out, gone=gone)


def _change(
    item: Mapping[str, Any],
    name: str,
    our_id: str | None,
    known: Mapping[str, ModelFields],
    upstream: str,
    *,
    is_free_wanted: bool,
) -> Change:
    """Return the change that brings one listed model into the catalogue.

    `our_id` is the model's id in the catalogue if the upstream's model is there under another name, else None. Of a
    known model only the synced fields change. Raises LeftOut with the reason if the model cannot be taken.
    """
    model_id = our_id or _id_of(name, upstream)
    before = known.get(model_id)
    if before is not None and our_id is None:
        raise LeftOut(f"{model_id} is another model here")
    told = {**_told(item, is_free_wanted=is_free_wanted)}
    if before is not None:
        kept = (FIELDS & before.keys()) - set(SYNCED)
        after = {**{key: before[key] for key in kept}, **{key: told[key] for key in SYNCED if key in told}}
    else:
        after = {"kind": "chat", **told, "upstream": upstream, "upstream_model": name}
    try:
        parse_model(model_id, after)
    except InvalidValue as error:
        raise LeftOut(error.detail) from error
    changed = [*after, *(key for key in SYNCED if key in (before or {}) and key not in after)]
    both = {key: ((before or {}).get(key), after.get(key)) for key in changed}
    differences = {key: (was, now) for key, (was, now) in both.items() if was != now}
    return Change(model_id=model_id, before=before, after=after, differences=differences)


def other_use(item: Mapping[str, Any]) -> str | None:
    """Return the use of a listed model that gives out anything but text in a chat; None if the model chats."""
    for name in ("mode", "type", "model_type"):
        kind = item.get(name)
        if isinstance(kind, str) and kind.lower() not in CHATTING:
            return kind[:NAME_CHARACTERS_MAX]
    if is_litellm(item) and item.get("mode") is None:
        return "its mode is not told"
    architecture = item.get("architecture")
    gives = architecture.get("output_modalities") if isinstance(architecture, Mapping) else None
    if gives is None and isinstance(architecture, Mapping) and isinstance(told := architecture.get("modality"), str):
        gives = told.partition("->")[2].split("+")
    if isinstance(gives, list) and set(gives) != {"text"}:
        return f"it gives {', '.join(map(str, gives))}"[:NAME_CHARACTERS_MAX]
    found = NOT_CHATTING.search(str(item.get("id", "")))
    return found and f"its name says {found.group().strip('-/:. ')}"


def listed_models(found: object) -> list[Mapping[str, Any]]:
    """Return the models of a listing: a list, a list under `data`, or LiteLLM's object of models by name.

    Raises ValueError for anything else.
    """
    if isinstance(found, Mapping):
        found = found["data"] if "data" in found else [_named(name, each) for name, each in found.items()]
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ValueError("no list of models")
    return [_flat(item) for item in found]


def _named(name: str, item: object) -> object:
    return {**item, "id": name} if isinstance(item, Mapping) else item


def _flat(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model of a LiteLLM proxy with the prices beside the name."""
    info = item.get("model_info")
    return {**info, "id": item.get("model_name", item.get("id"))} if isinstance(info, Mapping) else item


def _id_of(name: str, upstream: str) -> str:
    """Return the id of a new model: the name, behind the provider's name unless the provider is the default one.

    Raises LeftOut if the name cannot be an id.
    """
    model_id = name.replace("/", ":") if upstream == DEFAULT_UPSTREAM else f"{upstream}:{name.replace('/', ':')}"
    if not is_safe_id(model_id) or model_id == AUTO:
        raise LeftOut("its name cannot be an id")
    return model_id


def _told(item: Mapping[str, Any], *, is_free_wanted: bool) -> Mapping[str, object]:
    """Return the catalogue's fields that a listed item gives.

    Raises LeftOut if the item is free, no chat model, or without a context length.
    """
    if is_priced(item) and (other := other_use(item)) is not None:
        raise LeftOut(f"it is no chat model: {other}")
    prices = prices_of(item)
    if prices[OUTPUT] == "0" and not is_free_wanted:
        raise LeftOut(
            "it is free; say so if that is right"
            if prices[INPUT] == "0"
            else "its output is free, as that of a model that does not chat"
        )
    window = _count(item.get("max_input_tokens" if is_litellm(item) else "context_length"))
    if window is None:
        raise LeftOut("its context length is not told")
    top = item.get("top_provider")
    most = item.get("max_output_tokens")
    most = _count(top.get("max_completion_tokens") if isinstance(top, Mapping) else most)
    return {
        "display_name": str(item.get("name") or item.get("id"))[:NAME_CHARACTERS_MAX],
        **prices,
        "context_window": window,
        "max_output_tokens": min(most or OUTPUT_DEFAULT, window),
        "capabilities": _capabilities(item),
        **_image_tokens(item, prices[INPUT]),
    }


def _picture_price(item: Mapping[str, Any]) -> Fraction:
    """Return the price (USD) of a picture in a prompt; zero if the model's name gives the tokens. Raises LeftOut."""
    pricing = item.get("pricing")
    image = pricing.get("image") if isinstance(pricing, Mapping) else None
    return Fraction(0) if image is None or is_known(str(item.get("id", ""))) else exact(image)


def _image_tokens(item: Mapping[str, Any], per_million: str) -> Mapping[str, object]:
    """Return the tokens that equal a listed price per picture; empty if the model's name gives the formula."""
    price = _picture_price(item)
    if not price or not Fraction(per_million):
        return {}
    tokens = ceil(price * TOKENS_PER_PRICE / Fraction(per_million))
    return {IMAGE_TOKENS: {"tokens": tokens, "tokens_most": tokens}} if 0 < tokens <= NUMBER_MAX else {}


def _capabilities(item: Mapping[str, Any]) -> list[str]:
    """Return the capabilities of a model. A separate price for pictures cannot be charged, so the
    model gets no vision.
    """
    architecture, parameters = item.get("architecture"), item.get("supported_parameters")
    takes = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    is_seeing = (isinstance(takes, list) and "image" in takes) or item.get("supports_vision") is True
    able = {"tools": item.get("supports_function_calling"), REASONING: item.get("supports_reasoning")}
    told = set(map(str, parameters)) if isinstance(parameters, list) else set()
    found = ["chat", "streaming"]
    found += ["vision"] if is_seeing and not _picture_price(item) else []
    return found + [name for name, says in able.items() if says is True or name in told]


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= TOKENS_MAX
    return cast("int", value) if is_count else None
