"""The three things that the README builds work as they stand there."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.api.world import World

README = (Path(__file__).parents[2] / "README.md").read_text()
CALL = re.compile(r"^POST /v1(\S+) +(\{[^}]+\})(?: +→ .*)?$", re.MULTILINE)


@pytest.fixture
def ann():
    return World().person(credits_=100)


def test_a_conversation_begins_with_the_readmes_body(ann):
    (literal,) = re.findall(r"JSON\.stringify\((\{.*?\})\)", README)
    body = json.loads(re.sub(r"(\w+): ", r'"\1": ', literal))

    answer = ann.post("/chat/conversations", body)

    assert (answer.status_code, answer.json["message"]["role"]) == (201, "assistant")


def test_an_openai_client_is_answered_for_the_readmes_arguments(ann):
    (source,) = re.findall(r"^client\.chat\.completions\.create\(.*\)$", README, re.MULTILINE)
    call = ast.parse(source).body[0].value
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}

    answer = ann.key("chat").post("/openai/chat/completions", arguments)

    assert (answer.status_code, answer.json["object"]) == (200, "chat.completion")


def test_a_meter_charges_the_readmes_amount_and_gives_the_rest_back(ann):
    (reserve, asked), (capture, used) = CALL.findall(README)

    reservation = ann.post(reserve, json.loads(asked)).json
    captured = ann.post(capture.replace("{id}", reservation["id"]), json.loads(used))

    assert (captured.status_code, captured.json["status"]) == (200, "captured")
    assert ann.get("/credits/balance").json["available"] == "96.8"
