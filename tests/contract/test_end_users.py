"""A provider is told who the end user is by our pseudonym, in the fields that its profile knows, on every route."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from shared.ai.agents.thinking import ThinkingMessage, ThinkRequest
from shared.ai.models.profiles import end_user_fields_of
from shared.ai.ports import ChatRequest, ImageRequest, PromptMessage
from shared.bootstrap.cloud import upstreams_of
from shared.kernel.settings import parse_settings
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.openai.chat import OpenAIChatModel
from shared.platform.openai.images import OpenAIImageModel
from shared.platform.openai.passthrough import OpenAIPassthrough
from shared.platform.openai.thinking import OpenAIThinkingModel
from tests.support.people import signing_key

SAID = (PromptMessage(role="user", content="Hello"),)
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
NAMED = ("user", "safety_identifier")


def parts_of(upstream: Any, profile: str) -> Any:
    """The default upstream, under these settings."""
    env = {
        "GCLOUD_PROJECT": "demo-test",
        "LEDGER_SIGNING_KEY": signing_key("k1", 1),
        "AI_PLATFORM_BASE_URL": upstream.url,
        "AI_PLATFORM_API_KEY": "sk-test",
        "AI_PLATFORM_PROFILE": profile,
    }
    return upstreams_of(parse_settings(env), MemoryAlerts())["default"]


def named(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in NAMED if name in body}


def chat(parts: Any) -> None:
    with closing(OpenAIChatModel(parts)) as model:
        list(model.stream(ChatRequest(model="m", messages=SAID, max_output_tokens=9, end_user="user_1")))


def think(parts: Any) -> None:
    asked = (ThinkingMessage(role="user", content="Hello"),)
    with closing(OpenAIThinkingModel(parts)) as model:
        model.think(ThinkRequest(model="m", messages=asked, tools=(), max_output_tokens=9, end_user="user_1"))


def door(parts: Any, path: str = "/chat/completions", body: Mapping[str, Any] = ASKED) -> None:
    with closing(OpenAIPassthrough(parts)) as passthrough:
        list(passthrough.ask(path, body, "user_1"))


def embed(parts: Any) -> None:
    door(parts, "/embeddings", {"model": "m", "input": "x"})


def paint(parts: Any) -> None:
    with closing(OpenAIImageModel(parts)) as model:
        model.generate(ImageRequest(model="m", prompt="A fox", size="96x64", end_user="user_1"))


@pytest.mark.parametrize(
    ("profile", "fields"),
    [("openai", NAMED), ("laptop", NAMED), ("auto", ("user",)), ("azure", ("user",)), ("mistral", ()), ("google", ())],
)
@pytest.mark.parametrize("ask", [chat, think, door])
def test_the_profile_says_which_fields_name_the_end_user(upstream, ask, profile, fields):
    ask(parts_of(upstream, profile))

    assert named(upstream.requests[0]["body"]) == dict.fromkeys(fields, "user_1")


@pytest.mark.parametrize(
    ("base_url", "fields"),
    [
        ("https://api.openai.com/v1", NAMED),
        ("https://api.mistral.ai/v1", ()),
        ("https://generativelanguage.googleapis.com/v1beta/openai", ()),
        ("https://models.example.com/v1", ("user",)),
    ],
)
def test_a_known_host_decides_where_no_profile_is_set(base_url, fields):
    assert end_user_fields_of("auto", base_url) == fields
    assert end_user_fields_of("openai", base_url) == NAMED


@pytest.mark.parametrize("ask", [embed, paint])
def test_embeddings_and_images_name_the_end_user_by_the_older_field(upstream, ask):
    ask(parts_of(upstream, "openai"))

    assert named(upstream.requests[0]["body"]) == {"user": "user_1"}


def test_a_provider_that_refuses_end_users_gets_none_of_the_client(upstream):
    door(parts_of(upstream, "mistral"), body={**ASKED, "user": "x", "safety_identifier": "y"})

    assert named(upstream.requests[0]["body"]) == {}
