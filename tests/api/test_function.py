"""The function as functions-framework calls it: a Flask request of another application, handed on as it is."""

import subprocess
import sys

import pytest
from flask import Flask, request

from functions import http_api
from shared.ai.tokens import Usage
from shared.platform.memory.chat_model import ScriptedChatModel, says
from tests.api.world import World, problem

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.fixture
def world():
    return World(
        env={"AI_PLATFORM_PROFILE": "openai"},  # its abort ends the billing
        chat_model=ScriptedChatModel(
            scripts=[[*says("Hi")[:1], 30.0, *says("!", usage=Usage(input_tokens=1, output_tokens=1))]]
        ),
    )


@pytest.fixture
def framework(world, monkeypatch):
    """What functions-framework does around a function."""
    monkeypatch.setattr(http_api, "_app", world.app)
    outer = Flask("framework")
    outer.add_url_rule("/", "root", lambda: http_api.api(request), methods=METHODS)
    outer.add_url_rule("/<path:path>", "run", lambda path: http_api.api(request), methods=METHODS)
    return outer.test_client()


def test_requests_reach_the_application_as_they_came(world, framework, alice):
    headers = {"Authorization": f"Bearer {alice.token}"}

    made = framework.post("/v1/credits/reserve", json={"amount": "2"}, headers=headers)
    shown = framework.get(f"/v1/credits/reservations/{made.json['id']}", headers=headers)

    assert (made.status_code, made.headers["X-Credits-Available"]) == (201, "8")
    assert shown.json == made.json
    assert problem(framework.get("/v2")) == (404, "not_found")
    assert problem(framework.delete("/v1/models", headers=headers)) == (405, "method_not_allowed")


def test_a_stream_leaves_as_it_comes_and_ends_when_the_client_goes(world, framework, alice):
    headers = {"Authorization": f"Bearer {alice.token}"}
    conversation = framework.post("/v1/chat/conversations", json={}, headers=headers).json["id"]

    streamed = framework.post(
        f"/v1/chat/conversations/{conversation}/messages", json={"content": "Hello", "stream": True}, headers=headers
    )
    first = next(iter(streamed.response))
    streamed.close()

    assert first == b'data: {"delta": "Hi"}\n\n'
    assert world.chat_model.streams[0].is_aborted
    assert alice.get("/credits/balance").json["held"] == "0"


VENDORS = (
    "google.cloud.firestore",
    "google.cloud.firestore_v1",
    "firebase_admin",
    "openai",
    "google.pubsub_v1",
    "apispec",
)


def test_an_instance_starts_without_any_vendor():
    code = f"""
import os, sys
os.environ.update(GCLOUD_PROJECT="demo-x", LEDGER_SIGNING_KEY="k:" + "A" * 43 + "=", FUNCTION_TARGET="api")
import functions.http_api
assert functions.http_api._app is not None
print([name for name in {VENDORS!r} if name in sys.modules])
"""
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert started.stdout.strip() == "[]"


def test_an_instance_with_wrong_settings_says_so_at_start():
    code = """
import os
os.environ.pop("LEDGER_SIGNING_KEY", None)
os.environ.update(GCLOUD_PROJECT="demo-x", FUNCTION_TARGET="api", MARKUP_PERCENT="much")
import functions.http_api
"""
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert started.returncode != 0
    assert "LEDGER_SIGNING_KEY is not set" in started.stderr
    assert "MARKUP_PERCENT must be a whole number" in started.stderr
