"""The three things that the README builds, and its check of an export, work as they stand there."""

import ast
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.world import Person, World

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
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


@dataclass
class Shell:
    """Runs the README's commands: `curl` asks the API in memory, everything else is run in the folder."""

    person: Person
    folder: Path

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        program, *words = shlex.split(line.replace("$TOKEN", self.person.token).replace("$API", "API"), comments=True)
        if program == "curl":
            return self._ask(words)
        assert program == "python"
        return subprocess.run([sys.executable, *words], cwd=self.folder, capture_output=True, text=True, check=False)

    def _ask(self, words: list[str]) -> "subprocess.CompletedProcess[str]":
        silent, address, header, value, redirection, file = words
        assert (silent, header, redirection) == ("-sS", "-H", ">")
        assert value == f"Authorization: Bearer {self.person.token}"
        answer = self.person.get(address.removeprefix("API/v1"))
        (self.folder / file).write_bytes(answer.data)
        return subprocess.CompletedProcess(words, 0 if answer.status_code == 200 else 22)


@pytest.fixture
def shell(ann, tmp_path) -> Shell:
    (tmp_path / "shared").symlink_to(ROOT / "shared")
    ann.post("/credits/reserve", {"amount": "5", "ttl_seconds": 600})
    return Shell(ann, tmp_path)


CHECKING = README.split("\n## Check your credits\n")[1].split("\n## ")[0]


def checking_commands() -> list[str]:
    """The two commands of the README's section about checking an export."""
    return CHECKING.split("```")[1].strip().splitlines()


def test_the_readmes_two_commands_end_with_a_green_verdict(shell):
    done = [shell.run(line) for line in checking_commands()]

    assert [each.returncode for each in done] == [0, 0]
    assert f"2 entries of 1 account ({shell.person.uid})" in done[1].stdout
    assert "SOUND" in done[1].stdout


def test_the_readmes_second_command_shows_a_changed_digit_in_red(shell):
    fetch, check = checking_commands()
    shell.run(fetch)
    export = shell.folder / "journal.ndjson"
    lines = export.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('\\"amount\\":5000000', '\\"amount\\":4000000')
    export.write_text("".join(lines))

    done = shell.run(check)

    verdict, first = done.stdout.splitlines()[:2]
    shown = " ".join(CHECKING.split())
    assert done.returncode == 1
    assert verdict.startswith("journal.ndjson: BROKEN: ")
    assert first == f"journal.ndjson: {shell.person.uid} 2 hash the body does not have this hash"
    assert first.removeprefix("journal.ndjson: ").replace(shell.person.uid, "UID") in shown
