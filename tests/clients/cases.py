"""The five cases that every client plays, and the answers that prove each of them.

A script of a client has a function for each case. It takes the JSON that `told` builds and returns:

    plain       the text of one answer
    stream      the pieces of one streamed answer, in order
    tool_loop   {"calls": [arguments of each call of the tool `weather`], "text": the answer behind them}
    structured  the object that the client parsed, of the schema {"city": string, "days": integer}
    two_turns   the texts of two answers; the second question is asked in the conversation of the first
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.upstream import REPLY

CASES = {
    "plain": "plain",
    "stream": "stream",
    "tool_loop": "tool loop",
    "structured": "structured output",
    "two_turns": "two turns",
}
"""Names of the cases, each with its heading on the page."""
MODEL = "gpt-4o-mini"
PLACE = {"city": "Paris"}
TRIP = {"city": "text", "days": 1}
"""The stand-in provider's instance of the schema."""
CALL_WEATHER = json.dumps({"tool_calls": [{"name": "weather", "arguments": PLACE}]})
SILENCE_MS = 17_000
"""Longer than the time after which a stream that is silent is kept alive by a comment."""
ASK = {
    "plain": "Say something",
    "tool_loop": f"What is the weather in Paris? <<stand-in {CALL_WEATHER}>>",
    "structured": "Plan a trip",
    "first": "Say something first",
    "second": "Say something second",
    "silence": f"Say something late <<stand-in {json.dumps({'think_ms': SILENCE_MS})}>>",
}


def told(base_url: str, api_key: str) -> dict[str, Any]:
    """Build the JSON that every script is given."""
    return {"base_url": base_url, "api_key": api_key, "model": MODEL, "ask": ASK, "reply": REPLY}


def fault_of(case: str, got: Any, asked: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why `got` does not prove the case, None if it does. `asked`: the requests that reached the provider."""
    if got != _expected(case, got):
        return f"expected {_expected(case, got)!r}, got {got!r}"
    if case == "two_turns" and not any(_holds_both_turns(request["body"]) for request in asked):
        return "no request held the first question, its answer and the second question"
    return None


def _expected(case: str, got: Any) -> Any:
    if case == "stream":
        is_streamed = isinstance(got, list) and len(got) > 1 and "".join(got) == REPLY
        return got if is_streamed else "pieces of the answer"
    return {
        "plain": REPLY,
        "tool_loop": {"calls": [PLACE], "text": REPLY},
        "structured": TRIP,
        "two_turns": [REPLY, REPLY],
    }[case]


def _holds_both_turns(body: Mapping[str, Any]) -> bool:
    """Whether the second turn reached the provider with the whole of the first."""
    said = json.dumps(body, ensure_ascii=False)
    at = [said.find(text) for text in (ASK["first"], REPLY, ASK["second"])]
    return -1 not in at and at == sorted(at)
