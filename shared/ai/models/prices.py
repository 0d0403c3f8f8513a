"""Prices of a model as operators write them: per token, by context length, per request and per picture.

All are exact USD from decimal strings; token prices are per million. If a document omits a price, the price of the
larger group applies. Cached and written input cost as much as input. A picture of any quality costs the price of the
size.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, cast

from shared.kernel.errors import InvalidValue
from shared.kernel.prices import parse_price

ModelFields: TypeAlias = Mapping[str, object]

INPUT, OUTPUT = "input_usd_per_mtok", "output_usd_per_mtok"
CACHED_INPUT, CACHE_WRITE = "cached_input_usd_per_mtok", "cache_write_usd_per_mtok"
TOKEN_PRICES = (INPUT, OUTPUT, CACHED_INPUT, CACHE_WRITE)
REQUEST = "request_usd"
TIERS = "context_tiers"
ABOVE = "above_input_tokens"
TIERS_MAX = 8
BY_SIZE = "image_usd_by_size"
SIZE = re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}|auto", re.ASCII)
SIZE_DEFAULT = "1024x1024"
SIZES_MAX = 32
BY_QUALITY = "image_usd_by_quality"
QUALITIES_MAX = 8
QUALITY_CHARACTERS_MAX = 16
TIER_TOKENS_MAX = 100_000_000
PRICE_RULE = "must be a decimal string of USD, zero or more"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextTier:
    """USD per million tokens of each call whose input is longer than `above` tokens."""

    above: int
    input: Fraction
    output: Fraction
    cached_input: Fraction
    cache_write: Fraction


def price_in(fields: ModelFields, name: str, *, shown_as: str | None = None) -> Fraction | None:
    """Return a price of a document; None if the document omits the price. Raises InvalidValue."""
    text = fields.get(name)
    if text is None:
        return None
    try:
        return parse_price(text)
    except ValueError as error:
        raise InvalidValue(shown_as or name, PRICE_RULE) from error


def context_tiers(fields: ModelFields) -> tuple[ContextTier, ...]:
    """Return the prices of tokens by context length, shortest first; none for a model without a price for input.

    A tier holds for all tokens of a call. If a tier omits a cache price, the tier's own input price applies. If a tier
    omits the output price, the output price of the tier below applies. Raises InvalidValue.
    """
    tokens_in = price_in(fields, INPUT)
    if tokens_in is None:
        return ()
    tiers = [_tier(fields, 0, tokens_in, price_in(fields, OUTPUT) or Fraction(0), INPUT)]
    for item in _listed(fields.get(TIERS)):
        above = item.get(ABOVE)
        if isinstance(above, bool) or not isinstance(above, int) or not tiers[-1].above < above <= TIER_TOKENS_MAX:
            raise InvalidValue(TIERS, f"must have a growing {ABOVE}, from 1 to {TIER_TOKENS_MAX}")
        if item.keys() - {ABOVE, *TOKEN_PRICES}:
            raise InvalidValue(TIERS, f"must name {ABOVE} and prices of tokens only")
        told = price_in(item, INPUT, shown_as=TIERS)
        if told is None:
            raise InvalidValue(TIERS, f"must name {INPUT} in each tier")
        output = price_in(item, OUTPUT, shown_as=TIERS)
        tiers.append(_tier(item, above, told, tiers[-1].output if output is None else output, TIERS))
    return tuple(tiers)


def _tier(fields: ModelFields, above: int, tokens_in: Fraction, tokens_out: Fraction, field: str) -> ContextTier:
    shown = TIERS if field == TIERS else None
    cached, written = (price_in(fields, name, shown_as=shown) for name in (CACHED_INPUT, CACHE_WRITE))
    return ContextTier(
        above=above,
        input=tokens_in,
        output=tokens_out,
        cached_input=tokens_in if cached is None else cached,
        cache_write=tokens_in if written is None else written,
    )


def _listed(value: object) -> Sequence[ModelFields]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > TIERS_MAX:
        raise InvalidValue(TIERS, f"must be a list of at most {TIERS_MAX} tiers")
    if not all(isinstance(item, Mapping) for item in value):
        raise InvalidValue(TIERS, "must be a list of tiers, each an object")
    return cast("Sequence[ModelFields]", value)


def size_prices(fields: ModelFields) -> Mapping[str, str]:
    """Return the price of each size, as written in the document. Raises InvalidValue."""
    by_size = fields.get(BY_SIZE)
    if by_size is None:
        return {SIZE_DEFAULT: cast("str", fields["image_usd"])}
    if not isinstance(by_size, Mapping) or not 1 <= len(by_size) <= SIZES_MAX:
        raise InvalidValue(BY_SIZE, f"must give 1 to {SIZES_MAX} sizes their price")
    for size, text in by_size.items():
        if not isinstance(size, str) or not SIZE.fullmatch(size):
            raise InvalidValue(BY_SIZE, "must name sizes such as 1024x1024, or auto")
        if price_in({BY_SIZE: text}, BY_SIZE) is None:
            raise InvalidValue(BY_SIZE, PRICE_RULE)
    return dict(by_size)


def quality_prices(fields: ModelFields, sizes: Mapping[str, Fraction]) -> Mapping[str, Mapping[str, Fraction]]:
    """Return the price of each picture by quality and size.

    If a quality has no price for a size, the model does not paint that combination. Raises InvalidValue.
    """
    told = fields.get(BY_QUALITY)
    if told is None:
        return {}
    if not isinstance(told, Mapping) or not 1 <= len(told) <= QUALITIES_MAX:
        raise InvalidValue(BY_QUALITY, f"must give 1 to {QUALITIES_MAX} qualities their prices by size")
    return {_quality(name): _by_size(by_size, sizes) for name, by_size in told.items()}


def _quality(name: object) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= QUALITY_CHARACTERS_MAX:
        raise InvalidValue(BY_QUALITY, f"must name qualities with 1 to {QUALITY_CHARACTERS_MAX} characters")
    return name


def _by_size(by_size: object, sizes: Mapping[str, Fraction]) -> Mapping[str, Fraction]:
    if not isinstance(by_size, Mapping) or not by_size or by_size.keys() - sizes.keys():
        raise InvalidValue(BY_QUALITY, "must price sizes that the model paints")
    prices = {size: price_in({BY_QUALITY: text}, BY_QUALITY) for size, text in by_size.items()}
    if None in prices.values():
        raise InvalidValue(BY_QUALITY, PRICE_RULE)
    return cast("Mapping[str, Fraction]", prices)
