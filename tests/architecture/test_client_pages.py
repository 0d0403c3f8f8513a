"""The pages for app developers name routes, fields and error codes that exist, also where no test runs their code."""

import json
import re
from pathlib import Path

import pytest

from emulator.reference.errors import every_error
from functions.http.openapi import document
from functions.http.table import ROUTES
from tests.support.pages import code_of

ROOT = Path(__file__).parents[2]
LANGUAGES = {"web": "js", "python": "python", "swift": "swift", "kotlin": "kotlin", "flutter": "dart"}
CALL = re.compile(r"[\"'](GET|POST|PUT|PATCH|DELETE)[\"'], f?[\"'`]([a-z][\w/${}\\().-]*)[\"'`]")
PATH = re.compile(r"path = f?[`\"']([a-z][\w/${}-]*)[`\"']")
FILLED = re.compile(r"\$\{\w+\}|\\\(\w+\)|\$\w+|\{[^}/]+\}")
"""A value put into a path: `${id}`, `\\(id)`, `$id`, `{id}`."""
WORD = re.compile(r"[\"']([a-z]+_[a-z_]+|contention|forbidden)[\"']")
KEY = re.compile(r"\b([a-z]+_[a-z_]+): ")
"""A key of an object in JavaScript, which has no quotes."""
WORDS_OF_OTHERS = {"grant_type", "refresh_token", "id_token", "agent_tasks", "image_url"}
"""Fields of Google's token service, a collection of Firestore, and a part of OpenAI's messages."""
CALLED_BY_ALL = {
    ("POST", "chat/conversations/{id}/messages"),
    ("POST", "chat/conversations/{id}/stop"),
    ("POST", "chat/agent-tasks"),
    ("POST", "openai/chat/completions"),
    ("POST", "payments/traditional"),
    ("GET", "payments/status/{id}"),
}
UNRUN = "No test runs this page"


def page(name: str) -> str:
    return f"docs/clients/{name}.md"


def calls_of(name: str) -> set[tuple[str, str]]:
    code = code_of(page(name), LANGUAGES[name])
    calls = [*CALL.findall(code), *(("POST", path) for path in PATH.findall(code))]
    return {(method, FILLED.sub("{id}", path)) for method, path in calls}


def words_of(name: str) -> set[str]:
    code = code_of(page(name), LANGUAGES[name])
    return {*WORD.findall(code), *(KEY.findall(code) if name == "web" else ())}


def field_names() -> set[str]:
    return set(re.findall(r'"(\w+)": ', json.dumps(document(ROUTES))))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_call_on_a_page_is_a_route(name):
    routes = {(route.method, route.path.removeprefix("/v1/")) for route in ROUTES}

    assert calls_of(name) - routes == set()
    assert calls_of(name) >= CALLED_BY_ALL


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_code_and_field_on_a_page_is_known(name):
    codes = {cls.code for cls in every_error()}

    assert words_of(name) - codes - field_names() - WORDS_OF_OTHERS == set()
    assert words_of(name) >= {"still_running", "contention"}


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_page_says_whether_tests_run_its_code(name):
    is_run = name in {"web", "python"}

    assert (UNRUN in " ".join((ROOT / page(name)).read_text().split())) is not is_run
    assert page(name).rpartition("/")[2] in (ROOT / "docs/clients/README.md").read_text()
