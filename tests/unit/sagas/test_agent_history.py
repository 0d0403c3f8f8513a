"""Thoughts that go back to their provider: as they came, with ids that answer their calls."""

import json
from typing import Any

import pytest

from shared.ai.agents.task import TaskStep
from shared.ai.agents.thinking import ThinkingMessage
from shared.sagas.agents.prompt import _cut, _rounds


def signed(own_id: object) -> dict[str, Any]:
    """A call with its provider's signature."""
    function = {"name": "calculator", "arguments": '{"expression": "2+3"}'}
    signature = {"google": {"thought_signature": "c2ln"}}
    return {"id": own_id, "type": "function", "function": function, "extra_content": signature}


def message(*ids: object) -> dict[str, Any]:
    """A message that a provider wants back unchanged."""
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I compute."}]
    calls = [signed(own_id) for own_id in ids]
    return {"role": "assistant", "content": content, "reasoning_content": "2 and 3", "tool_calls": calls}


def thought(number: int, raw: object, calls: int = 1) -> list[TaskStep]:
    """A recorded thought with its acts, each observed."""
    body = {"text": "I compute.", **({"message": json.dumps(raw)} if raw is not None else {})}
    steps = [TaskStep(number=number, kind="think", at=0, body=body)]
    for each in range(number + 1, number + 1 + calls):
        act = {"tool": "calculator", "arguments": "{}", "thought": number}
        steps.append(TaskStep(number=each, kind="act", at=0, body=act))
        steps.append(TaskStep(number=100 + each, kind="observe", at=0, body={"act": each, "text": "5"}))
    return steps


def test_message_goes_back_unchanged_to_its_provider():
    raw = message("function-call-1", "function-call-2")

    (said, *answers) = _rounds(thought(1, raw, calls=2))[0]

    assert said.raw == raw
    assert [answer.call_id for answer in answers] == ["function-call-1", "function-call-2"]


@pytest.mark.parametrize("ids", [("", ""), (None, None), ("same", "same")])
def test_calls_without_an_id_of_their_own_get_one(ids):
    (said, *answers) = _rounds(thought(1, message(*ids), calls=2))[0]

    sent = [call["id"] for call in (said.raw or {})["tool_calls"]]
    assert sent == [answer.call_id for answer in answers]
    assert len(set(sent)) == 2
    assert (said.raw or {})["tool_calls"][1]["extra_content"] == signed("x")["extra_content"]


def test_ids_that_a_provider_repeats_are_told_apart_in_later_rounds():
    first, second = _rounds([*thought(1, message("call_0")), *thought(10, message("call_0"))])

    assert [first[1].call_id, second[1].call_id] == ["call_0", "call_11"]


def test_thought_stored_without_its_message_is_put_together():
    (said, answer) = _rounds(thought(1, None))[0]

    assert (said.raw, [call.id for call in said.calls], answer.call_id) == (None, ["call_2"], "call_2")


def test_message_that_has_no_room_is_cut():
    said = ThinkingMessage(role="assistant", content="x", raw={"content": "x", "reasoning_content": "y" * 10_000})

    assert _cut([said], 100)[0].raw is None
