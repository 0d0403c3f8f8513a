"""What a client's answer must be to prove a case, and how the stand-in provider plays the tool loop."""

import pytest

from emulator.provider.journal import State
from emulator.upstream import REPLY
from tests.clients.cases import ASK, PLACE, TRIP, fault_of

QUESTION = {"role": "user", "content": ASK["tool_loop"]}
CALL = {"role": "assistant", "tool_calls": [{"id": "call_1"}]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
BOTH_TURNS = {"body": {"messages": [ASK["first"], REPLY, ASK["second"]]}}
PROOFS = {
    "plain": REPLY,
    "stream": [REPLY[:9], REPLY[9:]],
    "tool_loop": {"calls": [PLACE], "text": REPLY},
    "structured": TRIP,
    "two_turns": [REPLY, REPLY],
}


TOOLS = [{"type": "function", "function": {"name": "weather"}}]


def calls_for(**body) -> list:
    return State().take({"tools": TOOLS, **body}).get("tool_calls", [])


def test_stand_in_calls_the_tool_until_its_result_is_there():
    first, again = calls_for(messages=[QUESTION]), calls_for(messages=[QUESTION, CALL, RESULT])
    items = [QUESTION, {"type": "function_call_output", "output": "sunny"}]

    assert [call["arguments"] for call in first] == [PLACE]
    assert (again, calls_for(input=items)) == ([], [])


def test_stand_in_calls_the_tool_again_for_a_later_question():
    assert calls_for(messages=[QUESTION, CALL, RESULT, QUESTION]) == calls_for(messages=[QUESTION])


@pytest.mark.parametrize(("case", "got"), PROOFS.items())
def test_case_is_proved_by_the_whole_answer(case, got):
    assert fault_of(case, got, [BOTH_TURNS]) is None


@pytest.mark.parametrize(
    ("case", "got"),
    [
        ("plain", REPLY[:-1]),
        ("stream", [REPLY]),
        ("stream", [REPLY, REPLY]),
        ("tool_loop", {"calls": [], "text": REPLY}),
        ("tool_loop", {"calls": [PLACE, PLACE], "text": REPLY}),
        ("structured", {"city": "text"}),
        ("two_turns", [REPLY]),
    ],
)
def test_case_is_not_proved_by_a_part_of_the_answer(case, got):
    assert fault_of(case, got, [BOTH_TURNS]) is not None


@pytest.mark.parametrize("said", [[ASK["second"]], [ASK["second"], REPLY, ASK["first"]]])
def test_second_turn_must_reach_the_provider_behind_the_first(said):
    assert fault_of("two_turns", [REPLY, REPLY], [{"body": {"messages": said}}]) is not None
