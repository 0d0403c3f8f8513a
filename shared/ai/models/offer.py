"""Prices of a model as the user pays them: exact credits with the markup, without dollars and without the upstream."""

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias

from shared.ai.models.catalogue import Model
from shared.ai.models.prices import ABOVE, ContextTier
from shared.ai.models.tariff import Tariff

PriceTag: TypeAlias = Mapping[str, object]


def price_tag(model: Model, tariff: Tariff) -> PriceTag:
    """Return the prices of a model in credits, as decimal strings. None where the model has no such price."""
    return {
        **_of_tokens(model, tariff),
        "context_tiers": [
            {ABOVE: tier.above, **_of_tier(tier, tariff, is_chat=model.kind == "chat")}
            for tier in model.context_tiers[1:]
        ],
        "request_credits": tariff.credits_of(model.request_usd),
        **_of_pictures(model, tariff),
    }


def _of_tokens(model: Model, tariff: Tariff) -> PriceTag:
    if not model.context_tiers:
        return dict.fromkeys(f"{name}_credits_per_mtok" for name in ("input", "output", "cached_input", "cache_write"))
    return _of_tier(model.context_tiers[0], tariff, is_chat=model.kind == "chat")


def _of_tier(tier: ContextTier, tariff: Tariff, *, is_chat: bool) -> PriceTag:
    return {
        "input_credits_per_mtok": tariff.credits_of(tier.input),
        "output_credits_per_mtok": tariff.credits_of(tier.output) if is_chat else None,
        "cached_input_credits_per_mtok": tariff.credits_of(tier.cached_input),
        "cache_write_credits_per_mtok": tariff.credits_of(tier.cache_write),
    }


def _of_pictures(model: Model, tariff: Tariff) -> PriceTag:
    sizes = _in_credits(model.image_usd_by_size, tariff)
    qualities = {name: _in_credits(prices, tariff) for name, prices in model.image_usd_by_quality.items()}
    return {
        "image_credits": sizes[model.default_size] if sizes else None,
        "image_credits_by_size": sizes or None,
        "image_credits_by_quality": qualities or None,
    }


def _in_credits(prices: Mapping[str, Fraction], tariff: Tariff) -> dict[str, str]:
    return {size: tariff.credits_of(usd) for size, usd in prices.items()}
