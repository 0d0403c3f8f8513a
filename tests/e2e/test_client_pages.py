"""The code on the pages for app developers, run as it stands there against the served functions."""

import base64
import json
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from emulator.provider.painting import painted
from emulator.seed import PACKAGES, seed_models, seed_packages
from tests.support.bad_connection import bad_connection
from tests.support.node import run_script
from tests.support.pages import ROOT, code_of

HERE = Path(__file__).parent
SECONDS_MAX = 240
LISTENED_SECONDS_MAX = 60
REPLY = "Credits are spent one word at a time."
PLAN = [{"title": "answer", "status": "doing"}]
FIREBASE = 'export * as firebaseAuth from "firebase/auth";\n'
"""The tests sign in with the SDK that the page has loaded, not with a second copy."""


@pytest.fixture(scope="module")
def folder():
    """A folder below which Node.js finds the Firebase JS SDK."""
    home = ROOT / "emulator" / ".run"
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as made:
        yield Path(made)


def on_the_web(folder: Path, given: dict) -> dict:
    module = folder / "client.mjs"
    module.write_text(code_of("docs/clients/web.md", "js") + FIREBASE)
    return run_script(
        HERE / "js" / "client_page.mjs", {**given, "module": module.as_uri()}, timeout_seconds=SECONDS_MAX
    )


def in_python(folder: Path, given: dict) -> dict:
    module = folder / "client.py"
    module.write_text(code_of("docs/clients/python.md", "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / "client_page.py"],
        input=json.dumps({**given, "module": str(module)}),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads(done.stdout)


def played(suite, suite_upstream, play, folder: Path) -> dict:
    """What the code of a page saw, with the keys that it sent through a bad connection, and the count of bills."""
    words = scripted(suite_upstream)
    endpoints = suite.endpoints
    with bad_connection(endpoints.api, "busy", "cut") as connection:
        given = {
            "project": suite.project,
            "authUrl": endpoints.auth,
            "firestoreUrl": endpoints.firestore,
            "apiUrl": endpoints.api,
            "proxyUrl": connection.url,
            "page": f"{endpoints.api}/v1/docs/playground",
            "package": "standard",
            "picture": base64.b64encode(painted("a page", "64x64")).decode(),
            "secondsMax": LISTENED_SECONDS_MAX,
            **words,
        }
        seen = play(folder, given)
    asked = [each["body"]["messages"][-1]["content"] for each in suite_upstream.requests if "messages" in each["body"]]
    return {**seen, "keys": connection.keys, "cutBills": asked.count(words["cutQuestion"])}


def scripted(suite_upstream) -> dict[str, str]:
    """Prompts that no other test uses, with the model's answers to them."""
    mark = uuid.uuid4().hex[:8]
    asked = {name: f"{name} {mark}" for name in ("question", "cutQuestion", "slowQuestion", "pictureQuestion", "goal")}
    for name in ("question", "cutQuestion", "pictureQuestion"):
        suite_upstream.script(contains=asked[name], reply=REPLY, times=0)
    suite_upstream.script(contains=asked["slowQuestion"], reply="word " * 120, delay_ms=50)
    suite_upstream.script(contains=asked["goal"], tool_calls=[{"name": "plan", "arguments": {"steps": PLAN}}])
    suite_upstream.script(contains=asked["goal"], reply="It is done.")
    return asked


@pytest.fixture(scope="module")
def pages(suite, suite_upstream, folder):
    """Both pages at the same time: their code mostly waits."""
    seed_models(suite.project)
    seed_packages(suite.project)
    with ThreadPoolExecutor(2) as threads:
        yield {
            name: threads.submit(played, suite, suite_upstream, play, folder)
            for name, play in (("web", on_the_web), ("python", in_python))
        }


@pytest.fixture(scope="module")
def web(pages):
    return pages["web"].result()


@pytest.fixture(scope="module")
def python(pages):
    return pages["python"].result()


@pytest.fixture(params=["web", "python"])
def told(request, suite):
    """What the code of either page saw. `suite` is named, so that each test has the environment of its emulators."""
    return request.getfixturevalue(request.param)


def test_a_page_says_that_credits_are_missing(told):
    assert (told["poor"]["status"], told["poor"]["code"]) == (402, "insufficient_credits")


def test_the_web_page_says_how_many_credits_are_missing_and_what_to_do(web):
    assert web["poor"]["act"] == "buy"
    assert web["poor"]["say"].endswith("you have 0.")
    assert (web["typed"]["code"], web["typed"]["act"]) == ("already_claimed", "none")


def test_a_page_shows_the_balance_with_the_bonus(told):
    assert told["bonus"] == "1000"


def test_a_page_shows_a_growing_text_and_the_charge(told):
    stream = told["stream"]

    assert stream["texts"][-1] == stream["answer"]["message"]["content"] == REPLY
    assert len(stream["texts"]) > 1
    assert all(longer.startswith(text) for text, longer in zip(stream["texts"], stream["texts"][1:], strict=False))
    assert Decimal(stream["answer"]["cost"]) > 0


def test_the_same_key_answers_the_same_message_unpaid(told):
    assert told["stream"]["again"] == told["stream"]["answer"]


def test_the_python_page_renews_its_token_and_shows_the_charge(python):
    assert python["is_renewed"]
    assert python["shown"] == python["stream"]["answer"]["balance"]["available"]


def test_a_busy_and_a_cut_stream_are_repeated_and_paid_once(told):
    assert told["cut"]["message"]["content"] == told["cutTexts"][-1] == REPLY
    assert len(told["keys"]) == 3
    assert len(set(told["keys"])) == 1
    assert told["cutBills"] == 1


def test_a_stopped_answer_ends_early_with_its_text(told):
    message = told["stopped"]["message"]

    assert message["finish_reason"] == "stopped"
    assert 0 < len(message["content"].split()) < 120


def test_a_picture_is_answered_and_a_refusal_is_typed(told):
    assert told["picture"] == REPLY
    assert (told["refused"]["status"], told["refused"]["code"]) == (404, "model_not_found")


def test_a_task_is_shown_to_its_end(told):
    assert (told["task"]["status"], told["task"]["result"]["answer"]) == ("completed", "It is done.")


def test_the_web_page_shows_each_step_of_a_task(web):
    assert [step["number"] for step in web["steps"]] == list(range(1, web["task"]["steps"] + 1))


def test_a_payment_is_settled_when_its_buyer_returns(told):
    assert (told["payment"]["status"], told["payment"]["package_id"]) == ("settled", "standard")


def test_the_web_page_shows_the_bought_credits(web):
    gained = Decimal(web["balance"]["after"]) - Decimal(web["balance"]["before"])

    assert gained == Decimal(PACKAGES["standard"]["credits"]) / 1_000_000
    assert web["noReturn"] is None
