"""Walk through a page of docs/operating: its commands, as they are typed, run on the memory services.

A step is a numbered paragraph. Its `sh` block holds the commands, its `text` block the words that one should see.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path

from emulator.cloud.checks.table import AREAS
from emulator.cloud.report import report
from functions import commands
from shared.ledger.verify.command import main as verify_command
from tests.api.world import World

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "operating"
STEP = re.compile(r"^(\d+)\. ", re.MULTILINE)
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"[A-Z]+=.*")
VARIABLE = re.compile(r"\$(\w+)")
API = "$API"
Act = Callable[[], object]
Made = Callable[[list[str]], int]
"""What a recipe of the Makefile runs: takes the arguments, prints, and returns an exit code."""


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step: its commands, and the words that are seen."""

    number: int
    commands: tuple[str, ...]
    seen: tuple[str, ...]


@cache
def steps_of(page: str) -> tuple[Step, ...]:
    text = (FOLDER / f"{page}.md").read_text()
    starts = [match.start() for match in STEP.finditer(text)]
    ends = [*starts[1:], len(text)] if starts else []
    parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return tuple(_step(number, part) for number, part in enumerate(parts, 1))


def _step(number: int, text: str) -> Step:
    found = STEP.match(text)
    assert found is not None
    assert int(found[1]) == number, f"step {found[1]} stands where {number} should"
    blocks = BLOCK.findall(text)
    assert {kind for kind, _ in blocks} <= {"sh", "text"}, "a block is `sh` or `text`"
    lines = {
        kind: [line.strip() for k, body in blocks if k == kind for line in body.splitlines()] for kind in ("sh", "text")
    }
    return Step(number, tuple(filter(None, lines["sh"])), tuple(filter(None, lines["text"])))


@dataclass(slots=True)
class Terminal:
    """A shell that knows the few commands of the pages. `made` adds what recipes run, by module."""

    world: World
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Settings before a recipe's command, such as PLAN=1."""

    def run(self, command: str) -> str:
        """Run one command, and return all that it printed."""
        words = [self.filled(word) for word in shlex.split(command)]
        before = list(takewhile(SETTING.fullmatch, words))
        words = words[len(before) :]
        target = None
        if ">" in words:
            at = words.index(">")
            words, target = words[:at], self.folder / words[at + 1]
        printed = self._programs()[words[0]]([*words[1:], *before])
        if target is not None:
            target.write_text(printed)
        return printed

    def _programs(self) -> Mapping[str, Callable[[list[str]], str]]:
        return {"make": self._make, "curl": self._curl, "sed": lambda words: self._real("sed", words)}

    def filled(self, text: str) -> str:
        """The text with the values of the variables."""
        return VARIABLE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        return API if found[0] == API else self.variables[found[1]]

    def _real(self, program: str, words: list[str]) -> str:
        done = subprocess.run([program, *words], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout

    def _make(self, words: list[str]) -> str:
        """Run what the Makefile's recipe runs, in this process."""
        modules: dict[str, Made] = {
            "emulator.command": lambda given: commands.main(given, self.world.services),
            "emulator.cloud.command": lambda given: commands.main(given[1:], self.world.services),
            "emulator.cloud.admin": lambda given: commands.main(["first-admin", given[1]], self.world.services),
            "emulator.cloud.doctor": sound_report,
            "shared.ledger.verify": verify_command.main,
            **self.made,
        }
        told = ""
        for line in recipe_of(tuple(words)):
            given = shlex.split(line)
            self.environment = dict(word.split("=", 1) for word in takewhile(SETTING.fullmatch, given))
            if "-m" in given:
                at = given.index("-m")
                told += self._captured(modules[given[at + 1]], given[at + 2 :])
        return told

    def _captured(self, run: Made, given: list[str]) -> str:
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            self.codes.append(run(given))
        return printed.getvalue()

    def _curl(self, words: list[str]) -> str:
        method, headers, body, address = "GET", {}, None, ""
        rest = iter(words)
        for word in rest:
            if word == "-X":
                method = next(rest)
            elif word == "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            elif word == "-d":
                given = next(rest)
                body = (self.folder / given[1:]).read_text() if given.startswith("@") else given
            elif word != "-sS":
                address = word
        assert address.startswith(f"{API}/v1"), f"{address} is not an address of the API"
        answer = self.world.client.open(address.removeprefix(API), method=method, headers=headers, data=body)
        return answer.get_data(as_text=True)


def sound_report(given: list[str]) -> int:
    """The doctor's words for a project without a mistake; tests/unit/cloud has the doctor's own tests."""
    sys.stdout.write(report(given[0], [], AREAS))
    return 0


@cache
def recipe_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that `make` would run for a Google project; fails for an unknown target."""
    environment = {**os.environ, "PROJECT": "acme-credits"}
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    return tuple(done.stdout.splitlines())


def walk(
    page: str,
    terminal: Terminal,
    before: Mapping[int, Act] | None = None,
    after: Mapping[int, Act] | None = None,
    failing: Collection[int] = (),
) -> None:
    """Walk the page from its first step to its last.

    `before` and `after` are what else happens at a step, such as the cause that a person removes. The commands of the
    steps in `failing` tell a failure by their exit code; all others must succeed.
    """
    steps = steps_of(page)
    assert steps, f"{page} has no steps"
    assert {*(before or {}), *(after or {}), *failing} <= {step.number for step in steps}
    for step in steps:
        (before or {}).get(step.number, lambda: None)()
        terminal.codes.clear()
        told = "\n".join(terminal.run(command) for command in step.commands)
        for words in map(terminal.filled, step.seen):
            assert words in told, f"step {step.number} of {page}: {words!r} is not in\n{told}"
        assert bool(step.commands) or not step.seen, f"step {step.number} of {page} shows words of no command"
        assert any(terminal.codes) == (step.number in failing), f"step {step.number} of {page}:\n{told}"
        (after or {}).get(step.number, lambda: None)()
