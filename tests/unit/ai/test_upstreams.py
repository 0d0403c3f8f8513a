import pytest

from shared.ai.models.upstreams import Upstreams
from shared.ai.ports import ChatRequest, UpstreamUnavailable
from shared.bootstrap import MEMORY_ENVIRONMENT
from shared.kernel.settings import SettingsError, UpstreamSettings, parse_settings
from shared.platform.memory.chat_model import ScriptedChatModel


def asked(upstream):
    return ChatRequest(model="m", messages=(), max_output_tokens=1, upstream=upstream)


def upstreams_of(**env):
    return parse_settings({**MEMORY_ENVIRONMENT, **env}).ai_upstreams


def test_each_model_is_asked_where_it_is():
    default, other = ScriptedChatModel(), ScriptedChatModel()
    upstreams = Upstreams({"default": default, "other": other})

    for name in ("default", "other", "other"):
        list(upstreams.stream(asked(name)))

    assert (len(default.requests), len(other.requests)) == (1, 2)


def test_a_model_of_an_upstream_that_is_not_set_up_is_not_available():
    with pytest.raises(UpstreamUnavailable):
        Upstreams({"default": ScriptedChatModel()}).stream(asked("other"))


def test_there_is_one_upstream_unless_told_otherwise():
    assert upstreams_of() == ()


def test_upstreams_have_a_name_an_address_and_perhaps_a_key():
    told = upstreams_of(
        AI_UPSTREAMS="router=https://router.example/api/v1, on-prem=http://10.0.0.5:8000",
        AI_UPSTREAM_ROUTER_API_KEY="sk-1",
    )

    assert told == (
        UpstreamSettings(name="router", base_url="https://router.example/api/v1", api_key="sk-1"),
        UpstreamSettings(name="on-prem", base_url="http://10.0.0.5:8000/v1", api_key=""),
    )
    assert "sk-1" not in repr(told)


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"AI_UPSTREAMS": "default=https://a.example"}, "must be name=url"),
        ({"AI_UPSTREAMS": "Router=https://a.example"}, "must be name=url"),
        ({"AI_UPSTREAMS": "a_b=https://a.example"}, "must be name=url"),
        ({"AI_UPSTREAMS": "https://a.example"}, "must be name=url"),
        ({"AI_UPSTREAMS": "a=https://a.example,a=https://b.example"}, "names the same upstream twice"),
        ({"AI_UPSTREAMS": "a=ftp://a.example"}, "must be an http(s) URL"),
        ({"AI_UPSTREAMS": "a="}, "must be an http(s) URL"),
        ({"AI_UPSTREAM_ROUTR_API_KEY": "sk-secret"}, "has no upstream for AI_UPSTREAM_ROUTR_API_KEY"),
        ({"AI_UPSTREAM_ROUTR_PROFILE": "openai"}, "has no upstream for AI_UPSTREAM_ROUTR_PROFILE"),
        (
            {"AI_UPSTREAMS": "a=https://a.example", "AI_UPSTREAM_A_PROFILE": "OpenAI"},
            "names no known profile; known are",
        ),
    ],
)
def test_a_slip_of_the_pen_is_named_without_the_secret(env, problem):
    with pytest.raises(SettingsError) as refusal:
        upstreams_of(**env)

    assert f"AI_UPSTREAMS {problem}" in str(refusal.value)
    assert "sk-secret" not in str(refusal.value)
