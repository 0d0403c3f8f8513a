"""Stopping an answer on the playground, through the emulator: page, message, entry and balance say one number."""

import os
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from emulator.seed import seed_models
from shared.bootstrap import production
from shared.kernel.settings import parse_settings
from shared.sagas.metering.ending import COUNTING_ERROR
from tests.support.emulators import ENDING, TEST_SEED
from tests.support.node import run_script
from tests.support.questions import numbered

SCRIPT = Path(__file__).parent / "js" / "stop.mjs"
SECONDS_MAX = 600
READ, WORDS = 20, 225
DELAY_MS = 60
BONUS = 1_000
HEARD_CHUNKS_MAX = 8_000 // DELAY_MS
"""Chunks that come while the button is pressed, the request is on its way, and the connection is closed, also on a
busy machine.
"""
MODEL = {
    "kind": "chat",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "2",
    "context_window": 8_000,
    "max_output_tokens": 1_000,
    "expected_output_tokens": 40,
    "capabilities": ["chat", "streaming"],
}
"""A token costs 0.0001 credits going in and 0.0002 coming out."""
SAVES, SAVES_NOTHING = "stop-saves", "stop-saves-nothing"


@pytest.fixture(scope="module")
def stopped(suite, suite_upstream, browser):
    """What the page said of two stopped turns, and what the provider billed for each."""
    seed_models(suite.project)
    settings = {"GCLOUD_PROJECT": suite.project, "LEDGER_SIGNING_KEY": f"test-1:{TEST_SEED}"}
    catalogue = production(parse_settings({**os.environ, **settings})).models.catalogue
    catalogue.put(SAVES, {**MODEL, "display_name": "Ends with a stop", "upstream": ENDING})
    catalogue.put(SAVES_NOTHING, {**MODEL, "display_name": "Goes on after a stop"})
    questions = {model: numbered("Stop me") for model in (SAVES, SAVES_NOTHING)}
    for model, question in questions.items():
        reply = " word" * WORDS
        suite_upstream.script(contains=question, reply=reply, delay_ms=DELAY_MS, ends=model == SAVES)
    seen = run_script(
        SCRIPT,
        {
            "chromium": browser,
            "docsUrl": f"{suite.endpoints.api}/v1/docs",
            "email": f"stop-{uuid.uuid4().hex[:8]}@example.com",
            "words": READ,
            "turns": [{"model": model, "question": question} for model, question in questions.items()],
            "screenshots": os.environ.get("SCREENSHOTS"),
        },
        timeout_seconds=SECONDS_MAX,
    )
    assert seen["errors"] == []
    bills = [_bill(suite_upstream, question) for question in questions.values()]
    return dict(zip(questions, zip(seen["turns"], bills, strict=True), strict=True))


def _bill(upstream, question):
    chats = [each for each in upstream.requests if "messages" in each["body"]]
    (asked,) = [each for each in chats if each["body"]["messages"][-1]["content"] == question]
    return asked["bill"]


def _cost(bill):
    return Decimal(bill["input_tokens"]) / 10_000 + Decimal(bill["output_tokens"]) / 5_000


def _said(turn):
    return Decimal(turn["told"].removesuffix(" credits"))


def test_where_a_stop_ends_the_bill_what_was_read_is_charged(stopped):
    turn, bill = stopped[SAVES]

    assert READ <= bill["output_tokens"] <= READ + HEARD_CHUNKS_MAX
    assert _cost(bill) <= _said(turn) <= _cost(bill) * Decimal(1 + 2 * float(COUNTING_ERROR))
    assert turn["note"] is False


def test_where_a_stop_saves_nothing_the_page_says_so_and_all_is_charged(stopped):
    turn, bill = stopped[SAVES_NOTHING]

    assert bill["output_tokens"] == WORDS
    assert _said(turn) == _cost(bill)
    assert turn["note"] is True
    at_most = turn["atMost"].removeprefix("At most ").removesuffix(" credits")
    assert _said(turn) <= Decimal(at_most) < BONUS


@pytest.mark.parametrize("model", [SAVES, SAVES_NOTHING])
def test_page_message_entry_and_balance_say_the_same_number(stopped, model):
    turn, _ = stopped[model]

    said = _said(turn)
    assert Decimal(turn["message"]["cost"]) == said
    assert Decimal(turn["entry"]["amount"]) == -said
    assert turn["message"]["content"].strip() == turn["text"].strip()
    assert turn["message"]["finish_reason"] == "stopped"
    before = Decimal(BONUS) - (Decimal(0) if model == SAVES else _said(stopped[SAVES][0]))
    assert (Decimal(turn["available"]), turn["held"]) == (before - said, "0")
    assert Decimal(turn["shownAvailable"].replace("\u202f", "")) == Decimal(turn["available"])
