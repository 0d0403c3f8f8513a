"""The API reference and the playground, as a person with a browser meets them."""

import os
import re
import uuid
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from emulator.seed import seed_models
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "pages.mjs"
SECONDS_MAX = 600
QUESTION = "Tell me something, slowly."
PICTURE = "A kingfisher over still water"
CHUNK_DELAY_MS = 100
PAINTING_MS = 2_000
"""So slow that a busy machine's browser still shows each of the states on the way."""


@pytest.fixture(scope="module")
def pages(suite, suite_upstream, browser):
    seed_models(suite.project)
    suite_upstream.script(contains=QUESTION, delay_ms=CHUNK_DELAY_MS, times=0)
    suite_upstream.script(contains=PICTURE, think_ms=PAINTING_MS)
    suite_upstream.script(contains=PICTURE, think_ms=PAINTING_MS, error={"status": 503, "message": "busy"})
    suite_upstream.script(contains=PICTURE, think_ms=PAINTING_MS)
    return run_script(
        SCRIPT,
        {
            "chromium": browser,
            "docsUrl": f"{suite.endpoints.api}/v1/docs",
            "email": f"page-{uuid.uuid4().hex[:8]}@example.com",
            "question": QUESTION,
            "picture": PICTURE,
            "screenshots": os.environ.get("SCREENSHOTS"),
        },
        timeout_seconds=SECONDS_MAX,
    )


def test_the_reference_shows_every_operation_and_asks_no_other_host(pages, suite):
    assert pages["swagger"]["operations"] > 20
    assert _hosts(pages["swagger"]) == {_host(suite.endpoints.api)}


def test_who_signs_in_on_the_reference_tries_calls_as_that_user(pages, suite):
    assert (pages["reference"]["status"], pages["reference"]["isOut"]) == ("200", True)
    assert _hosts(pages["reference"]) == {_host(suite.endpoints.api), _host(suite.endpoints.auth)}


def test_the_playground_talks_to_this_backend_only(pages, suite):
    endpoints = suite.endpoints
    assert _hosts(pages["playground"]) == {_host(url) for url in (endpoints.api, endpoints.auth, endpoints.firestore)}


def test_no_page_has_an_error_in_its_console(pages):
    errors = {name: page["errors"] for name, page in pages.items()}

    assert errors == {"swagger": [], "reference": [], "playground": [], "phone": [], "guest": [], "painter": []}


def test_the_playground_shows_the_balance_live(pages):
    seen = pages["playground"]
    (cost,) = re.findall(r"(\d\.\d+) credits", seen["said"])

    assert (_credits(seen["atFirst"]), _credits(seen["withBonus"])) == (0, 1000)
    assert _credits(seen["whileHeld"]) < _credits(seen["atLast"])
    assert _credits(seen["atLast"]) == 1000 - Decimal(cost)
    assert (seen["live"].lower(), seen["held"]) == ("live", "0")


def test_the_charts_show_what_the_message_cost(pages):
    seen = pages["playground"]
    (cost,) = re.findall(r"(\d\.\d+) credits", seen["said"])

    use = seen["use"]
    assert _credits(use["cost"]) == Decimal(cost)
    assert use["count"] == "credits · 1 call"
    assert (use["columns"], use["bars"]) == (30, 1)
    assert use["told"].endswith(f": {cost} credits, 1 call")
    (model,) = use["models"]
    assert cost in model


def test_on_a_phone_nothing_is_wider_than_the_screen_and_all_of_it_works(pages):
    seen = pages["phone"]

    assert seen["widths"] == {"chat": 0, "money": 0, "side": 0}
    first = _credits(pages["playground"]["use"]["cost"])
    assert _credits(seen["use"]["cost"]) == first + _credits(seen["cost"])
    assert (seen["use"]["bars"], seen["use"]["count"]) == (1, "credits · 2 calls")


def test_a_guest_may_look_but_not_spend(pages):
    assert pages["guest"]["isBonusOffered"] is False
    assert _credits(pages["guest"]["available"]) == 0


def test_the_playground_shows_the_answer_as_it_streams(pages):
    lengths = pages["playground"]["lengths"]

    assert QUESTION in pages["playground"]["said"]
    assert len(set(lengths)) > 5


def test_the_playground_shows_images_as_they_are_made(pages):
    seen = pages["painter"]

    assert seen["statuses"][0] == "queued"
    assert {"0 of 3", "1 of 3", "2 of 3"} <= set(seen["statuses"])
    assert seen["statuses"][-1] == "done · 8.4 credits"
    assert seen["tiles"] == ["", "upstream unavailable", ""]
    assert seen["inGallery"] == 2
    assert seen["facts"].startswith("1024 × 1024 · ")
    assert (seen["isWide"], seen["isChatShown"]) == (False, True)


def test_no_image_can_be_asked_for_before_the_models_are_listed(pages):
    assert pages["painter"]["isOfferedEarly"] is False


def _host(url):
    return urlsplit(url).netloc


def _hosts(page):
    return {_host(url) for url in page["requests"] if not url.startswith(("data:", "blob:"))}


def _credits(text):
    return Decimal("".join(character for character in text if character in "0123456789.-"))
