"""A user's first minutes in a real browser under production's defaults, App Check enforced."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.payment_providers import payment_providers
from emulator.seed import seed_models, seed_packages
from emulator.suite import EMULATORS, Suite
from emulator.upstream import Upstream
from emulator.walk import app_check_token
from shared.bootstrap.schemas import SCHEMAS
from shared.kernel.documents import Query
from shared.kernel.schemas import SCHEMA_VERSION, kind_of
from shared.platform.firestore.documents import connect
from tests.conftest import unique_project
from tests.rules.table import COLLECTIONS
from tests.support.emulators import laptop_settings, running
from tests.support.node import run_script

SCRIPT = Path(__file__).parent / "js" / "first_minutes.mjs"
SECONDS_MAX = 600
QUESTION = "Tell me something, slowly."
CHUNK_DELAY_MS = 400
PRODUCTION = {"WELCOME_BONUS_REQUIRES": "verified", "APP_CHECK": "enforce"}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, suite_upstream: Upstream) -> Iterator[Suite]:
    """The whole backend with production's conditions."""
    with contextlib.ExitStack() as stack:
        payments = payment_providers(stack, {}, {"stripe": 0, "paypal": 0}, tmp_path_factory.mktemp("payments"))
        settings = {**laptop_settings(upstream=suite_upstream), **payments.settings, **PRODUCTION}
        home = tmp_path_factory.mktemp("first-minutes")
        suite = Suite(home=home, only=EMULATORS, project=unique_project(), settings=settings)
        whole = stack.enter_context(running(suite))
        payments.deliver_to(whole.endpoints.functions)
        yield whole


@pytest.fixture(scope="module")
def seen(suite: Suite, suite_upstream: Upstream, browser: str) -> dict[str, Any]:
    seed_models(suite.project)
    seed_packages(suite.project)
    suite_upstream.script(contains=QUESTION, delay_ms=CHUNK_DELAY_MS, times=0)
    given = {
        "chromium": browser,
        "docsUrl": f"{suite.endpoints.api}/v1/docs",
        "apiUrl": suite.endpoints.api,
        "authUrl": suite.endpoints.auth,
        "project": suite.project,
        "email": f"first-{uuid.uuid4().hex[:8]}@shop.example",
        "question": QUESTION,
        "appCheck": app_check_token(suite.project),
        "screenshots": os.environ.get("SCREENSHOTS"),
    }
    found: dict[str, Any] = run_script(SCRIPT, given, timeout_seconds=SECONDS_MAX)
    return found


def test_a_new_user_is_offered_the_bonus_and_told_so(seen):
    assert "1\u202f000 credits" in seen["signUp"]["offer"]
    assert "Claim your welcome bonus" in seen["signUp"]["advice"]


def test_a_refused_message_leaves_no_conversation(seen):
    assert "Your welcome bonus waits under Credits" in seen["refusedMessage"]["told"]
    assert "Untitled" not in seen["refusedMessage"]["threads"]


def test_the_bonus_is_claimed_once_the_link_was_opened(seen):
    verified = seen["verify"]

    assert "@shop.example" in verified["told"]
    assert verified["mails"][1] > verified["mails"][0]
    assert (verified["balance"], verified["isSameVisit"]) == ("1\u202f000", True)


def test_who_cancels_is_told_and_pays_afterwards(seen):
    assert seen["cancel"]["balance"] == "1\u202f000"
    assert seen["cancel"]["told"].startswith("Cancelled")
    assert "Try again" in seen["cancel"]["told"]
    assert seen["pay"]["told"].startswith("Paid")
    assert seen["pay"]["before"] == "1\u202f000" != seen["pay"]["after"]


def test_a_stop_shows_what_the_answer_cost(seen):
    assert "credits" in seen["stop"]["told"]
    assert seen["stop"]["isSameVisit"] is True


def test_an_account_that_cannot_spend_says_what_to_do(seen):
    assert "Ask support" in seen["frozen"]["told"]
    assert "Buy a package" in seen["emptied"]["told"]
    assert "The next package pays the debt first" in seen["indebted"]["told"]


def test_an_expired_token_is_renewed_and_an_ended_session_signs_in_again(seen):
    assert seen["renewed"] == {"refused": 1, "isSameVisit": True}
    assert "Sign in again" in seen["ended"]["told"]
    assert seen["errors"] == []


def test_every_document_in_the_store_says_its_schema_version(seen, suite):
    documents = connect(suite.project)
    names = {name.rpartition("/")[2] for name in COLLECTIONS}

    found = [each for name in names for each in documents.query(Query(collection=name, group=True, limit=1_000))]

    assert len({kind_of(each.path) for each in found}) > 15
    assert {each.path: each.data.get(SCHEMA_VERSION) for each in found} == {
        each.path: SCHEMAS[kind_of(each.path)].version for each in found
    }
