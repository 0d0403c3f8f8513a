"""The README is held to the code: every route, setting, error code and dependency stands in it, and nothing else."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import functions
import shared
from functions.http.table import ROUTES
from shared.kernel.errors import DomainError
from shared.kernel.settings import SettingsError, parse_settings

GIVEN_BY_THE_PLATFORM = {
    "FIRESTORE_EMULATOR_HOST",
    "FUNCTIONS_EMULATOR",
    "FUNCTION_REGION",
    "GCLOUD_PROJECT",
    "GOOGLE_CLOUD_PROJECT",
}
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    return set(re.findall(r"^\| *`([^`]+)`", text, re.MULTILINE))


def every_error() -> set[type[DomainError]]:
    for package in (shared, functions):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found, todo = set(), [DomainError]
    while todo:
        todo += (cls := todo.pop()).__subclasses__()
        found.add(cls)
    return found


def test_every_route_stands_in_the_readme():
    told = first_cells(section("The HTTP API"))

    assert told == {f"{route.method} {route.path}" for route in ROUTES if not route.is_hidden}


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def get(self, name, default=None):
        self[name] = ""
        return default


def test_every_setting_stands_in_the_readme():
    environment = Asked()
    with pytest.raises(SettingsError):
        parse_settings(environment)

    assert first_cells(section("Settings")) == set(environment) - GIVEN_BY_THE_PLATFORM


def test_every_error_code_stands_in_the_readme():
    ours = {cls.code for cls in every_error() if cls.__module__.startswith(("shared.", "functions."))}

    assert first_cells(section("Errors")) >= ours


def test_every_dependency_stands_in_the_readme_with_its_reason():
    pinned = set()
    for name in ("requirements.txt", "requirements-dev.txt"):
        pinned |= set(re.findall(r"^([a-z][\w-]*)==", (ROOT / name).read_text(), re.MULTILINE))
    pinned |= set(re.findall(r'^    "(@?[\w/-]+)": "\d', (ROOT / "emulator/package.json").read_text(), re.MULTILINE))

    assert first_cells(section("Dependencies")) == pinned
