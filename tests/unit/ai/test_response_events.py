"""Events of a response: whatever they bring is metered, and nothing twice."""

import pytest

from shared.ai.openai.responses import Responses
from shared.ai.ports import HiddenDelta, RawDelta
from shared.ai.tokens import expected_tokens

WORDS = "word " * 50
ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": WORDS}]}


def metered(*raws):
    """All that is counted of these events of one answer."""
    reader = Responses().reader({}, "auto")
    return "".join(e.text for raw in raws for e in reader.events(raw) if isinstance(e, RawDelta | HiddenDelta))


def done(item=ITEM):
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


def completed(item=ITEM):
    return {"type": "response.completed", "response": {"object": "response", "status": "completed", "output": [item]}}


def delta(text):
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}


@pytest.mark.parametrize(
    "events",
    [
        [delta(WORDS), done(), completed()],
        [delta(WORDS[:20]), done(), completed()],
        [done(), completed()],
        [completed()],
        [{"object": "response", "status": "completed", "output": [ITEM]}],
    ],
)
def test_text_is_metered_once_however_it_comes(events):
    assert metered(*events) == WORDS


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.unheard_of.delta", "output_index": 0, "delta": {"deep": WORDS}},
        {"type": "response.unheard_of", "value": WORDS},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": WORDS},
    ],
)
def test_event_that_nobody_knows_is_metered_by_its_size(event):
    assert expected_tokens(metered(event)) >= 50


def test_event_that_announces_is_free():
    assert metered({"type": "response.created", "response": {"instructions": WORDS}}) == ""
