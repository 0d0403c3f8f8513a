"""States of parts: what a look changes, when an alert is due, and the text that the board stores."""

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.sagas.health.parts import ALERT_AFTER, PartState, after_look, from_text, is_alert_due, to_text

NOW = 1_700_000_000_000


def test_part_keeps_the_time_of_its_first_failed_look():
    first = after_look(None, "identity_unavailable", NOW)
    second = after_look(first, "no_answer", NOW + MINUTE)

    assert second == PartState(code="no_answer", since=NOW)


def test_part_that_answers_again_begins_a_new_state():
    down = PartState(code="no_answer", since=NOW, is_alerted=True)

    assert after_look(down, "", NOW + MINUTE) == PartState(code="", since=NOW + MINUTE)


@pytest.mark.parametrize(("waited", "is_due"), [(0, False), (ALERT_AFTER - 1, False), (ALERT_AFTER, True)])
def test_alert_is_due_after_a_minute_of_silence(waited, is_due):
    assert is_alert_due(PartState(code="no_answer", since=NOW), NOW + waited) is is_due
    assert not is_alert_due(PartState(code="", since=NOW), NOW + waited)


def test_states_survive_the_board_s_text():
    states = {
        "identity": PartState(code="", since=NOW),
        "upstream:eu": PartState(code="upstream_unavailable", since=NOW + SECOND, is_alerted=True),
    }

    assert from_text(to_text(states)) == states


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"identity": 1}', '{"identity": ["", "1", false]}', '{"a": [1, 2, 3]}', "[" * 5_000],
)
def test_strange_text_on_the_board_is_no_state(text):
    assert from_text(text) == {}
