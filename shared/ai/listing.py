"""A provider's listing of models, as ours would be: what is new, what changed, what is left out and why. Pure.

The shape is OpenAI's (`{"data": [{"id": …}]}`), with what OpenRouter and others of its kind add: `pricing` in USD per
token as decimal strings (`prompt`, `completion`), `context_length`, `top_provider.max_completion_tokens`,
`architecture.input_modalities`, `supported_parameters`, `name`. A model without a price is left out, never free.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, cast

from shared.ai.image_tokens import NUMBER_MAX, is_known
from shared.ai.model_prices import ModelFields
from shared.ai.models import (
    AUTO,
    DEFAULT_UPSTREAM,
    FIELDS,
    IMAGE_TOKENS,
    NAME_CHARACTERS_MAX,
    REASONING,
    TOKENS_MAX,
    parse_model,
)
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import is_safe_id

NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)
TOKENS_PER_PRICE = 1_000_000
DIGITS_MAX = 18
SYNCED = ("input_usd_per_mtok", "output_usd_per_mtok", "context_window", "max_output_tokens")
"""What a listing knows better than we do; the rest of a model that we have is its operators' to say."""
OUTPUT_DEFAULT = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One model to write; `before` is None for a new one. `differences`: each field that changes, before and after."""

    model_id: str
    before: ModelFields | None
    after: ModelFields
    differences: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A listing beside our models. `left_out` says why, by the provider's name; `gone` are ours, listed no more."""

    changes: Sequence[Change]
    unchanged: Sequence[str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    gone: Sequence[str] = ()


class _LeftOut(Exception):  # named for the event
    """This model is not imported; the message says why."""


def compared(
    listing: Iterable[Mapping[str, Any]],
    known: Mapping[str, ModelFields],
    upstream: str,
    *,
    is_free_wanted: bool = False,
) -> Comparison:
    """The listing of `upstream` beside the models we have, whose documents are `known` by their ids."""
    ours = {
        str(fields.get("upstream_model", model_id)): model_id
        for model_id, fields in known.items()
        if fields.get("upstream", DEFAULT_UPSTREAM) == upstream and fields.get("kind") == "chat"
    }
    changes: list[Change] = []
    unchanged: list[str] = []
    left_out: dict[str, str] = {}
    listed: set[str] = set()
    for item in listing:
        name = str(item.get("id", ""))
        listed.add(name)
        try:
            change = _change(item, name, ours.get(name), known, upstream, is_free_wanted=is_free_wanted)
        except _LeftOut as reason:
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
    model_id = our_id or _id_of(name, upstream)
    before = known.get(model_id)
    if before is not None and our_id is None:
        raise _LeftOut(f"{model_id} is another model here")
    told = {**_told(item, is_free_wanted=is_free_wanted)}
    if before is not None:
        after = {**{key: before[key] for key in FIELDS & before.keys()}, **{key: told[key] for key in SYNCED}}
    else:
        after = {"kind": "chat", **told, "upstream": upstream, "upstream_model": name}
    try:
        parse_model(model_id, after)
    except InvalidValue as error:
        raise _LeftOut(error.detail) from error
    differences = {key: ((before or {}).get(key), after[key]) for key in after if (before or {}).get(key) != after[key]}
    return Change(model_id=model_id, before=before, after=after, differences=differences)


def _id_of(name: str, upstream: str) -> str:
    """The id that a new model gets: its name, behind the provider's own unless that is the default one."""
    model_id = name.replace("/", ":") if upstream == DEFAULT_UPSTREAM else f"{upstream}:{name.replace('/', ':')}"
    if not is_safe_id(model_id) or model_id == AUTO:
        raise _LeftOut("its name cannot be an id")
    return model_id


def _told(item: Mapping[str, Any], *, is_free_wanted: bool) -> Mapping[str, object]:
    pricing = item.get("pricing")
    if not isinstance(pricing, Mapping):
        raise _LeftOut("it has no price")
    prices = [_per_million(pricing.get(name)) for name in ("prompt", "completion")]
    if prices == ["0", "0"] and not is_free_wanted:
        raise _LeftOut("it is free; say so if that is right")
    window = _count(item.get("context_length"))
    if window is None:
        raise _LeftOut("its context length is not told")
    top = item.get("top_provider")
    most = _count(top.get("max_completion_tokens")) if isinstance(top, Mapping) else None
    return {
        "display_name": str(item.get("name") or item.get("id"))[:NAME_CHARACTERS_MAX],
        "input_usd_per_mtok": prices[0],
        "output_usd_per_mtok": prices[1],
        "context_window": window,
        "max_output_tokens": min(most or OUTPUT_DEFAULT, window),
        "capabilities": _capabilities(item),
        **_image_tokens(item, pricing, prices[0]),
    }


def _image_tokens(item: Mapping[str, Any], pricing: Mapping[str, Any], per_million: str) -> Mapping[str, object]:
    """Return the tokens that a listed price per image is worth, unless the model's name says its formula."""
    image = pricing.get("image")
    if image is None or is_known(str(item.get("id", ""))) or not Fraction(per_million):
        return {}
    tokens = ceil(Fraction(_per_million(image)) / Fraction(per_million))
    return {IMAGE_TOKENS: {"tokens": tokens, "tokens_most": tokens}} if 0 < tokens <= NUMBER_MAX else {}


def _capabilities(item: Mapping[str, Any]) -> list[str]:
    architecture, parameters = item.get("architecture"), item.get("supported_parameters")
    takes = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    found = ["chat", "streaming"]
    found += ["vision"] if isinstance(takes, list) and "image" in takes else []
    found += [
        ours
        for theirs, ours in (("tools", "tools"), ("reasoning", REASONING))
        if isinstance(parameters, list) and theirs in parameters
    ]
    return found


def _per_million(price: object) -> str:
    """USD per token as USD per million: exact, and a decimal string. A number is read as it was written."""
    try:
        if isinstance(price, bool) or not isinstance(price, str | int | Decimal) or not NUMBER.fullmatch(str(price)):
            raise ValueError(price)
        exact = Fraction(str(price)) * TOKENS_PER_PRICE
    except ValueError as error:
        raise _LeftOut("it has no price") from error
    if exact < 0:
        raise _LeftOut("its price is negative")
    scaled = exact * 10**DIGITS_MAX
    if scaled.denominator != 1:
        raise _LeftOut("its price has too many digits")
    whole, rest = divmod(int(scaled), 10**DIGITS_MAX)
    return f"{whole}.{rest:0{DIGITS_MAX}d}".rstrip("0").rstrip(".")


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= TOKENS_MAX
    return cast("int", value) if is_count else None
