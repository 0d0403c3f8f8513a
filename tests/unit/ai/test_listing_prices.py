"""Listings in OpenRouter's and LiteLLM's shapes: no model is imported that would be undercharged."""

from fractions import Fraction
from typing import Any

import pytest

from shared.ai.models.catalogue import parse_model
from shared.ai.models.listing import compared, listed_models
from shared.ai.models.tariff import Tariff
from shared.ai.tokens import Usage


def routed(name: str = "maker/talker", **pricing: Any) -> dict[str, Any]:
    """Return a model as OpenRouter lists one: prices in USD per token, all names there, most of them zero."""
    zero = dict.fromkeys(("request", "image", "web_search", "internal_reasoning"), "0")
    return {
        "id": name,
        "canonical_slug": f"{name}-2026",
        "name": "Maker: Talker",
        "created": 1_780_000_000,
        "context_length": 200_000,
        "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.000003", "completion": "0.000015", **zero, **pricing},
        "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "tools"],
    }


def lit(**more: Any) -> dict[str, Any]:
    """Return a model as LiteLLM's price map lists one: floats in USD per token."""
    return {
        "litellm_provider": "maker",
        "mode": "chat",
        "max_tokens": 64_000,
        "max_input_tokens": 200_000,
        "max_output_tokens": 64_000,
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "supports_function_calling": True,
        "supports_vision": True,
        "source": "https://maker.example/pricing",
        **more,
    }


PRICED = {"input_usd_per_mtok": "3", "output_usd_per_mtok": "15"}
IMPORTED = {
    "plain": (routed(), {}),
    "cached": (
        routed(input_cache_read="0.0000003", input_cache_write="0.00000375"),
        {"cached_input_usd_per_mtok": "0.3", "cache_write_usd_per_mtok": "3.75"},
    ),
    "a cache without a price": (routed(input_cache_read="0", input_cache_write="0"), {}),
    "by the request": (routed(request="0.005"), {"request_usd": "0.005"}),
    "reasoning as output": (routed(internal_reasoning="0.000015"), {}),
    "plain, LiteLLM": (lit(), {}),
    "cached, LiteLLM": (
        lit(cache_read_input_token_cost=3e-07, cache_creation_input_token_cost=3.75e-06),
        {"cached_input_usd_per_mtok": "0.3", "cache_write_usd_per_mtok": "3.75"},
    ),
    "tiers, LiteLLM": (
        lit(
            input_cost_per_token_above_128k_tokens=6e-06,
            output_cost_per_token_above_128k_tokens=2.25e-05,
            cache_read_input_token_cost_above_128k_tokens=6e-07,
            input_cost_per_token_above_1000k_tokens=9e-06,
        ),
        {
            "context_tiers": [
                {
                    "above_input_tokens": 128_000,
                    "input_usd_per_mtok": "6",
                    "output_usd_per_mtok": "22.5",
                    "cached_input_usd_per_mtok": "0.6",
                },
                {"above_input_tokens": 1_000_000, "input_usd_per_mtok": "9"},
            ]
        },
    ),
    "by the request, LiteLLM": (lit(input_cost_per_request=0.002), {"request_usd": "0.002"}),
    "slower service, LiteLLM": (lit(input_cost_per_token_flex=1.5e-06, output_cost_per_token_batches=7.5e-06), {}),
    "free extras, LiteLLM": (lit(search_context_cost_per_query={"search_context_size_low": 0.0}), {}),
}


@pytest.mark.parametrize(("item", "prices"), IMPORTED.values(), ids=IMPORTED.keys())
def test_prices_that_are_charged_here_are_imported_exactly(item, prices):
    (change,) = compared([{"id": "talker", **item}], {}, "default").changes

    found = {name: value for name, value in change.after.items() if "usd" in name or name == "context_tiers"}
    assert found == PRICED | prices
    assert parse_model(change.model_id, change.after).context_window == 200_000


LEFT_OUT = {
    "web search": (routed(web_search="0.01"), "web_search"),
    "dearer reasoning": (routed(internal_reasoning="0.00002"), "internal_reasoning"),
    "audio": (routed(audio="0.00004"), "audio"),
    "a name of tomorrow": (routed(warp_drive="0.1"), "warp_drive"),
    "a price that is an object": (routed(overrides={"night": {"prompt": "0.1"}}), "overrides"),
    "a price that cannot be read": (routed(input_audio_cache="much"), "input_audio_cache"),
    "priority, LiteLLM": (lit(input_cost_per_token_priority=6e-06), "input_cost_per_token_priority"),
    "dearer slow service, LiteLLM": (lit(input_cost_per_token_flex=6e-06), "input_cost_per_token_flex"),
    "long caches, LiteLLM": (
        lit(cache_creation_input_token_cost_above_1hr=6e-06),
        "cache_creation_input_token_cost_above_1hr",
    ),
    "searches, LiteLLM": (
        lit(search_context_cost_per_query={"search_context_size_low": 0.03}),
        "search_context_cost_per_query",
    ),
    "dearer reasoning, LiteLLM": (lit(output_cost_per_reasoning_token=2e-05), "output_cost_per_reasoning_token"),
    "pictures, LiteLLM": (lit(input_cost_per_image=0.001), "input_cost_per_image"),
    "audio, LiteLLM": (lit(output_cost_per_audio_token=8e-05), "output_cost_per_audio_token"),
    "tools, LiteLLM": (lit(code_interpreter_cost_per_session=0.03), "code_interpreter_cost_per_session"),
    "other tiers, LiteLLM": (lit(tiered_pricing=[{"range": [0, 9], "input_cost_per_token": 1}]), "tiered_pricing"),
    "tiers of audio, LiteLLM": (
        lit(input_cost_per_audio_token_above_128k_tokens=1e-05),
        "input_cost_per_audio_token_above_128k_tokens",
    ),
}


@pytest.mark.parametrize(("item", "name"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_a_price_that_is_not_charged_here_leaves_a_model_out_by_name(item, name):
    found = compared([{"id": "talker", **item}], {}, "default")

    assert found.changes == []
    assert list(found.left_out.values()) == [f"it has a price that is not charged here: {name}"]


OTHERS = {
    "embedding, LiteLLM": {**lit(mode="embedding", output_cost_per_token=0.0), "id": "vectors"},
    "picture, LiteLLM": {**lit(mode="image_generation"), "id": "painter"},
    "responses only, LiteLLM": {**lit(mode="responses"), "id": "thinker"},
    "no mode, LiteLLM": {**lit(mode=None), "id": "odd"},
    "the sample, LiteLLM": {**lit(mode="one of: chat, embedding, completion"), "id": "sample_spec"},
    "by what it gives": {**routed(), "architecture": {"output_modalities": ["text", "image"]}},
    "by its modality": {**routed(), "architecture": {"modality": "text->embeddings"}},
    "by its type": {**routed(), "type": "embedding"},
    "by its name": routed("maker/text-embedding-4"),
    "by its other name": routed("maker/gpt-image-2"),
    "by its output, which is free": routed("maker/e5", completion="0"),
}


@pytest.mark.parametrize("item", OTHERS.values(), ids=OTHERS.keys())
def test_a_model_that_does_not_chat_is_never_imported_as_one(item):
    found = compared([item], {}, "default")

    assert (found.changes, len(found.left_out)) == ([], 1)


def test_litellms_object_of_models_by_name_is_a_listing():
    found = compared({"talker": lit(), "vectors": lit(mode="embedding"), "maker/talker": lit()}, {}, "default")

    assert [change.model_id for change in found.changes] == ["talker", "maker:talker"]
    assert found.left_out == {"vectors": "it is no chat model: embedding"}
    assert found.changes[0].after["capabilities"] == ["chat", "streaming", "vision", "tools"]


def test_a_proxys_listing_has_its_prices_under_model_info():
    listed = {"data": [{"model_name": "ours", "litellm_params": {}, "model_info": lit()}]}

    assert [change.model_id for change in compared(listed, {}, "default").changes] == ["ours"]


@pytest.mark.parametrize("listing", ["models", [1], {"data": {}}, {"talker": 1}])
def test_what_is_no_listing_is_an_error(listing):
    with pytest.raises(ValueError, match="no list of models"):
        listed_models(listing)


def test_pictures_with_a_price_of_their_own_are_not_taken_by_the_model():
    seeing = {"modality": "text+image->text", "input_modalities": ["text", "image"], "output_modalities": ["text"]}

    (change,) = compared([{**routed(image="0.0048"), "architecture": seeing}], {}, "default").changes

    assert change.after["capabilities"] == ["chat", "streaming", "tools"]
    assert change.after["image_tokens"] == {"tokens": 1_600, "tokens_most": 1_600}


def test_prices_that_are_listed_no_more_are_taken_from_a_model():
    ours = {
        **compared([routed(input_cache_read="0.0000003", request="0.1")], {}, "default").changes[0].after,
        "quality": 9,
    }

    (change,) = compared([routed()], {"maker:talker": ours}, "default").changes

    assert change.differences == {"cached_input_usd_per_mtok": ("0.3", None), "request_usd": ("0.1", None)}
    assert change.after["quality"] == 9


@pytest.mark.parametrize("item", [item for item, _ in IMPORTED.values()], ids=IMPORTED.keys())
@pytest.mark.parametrize("tokens", [1_000, 128_000, 128_001, 1_000_001])
def test_no_imported_model_charges_less_than_its_listing(item, tokens):
    (change,) = compared([{"id": "talker", **item}], {}, "default").changes
    used = Usage(input_tokens=tokens, output_tokens=500, cached_input_tokens=tokens // 2)
    listed = item.get("pricing", item)

    charge = Tariff(credits_per_usd=100).price(parse_model("talker", change.after), used)

    assert charge >= 100 * 1_000_000 * owed(listed, used)


def owed(listed: dict[str, Any], used: Usage) -> Fraction:
    """Return the USD that a provider bills by a listing."""

    def price(*names: str) -> Fraction:
        tiers = [f"_above_{k}k_tokens" for k in (1_000, 128) if used.input_tokens > k * 1_000]
        found = [str(listed[name + tier]) for tier in [*tiers, ""] for name in names if listed.get(name + tier)]
        return Fraction(found[0]) if found else Fraction(0)

    plain = price("prompt", "input_cost_per_token")
    cached = price("input_cache_read", "cache_read_input_token_cost") or plain
    output = price("completion", "output_cost_per_token")
    return (
        (used.input_tokens - used.cached_input_tokens) * plain
        + used.cached_input_tokens * cached
        + used.output_tokens * output
        + price("request", "input_cost_per_request")
    )
