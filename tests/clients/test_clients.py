"""Clients that others wrote work unchanged with an API key and a base URL, and everything they do is paid for."""

import sys

import pytest

from emulator.upstream import REPLY

TRIP = {"city": "text", "days": 1}


def is_paid(credits_: dict) -> bool:
    """Whether an answer says what it cost and what is left."""
    return float(credits_["cost"]) > 0 and float(credits_["available"]) > 0 and credits_["estimated"] is False


def check_openai_sdk(told: dict) -> None:
    """What both of OpenAI's SDKs get alike."""
    assert (told["plain"]["text"], told["plain"]["finish"]) == (REPLY, "stop")
    assert told["plain"]["cost"] == told["plain"]["credits"]["cost"]
    assert is_paid(told["plain"]["credits"])
    assert told["streamed"]["text"] == REPLY
    assert told["streamed"]["usage"] == told["plain"]["usage"] > 0
    assert is_paid(told["streamed"]["credits"])
    assert (told["tools"]["finish"], told["tools"]["arguments"], told["tools"]["text"]) == ("tool_calls", TRIP, REPLY)
    assert told["schema"] == TRIP
    assert told["embeddings"]["sizes"] == [8, 8]
    assert {"gpt-4o-mini", "text-embedding-3-small"} <= set(told["models"])
    assert told["errors"]["nobody"] == ["AuthenticationError", 401, "invalid_api_key"]
    assert told["errors"]["no_model"] == ["NotFoundError", 404, "model_not_found"]
    assert told["errors"]["too_dear"][1:] == [402, "insufficient_credits"]


def check_openai_for_python(told: dict) -> None:
    check_openai_sdk(told)
    assert told["streamed"]["chunks"] > 30
    assert told["streamed_tools"] == TRIP
    assert (told["vision"]["finish"], len(told["vision"]["text"].split())) == ("length", 5)
    assert (told["response"]["text"], told["response"]["status"]) == (REPLY, "completed")
    assert is_paid(told["response"]["credits"])
    assert told["streamed_response"] == {"text": REPLY, "final": REPLY, "arguments": TRIP}
    assert told["errors"]["no_sense"] == ["BadRequestError", 400, "invalid_value"]


@pytest.mark.slow
def test_openais_sdk_for_python(counter):
    told = counter.python(sys.executable, "openai_sdk.py")

    check_openai_for_python(told)
    assert counter.spent > 0
    counter.check_books()


@pytest.mark.slow
def test_openais_sdk_for_node(counter):
    told = counter.node("openai_sdk.mjs")

    check_openai_sdk(told)
    assert told["helper"]["text"] == REPLY
    assert (told["response"]["text"], told["response"]["streamed"]) == (REPLY, REPLY)
    assert told["response"]["last"] == "response.completed"
    assert is_paid(told["response"]["credits"])
    assert counter.spent > 0
    counter.check_books()
