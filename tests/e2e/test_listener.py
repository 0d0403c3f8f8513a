"""An app made with the Firebase JS SDK: it signs up, calls the API, and its listener shows what a chat costs."""

from pathlib import Path

import pytest

from emulator.seed import seed_models
from shared.kernel.money import format_credits
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "app.mjs"
SECONDS_MAX = 300
BONUS = 1_000_000_000


QUESTION = "What does this cost me?"
CHUNK_DELAY_MS = 50
"""So slow that a listener sees what is held meanwhile: it may skip a state that lasts no time."""


@pytest.fixture(scope="module")
def story(suite, suite_upstream):
    seed_models(suite.project)
    suite_upstream.script(contains=QUESTION, delay_ms=CHUNK_DELAY_MS)
    endpoints = suite.endpoints
    return run_script(
        SCRIPT,
        {
            "project": suite.project,
            "authUrl": endpoints.auth,
            "firestoreUrl": endpoints.firestore,
            "apiUrl": endpoints.api,
            "question": QUESTION,
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_the_listener_shows_the_account_from_before_it_exists(story):
    states = [state["available"] for state in story["seen"] if state["exists"]]

    assert story["seen"][0] == {"exists": False, "fromCache": False}
    assert format_credits(BONUS) in states


def test_the_listener_shows_the_charge_of_a_chat_exactly(story):
    last = story["seen"][-1]

    assert story["cost"] > 0
    assert story["spent"] == story["cost"]
    assert {name: last[name] for name in ("available", "held", "debt", "status", "seq")} == {
        "available": story["after"]["available"],
        "held": "0",
        "debt": "0",
        "status": "open",
        "seq": story["after"]["seq"],
    }


def test_the_listener_shows_the_hold_while_the_model_answers(story):
    assert any(state["exists"] and state["held"] != "0" for state in story["seen"])


def test_no_state_shown_ever_goes_back(story):
    numbers = [state["seq"] for state in story["seen"] if state["exists"]]

    assert numbers == sorted(set(numbers))


def test_the_app_reads_its_conversation_and_what_is_on_offer(story):
    assert story["messages"] == ["user", "assistant"]
    assert story["conversations"] == [{**told, "uid": story["uid"], "schema_version": 2} for told in story["told"]]
    assert [told["title"] for told in story["told"]] == ["From an app"]
    assert story["models"] > 0


def test_the_app_writes_nothing(story):
    assert set(story["refused"]) == {"minting", "messages", "models", "everybody"}
    assert set(story["refused"].values()) == {"permission-denied"}
