"""The table of request fields: OpenAI's published fields each pass or are refused by name, and nothing else passes."""

import json
from pathlib import Path

import pytest

from shared.ai.openai.offered_fields import OFFERED
from shared.ai.openai.request_fields import RequestFields
from shared.kernel.errors import InvalidValue
from tests.support.offered import verdict
from tests.support.openai_fields import SDK, sdk_fields, spec_fields

TABLE = json.loads((Path(__file__).parents[2] / "data" / "openai_fields.json").read_text(encoding="utf-8"))
SPEC = Path(__file__).resolve().parents[4] / "shared" / "cases" / "specs" / "openai.json"
CHAT, RESPONSES = OFFERED["/chat/completions"], OFFERED["/responses"]
ONCE = {"type": "ephemeral"}


def said(text="Hi", **more):
    return {"messages": [{"role": "user", "content": text, **more}]}


def part(**more):
    return said([{"type": "text", "text": "Hi", **more}])


OTHERS = [
    *({name: "x"} for name in ("speed", "preset", "inference_geo", "api_base", "base_url", "api_key")),
    {"custom_llm_provider": "x"},
    *({name: 7} for name in ("num_retries", "max_new_tokens", "max_output_tokens", "max_length", "num_predict")),
    *({name: 7} for name in ("max_tokens_to_sample", "n_predict", "min_tokens", "thinking_budget", "best_of", "top_k")),
    *({name: True} for name in ("enable_thinking", "think", "search", "return_images", "web_search", "use_search")),
    *({name: {"x": 1}} for name in ("thinking", "options", "extra_body", "extra_headers", "chat_template_kwargs")),
    *({name: {"x": 1}} for name in ("reasoning", "cache_control", "generationConfig", "safety_settings", "usage")),
    *({name: ["x"]} for name in ("transforms", "route", "betas", "mcp_servers", "container", "fallback_models")),
    {"extra_body": {"google": {"thinking_config": {"thinking_budget": 24_576}}}},
    {"tools": [{"googleSearch": {}}]},
    {"tools": [{"google_search": {}, "type": "function"}]},
    {"tools": [{"codeExecution": {}}, {"type": "function", "function": {"name": "f"}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "cost": 1}}]},
    {"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {**ONCE, "ttl": "1h"}}]},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    {"tools": {"googleSearch": {}}},
    {"tool_choice": {"type": "web_search"}},
    {"tool_choice": {"type": "function", "function": {"name": "f"}, "disable_parallel_tool_use": True}},
    {"response_format": {"type": "grammar", "grammar": "x"}},
    {"response_format": {"type": "json_object", "schema_cost": 1}},
    {"stream_options": {"continuous_usage_stats": True}},
    {"prediction": {"type": "content", "content": "x", "speed": "fast"}},
    {"temperature": {"googleSearch": {}}},
    {"stop": [{"googleSearch": {}}]},
    {"metadata": {"tags": {"route": "dear"}}},
    {"logit_bias": {"1": {"x": 1}}},
    {"modalities": [{"type": "audio"}]},
    said(cache_control={**ONCE, "ttl": "1h"}),
    said(speed="fast"),
    said({"type": "input_audio"}),
    part(cache_control={**ONCE, "ttl": "1h"}),
    part(cache_control={"type": "persistent"}),
    part(prompt_cache_breakpoint={"mode": "explicit"}),
    part(video_metadata={"fps": 24}),
    said([{"type": "video_url", "video_url": {"url": "https://x.org/a.mp4"}}]),
    said([{"type": "image_url", "image_url": {"url": "https://x.org/a", "max_pixels": 9}}]),
    {"messages": [{"role": "model", "content": "Hi"}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "mcp", "server": "x"}]}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "price": 1}}]}]},
]  # fmt: skip
"""What other providers and gateways know, or nobody."""


def refused(body, *, table=CHAT, fields=None, upstream="default"):
    with pytest.raises(InvalidValue) as error:
        (fields or RequestFields({"default": frozenset()})).sifted(table, body, upstream)
    return error.value.params["field"]


@pytest.mark.parametrize("endpoint", SDK)
def test_every_published_field_passes_or_is_refused_as_recorded(endpoint):
    assert {path: verdict(endpoint, path) for path in TABLE[endpoint]} == TABLE[endpoint]


@pytest.mark.parametrize("endpoint", SDK)
def test_table_has_every_field_of_the_installed_sdk(endpoint):
    assert sdk_fields(endpoint) - TABLE[endpoint].keys() == set()


@pytest.mark.skipif(not SPEC.is_file(), reason="OpenAI's published document is not here")
@pytest.mark.parametrize("endpoint", SDK)
def test_table_has_every_field_of_the_published_document(endpoint):
    published = json.loads(SPEC.read_text(encoding="utf-8"))

    assert spec_fields(published, endpoint) | sdk_fields(endpoint) == TABLE[endpoint].keys()


def test_other_fields_are_many():
    assert len(OTHERS) >= 60


@pytest.mark.parametrize("body", OTHERS, ids=str)
def test_other_fields_are_refused_by_name(body):
    name = refused({"model": "m", **said(), **body})

    assert name.split(".")[0] in body


@pytest.mark.parametrize("name", ["speed", "input_type", "truncate", "task", "extra_body", "api_base", "output_dtype"])
def test_embeddings_take_openais_fields_only(name):
    assert refused({"input": "x", name: {"x": 1}}, table=OFFERED["/embeddings"]) == name


@pytest.mark.parametrize(
    "body",
    [
        {"background": True},
        {"tools": [{"googleSearch": {}}]},
        {"reasoning": {"effort": "low", "mode": "pro"}},
        {"reasoning": {"max_tokens": 60_000}},
        {"text": {"format": {"type": "text"}, "speed": "fast"}},
        {"tools": [{"type": "function", "name": "f", "allowed_callers": ["programmatic"]}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "cache_control": {"ttl": "1h"}}]}]},
        {"context_management": [{"type": "compaction"}]},
        {"speed": "fast"},
    ],
    ids=str,
)
def test_responses_refuse_unpriced_fields(body):
    assert refused({"input": "x", **body}, table=RESPONSES).split(".")[0] in body


def test_refusal_names_all_that_is_wrong():
    with pytest.raises(InvalidValue, match=r'messages\.0\.preset" is not .*; speed is not '):
        RequestFields({"default": frozenset()}).sifted(CHAT, {"speed": "fast", **said(preset="x")}, "default")


def test_dropped_fields_are_taken_out_and_named():
    tools = [{"googleSearch": {}}, {"type": "function", "function": {"name": "f", "cost": 1}}]
    body = {"speed": "fast", **part(video_metadata={"fps": 24}), "tools": tools, "seed": 7}

    sifted = RequestFields({"default": frozenset()}, drops_unknown=True).sifted(CHAT, body, "default")

    assert sifted.body == {**part(), "tools": [{"type": "function", "function": {"name": "f"}}], "seed": 7}
    assert sifted.dropped == (
        "messages.0.content.0.video_metadata",
        "speed",
        "tools.0.googleSearch",
        "tools.1.function.cost",
    )


@pytest.mark.parametrize(
    "body",
    [{"audio": {"voice": "x"}}, {"web_search_options": {}}, {"models": ["dear"]}, {"tool_choice": {"type": "mcp"}}],
    ids=str,
)
def test_known_fields_with_a_price_are_never_dropped(body):
    assert refused(body, fields=RequestFields({"default": frozenset()}, drops_unknown=True)) in body


def test_operators_name_more_fields_for_one_upstream():
    named = {"default": frozenset(), "claude": frozenset({"thinking", "provider", "messages.content.cache_control"})}
    fields, long = RequestFields(named), {**ONCE, "ttl": "1h"}
    body = {"thinking": {"budget": 9}, "provider": {"only": ["x"]}, **part(cache_control=long)}

    sifted = fields.sifted(CHAT, body, "claude")

    assert (sifted.body, sifted.dropped) == (body, ())
    assert sifted.extras == {"thinking", "provider"}
    assert sifted.texts == ({"budget": 9}, {"only": ["x"]}, long)
    assert refused(body, fields=fields) == "messages.0.content.0.cache_control"
    assert refused(body, fields=fields, upstream=None) == "messages.0.content.0.cache_control"


def test_marks_for_caching_are_left_out_and_named():
    body = {**part(cache_control=ONCE), "temperature": 0}

    sifted = RequestFields({"default": frozenset()}).sifted(CHAT, body, "default")

    assert (sifted.body, sifted.dropped) == ({**part(), "temperature": 0}, ("messages.0.content.0.cache_control",))


def test_history_of_providers_goes_back_unchanged():
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    details = [{"type": "reasoning.encrypted", "data": "x", "id": None, "format": "f", "index": 0}]
    answer: dict[str, object] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    answer["reasoning_content"] = "hm"
    answer["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    body = {"messages": [{**answer, "reasoning_details": details, "tool_calls": [call]}]}

    sifted = RequestFields({"default": frozenset()}).sifted(CHAT, body, "default")

    assert (sifted.body, sifted.dropped) == (body, ())


def test_unknown_fields_that_say_nothing_are_left_out():
    sifted = RequestFields({"default": frozenset()}).sifted(
        CHAT, {"seed": None, "x_new": None, "plugins": []}, "default"
    )

    assert (sifted.body, sifted.dropped) == ({"seed": None}, ())
