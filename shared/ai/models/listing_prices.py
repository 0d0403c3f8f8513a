"""Translation of a listed model's prices from OpenRouter's or LiteLLM's names into our fields. Pure.

OpenRouter lists `pricing`: USD per token (`prompt`, `completion`, `input_cache_read`, `input_cache_write`), USD a call
(`request`), and others. LiteLLM lists `input_cost_per_token`, `cache_read_input_token_cost`, … beside the rest of a
model, and prices of long contexts as `…_above_128k_tokens`. If a price is not zero and the name is unknown here, nobody
would be charged for that use. Then the model is left out (`LeftOut`).
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from shared.ai.models.prices import ABOVE, CACHE_WRITE, CACHED_INPUT, INPUT, OUTPUT, REQUEST, TIERS
from shared.kernel.prices import decimal_text

TOKENS_PER_PRICE = 1_000_000
DIGITS_MAX = 18
NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)
NAME_CHARACTERS_MAX = 64

OPENROUTER: Mapping[str, str] = {
    "prompt": INPUT,
    "completion": OUTPUT,
    "input_cache_read": CACHED_INPUT,
    "input_cache_write": CACHE_WRITE,
}
LITELLM: Mapping[str, str] = {
    "input_cost_per_token": INPUT,
    "output_cost_per_token": OUTPUT,
    "cache_read_input_token_cost": CACHED_INPUT,
    "cache_creation_input_token_cost": CACHE_WRITE,
}
PARTS = frozenset({CACHED_INPUT, CACHE_WRITE})
LITELLM_REQUEST = "input_cost_per_request"
LITELLM_REASONING = "output_cost_per_reasoning_token"
COST = re.compile(r"cost|pric", re.IGNORECASE)
ABOVE_TOKENS = re.compile(r"(?P<name>[a-z_]+?)_above_(?P<thousands>[1-9]\d{0,4})k_tokens", re.ASCII)
CHEAPER = re.compile(r"(?P<name>[a-z_]+?)_(flex|batches)", re.ASCII)
"""Names of prices of slower service. If such a price is higher than the price charged here, the model is left out."""


class LeftOut(Exception):  # named for the event
    """Exclusion of a model from the import. The message gives the reason."""


def prices_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the price fields of a listed model. Raises LeftOut."""
    pricing = item.get("pricing")
    if isinstance(pricing, Mapping):
        return _openrouter(pricing)
    if any(name in item for name in LITELLM):
        return _litellm(item)
    raise LeftOut("it has no price")


def is_priced(item: Mapping[str, Any]) -> bool:
    """Return True if the model is listed with prices in a shape that is known here."""
    return isinstance(item.get("pricing"), Mapping) or is_litellm(item)


def is_litellm(item: Mapping[str, Any]) -> bool:
    """Return True if the model is listed in LiteLLM's shape."""
    return not isinstance(item.get("pricing"), Mapping) and any(name in item for name in LITELLM)


def _openrouter(pricing: Mapping[str, Any]) -> dict[str, Any]:
    found = _per_token(pricing, OPENROUTER)
    for name, price in pricing.items():
        if name in OPENROUTER or name == "image" or _is_nothing(price):
            continue
        if name == "request":
            found[REQUEST] = decimal_price(exact(price))
        elif name != "internal_reasoning" or per_million(price) != found[OUTPUT]:
            raise _uncharged(name)
    return found


def _litellm(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prices of an item of LiteLLM's listing, in US dollars per million tokens or per request.

    Raises LeftOut if the item has a cost that no field of a model can charge.
    """
    found = _per_token(item, LITELLM)
    tiers: dict[int, dict[str, Any]] = {}
    for name, price in _other_costs(item):
        above, cheaper = ABOVE_TOKENS.fullmatch(name), CHEAPER.fullmatch(name)
        if above and above["name"] in LITELLM:
            tier = tiers.setdefault(int(above["thousands"]) * 1_000, {})
            tier[LITELLM[above["name"]]] = per_million(price)
        elif name == LITELLM_REQUEST:
            found[REQUEST] = decimal_price(exact(price))
        elif name == LITELLM_REASONING and per_million(price) == found[OUTPUT]:
            continue
        elif not (cheaper and _is_no_dearer(price, found.get(LITELLM.get(cheaper["name"], "")))):
            raise _uncharged(name)
    if tiers:
        found[TIERS] = [_tier(above, tiers[above], found) for above in sorted(tiers)]
    return found


def _other_costs(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, price in item.items():
        if COST.search(name) and name not in LITELLM and not _is_nothing(price):
            yield name, price


def _tier(above: int, told: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tier. If the listing gives no input price for the tier, the price of shorter input applies."""
    return {ABOVE: above, INPUT: found[INPUT], **told}


def _per_token(listed: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the prices per token. Raises LeftOut if the input or the output has no price.

    A zero price for cached or written input may stand for no price. Then such input costs the same as other input.
    """
    found: dict[str, Any] = {
        ours: per_million(listed[name])
        for name, ours in names.items()
        if listed.get(name) is not None and not (ours in PARTS and _is_nothing(listed[name]))
    }
    if INPUT not in found or OUTPUT not in found:
        raise LeftOut("it has no price")
    return found


def _is_nothing(price: object) -> bool:
    """Return True for a price of zero, and for a list or an object of nothing but such prices."""
    if price is None or price is False or price == "":
        return True
    if isinstance(price, Mapping):
        return all(map(_is_nothing, price.values()))
    if isinstance(price, list | tuple):
        return all(map(_is_nothing, price))
    try:
        return exact(price) == 0
    except LeftOut:
        return False


def _is_no_dearer(price: object, ours: str | None) -> bool:
    return ours is not None and exact(price) * TOKENS_PER_PRICE <= Fraction(ours)


def _uncharged(name: str) -> LeftOut:
    return LeftOut(f"it has a price that is not charged here: {name[:NAME_CHARACTERS_MAX]}")


def exact(price: object) -> Fraction:
    """Return a listed price as written, without rounding. Raises LeftOut."""
    is_number = isinstance(price, str | int | float | Decimal) and not isinstance(price, bool)
    if not is_number or not NUMBER.fullmatch(str(price)):
        raise LeftOut("it has no price")
    found = Fraction(str(price))
    if found < 0:
        raise LeftOut("its price is negative")
    return found


def per_million(price: object) -> str:
    """Return a price in USD per token as USD per million, an exact decimal string. Raises LeftOut."""
    return decimal_price(exact(price) * TOKENS_PER_PRICE)


def decimal_price(price: Fraction) -> str:
    """Return a price as a decimal string. Raises LeftOut if the price has more digits than our prices."""
    try:
        return decimal_text(price, digits_max=DIGITS_MAX)
    except ValueError as error:
        raise LeftOut("its price has too many digits") from error
