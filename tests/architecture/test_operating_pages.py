"""Pages for operators and the tests that walk them are held to each other."""

import re
from pathlib import Path

import pytest

from emulator.cloud.deploy import STEPS
from functions.commands import _parser
from tests.operating.walking import FOLDER, steps_of

ROOT = Path(__file__).parents[2]
PAGES = sorted(page.stem for page in FOLDER.glob("*.md"))
PROCEDURES = [page for page in PAGES if steps_of(page)]
REFERENCE = {"README", "alerts", "commands", "instances", "metrics"}
"""Pages without steps."""


def test_every_procedure_is_walked_by_exactly_one_test():
    source = "".join(file.read_text() for file in (ROOT / "tests/operating").glob("test_*.py"))

    assert sorted(re.findall(r"\bwalk\(\s*\"([\w-]+)\"", source)) == PROCEDURES
    assert set(PAGES) - set(PROCEDURES) == REFERENCE


@pytest.mark.parametrize("page", PROCEDURES)
def test_a_procedure_says_its_purpose_and_when_to_stop(page: str):
    text = (FOLDER / f"{page}.md").read_text()

    assert re.findall(r"^\*\*(When|Stop)\*\*", text, re.MULTILINE) == ["When", "Stop"]
    assert any(step.commands for step in steps_of(page))


def test_every_command_stands_in_the_table_of_commands():
    page = (FOLDER / "commands.md").read_text()
    (commands,) = (list(action.choices) for action in _parser()._actions if action.choices)

    assert len(commands) > 10
    assert [name for name in commands if f"`{name}" not in page] == []


def test_every_step_of_a_deploy_stands_in_its_page_in_order():
    rows = re.findall(r"^\| ([^|`]+) \|", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    named = [name for row in rows for name in row.split(", ")]

    assert [name for name in named if name in {step.name for step in STEPS}] == [step.name for step in STEPS]
