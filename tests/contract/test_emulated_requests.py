"""Requests that the functions emulator sends to a worker which has just closed an idle connection."""

from pathlib import Path

from emulator import tools
from tests.support.node import run_script

SCRIPT = Path(__file__).parent.parent / "support" / "closing.mjs"
REQUESTS = 5
SECONDS_MAX = 120


def test_a_request_never_goes_over_a_connection_that_its_worker_may_be_closing():
    outcomes = run_script(SCRIPT, {"requests": REQUESTS}, timeout_seconds=SECONDS_MAX, node=tools.emulator_node())

    assert outcomes == [200] * REQUESTS


def test_by_itself_node_sends_the_next_request_into_the_closing_one():
    outcomes = run_script(SCRIPT, {"requests": REQUESTS}, timeout_seconds=SECONDS_MAX)

    assert "ECONNRESET" in outcomes
