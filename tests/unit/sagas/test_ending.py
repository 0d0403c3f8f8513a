"""Which way a call's money ends: a pure decision, row by row."""

import pytest

from shared.ai.models.profiles import UpstreamProfile
from shared.sagas.metering.ending import Ending, Sight, ending_of

ENDS, GOES_ON = UpstreamProfile(abort_ends_billing=True), UpstreamProfile(abort_ends_billing=False)


@pytest.mark.parametrize(
    ("seen", "at_openai", "elsewhere"),
    [
        ({}, Ending.COUNTED, Ending.READ_ON),
        ({"has_hidden_output": True}, Ending.READ_ON, Ending.READ_ON),
        ({"is_input_bounded": False}, Ending.READ_ON, Ending.READ_ON),
        ({"is_output_counted": False}, Ending.READ_ON, Ending.READ_ON),
        ({"is_behind": True}, Ending.READ_ON, Ending.READ_ON),
        ({"has_hidden_output": True, "is_reported": True}, Ending.COUNTED, Ending.READ_ON),
        ({"is_readable": False}, Ending.COUNTED, Ending.BOUND),
        ({"is_readable": False, "has_hidden_output": True}, Ending.BOUND, Ending.BOUND),
        ({"is_readable": False, "is_streamed": False}, Ending.BOUND, Ending.BOUND),
        ({"is_over": True}, Ending.READ_ON, Ending.READ_ON),
        ({"is_over": True, "is_reported": True}, Ending.REPORTED, Ending.REPORTED),
        ({"is_over": True, "is_readable": False}, Ending.COUNTED, Ending.COUNTED),
        ({"is_over": True, "is_readable": False, "is_streamed": False}, Ending.COUNTED, Ending.COUNTED),
        ({"is_over": True, "is_readable": False, "has_hidden_output": True}, Ending.BOUND, Ending.BOUND),
        ({"is_over": True, "is_readable": False, "is_input_bounded": False}, Ending.BOUND, Ending.BOUND),
    ],
)
def test_a_call_ends_by_what_was_seen_and_who_provides_it(seen, at_openai, elsewhere):
    sight = Sight(**seen)

    assert (ending_of(sight, ENDS), ending_of(sight, GOES_ON)) == (at_openai, elsewhere)
