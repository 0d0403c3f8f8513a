"""Sagas and models lie in packages by flow. An `__init__` loads nothing, so that a cold start pays no import."""

import ast
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
BENEATH_THE_PACKAGES = {"sagas": set(), "ai": {"ports", "tokens", "pictures"}}
"""Modules outside the packages of a folder: the ground that all of the packages stand on."""


@pytest.mark.parametrize("folder", BENEATH_THE_PACKAGES)
def test_no_module_lies_outside_the_packages(folder):
    flat = {path.stem for path in (SHARED / folder).glob("*.py")} - {"__init__"}

    assert flat == BENEATH_THE_PACKAGES[folder]


@pytest.mark.parametrize("folder", BENEATH_THE_PACKAGES)
def test_an_init_holds_one_docstring_and_no_code(folder):
    bodies = {path: ast.parse(path.read_text()).body for path in (SHARED / folder).rglob("__init__.py")}

    assert [path for path, body in bodies.items() if [type(node) for node in body] != [ast.Expr]] == []
