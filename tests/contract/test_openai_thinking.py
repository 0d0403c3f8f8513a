"""A model with tools through the real SDK, against the stand-in provider over HTTP."""

import pytest

from shared.ai.agents.thinking import Thinkers, ThinkingMessage, ThinkRequest, Thought, ToolCall, ToolSpec
from shared.ai.ports import UpstreamMisconfigured, UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.platform.openai.thinking import OpenAIThinkingModel
from shared.platform.openai.upstream import OpenAIUpstream

TOOL = ToolSpec(
    name="calculator",
    description="Computes.",
    parameters={"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)
CALL = ToolCall(id="call_7", name="calculator", arguments='{"expression": "1+1"}')


def request(**fields):
    wanted = {
        "model": "gpt-4o-mini",
        "messages": (
            ThinkingMessage(role="system", content="You compute."),
            ThinkingMessage(role="user", content="What is 1+1?"),
            ThinkingMessage(role="assistant", content="", calls=(CALL,)),
            ThinkingMessage(role="tool", content="2", call_id="call_7"),
        ),
        "tools": (TOOL,),
        "max_output_tokens": 50,
    }
    return ThinkRequest(**{**wanted, **fields})


@pytest.fixture
def model(upstream):
    made = OpenAIThinkingModel(OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test"))
    yield made
    made.close()


def test_the_conversation_and_the_tools_are_sent_as_the_provider_knows_them(model, upstream):
    model.think(request())

    (seen,) = upstream.requests
    assert seen["body"] == {
        "model": "gpt-4o-mini",
        "max_tokens": 50,
        "messages": [
            {"role": "system", "content": "You compute."},
            {"role": "user", "content": "What is 1+1?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "call_7",
                        "type": "function",
                        "function": {"name": "calculator", "arguments": '{"expression": "1+1"}'},
                    }
                ],
            },
            {"role": "tool", "content": "2", "tool_call_id": "call_7"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "calculator", "description": "Computes.", "parameters": TOOL.parameters},
            }
        ],
    }


def test_text_is_an_answer(model, upstream):
    upstream.script(reply="It is 2.", usage={"prompt_tokens": 9, "completion_tokens": 3})

    assert model.think(request()) == Thought(
        text="It is 2.", usage=Usage(input_tokens=9, output_tokens=3), finish_reason="stop"
    )


def test_tool_calls_come_with_their_arguments(model, upstream):
    upstream.script(tool_calls=[{"name": "calculator", "arguments": {"expression": "2*2"}}, {"name": "other"}])

    thought = model.think(request())

    assert [(call.name, call.arguments) for call in thought.calls] == [
        ("calculator", '{"expression": "2*2"}'),
        ("other", "{}"),
    ]
    assert (thought.text, thought.finish_reason) == ("", "tool_calls")


def test_usage_that_is_not_reported_is_none(model, upstream):
    upstream.script(reply="x", usage=None)

    assert model.think(request()).usage is None


def test_limit_of_an_unknown_upstream_has_the_older_name(model, upstream):
    model.think(request(is_reasoning=True, tools=()))

    assert upstream.requests[0]["body"]["max_tokens"] == 50
    assert "tools" not in upstream.requests[0]["body"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, UpstreamRejected), (401, UpstreamMisconfigured), (429, UpstreamUnavailable), (500, UpstreamUnavailable)],
)
def test_a_failure_is_told_by_its_kind_and_never_tried_twice(model, upstream, status, error):
    upstream.script(error={"status": status, "message": "no"})

    with pytest.raises(error):
        model.think(request())
    assert len(upstream.requests) == 1


def test_an_answer_that_never_comes_is_given_up(upstream):
    upstream.script(reply="late", delay_ms=600_000)
    model = OpenAIThinkingModel(OpenAIUpstream(base_url=f"{upstream.url}/v1", api_key="sk-test"), seconds=0.3)

    with pytest.raises(UpstreamTimedOut):
        model.think(request())
    model.close()


def test_a_model_is_asked_where_it_is_and_nowhere_else(model, upstream):
    other = OpenAIThinkingModel(OpenAIUpstream(base_url="http://127.0.0.1:1/v1", api_key="k"))
    thinkers = Thinkers({"default": model, "other": other})

    assert thinkers.think(request()).text
    for name in ("other", "none"):
        with pytest.raises(UpstreamUnavailable):
            thinkers.think(request(upstream=name))
    assert len(upstream.requests) == 1
