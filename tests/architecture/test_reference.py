"""Reference pages are generated from the code: each page is up to date and complete."""

import re
from pathlib import Path

import pytest

from emulator.reference.errors import every_error
from emulator.reference.pages import PAGES
from functions.http.table import ROUTES
from shared.kernel.settings import SettingsError, parse_settings

GIVEN_BY_THE_PLATFORM = {
    "FIRESTORE_EMULATOR_HOST",
    "FUNCTIONS_EMULATOR",
    "FUNCTION_REGION",
    "GCLOUD_PROJECT",
    "GOOGLE_CLOUD_PROJECT",
}
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def first_cells(page: str) -> set[str]:
    return set(re.findall(r"^\| *`([^`]+)`", (DOCS / page).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str):
    assert (DOCS / name).read_text() == PAGES[name](), "run `make reference` and commit the pages"


def test_every_route_stands_in_the_reference():
    assert first_cells("reference/routes.md") == {
        f"{route.method} {route.path}" for route in ROUTES if not route.is_hidden
    }


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def get(self, name, default=None):
        self[name] = ""
        return default


def test_every_setting_stands_in_the_reference():
    environment = Asked()
    with pytest.raises(SettingsError):
        parse_settings(environment)

    assert first_cells("reference/settings.md") == set(environment) - GIVEN_BY_THE_PLATFORM


def test_every_error_code_stands_in_the_reference():
    assert first_cells("reference/errors.md") >= {cls.code for cls in every_error()}


def test_every_error_class_says_its_cause():
    assert [cls for cls in every_error() if "__doc__" not in vars(cls) or not cls.__doc__] == []


def test_every_dependency_stands_in_the_reference_with_its_reason():
    pinned = set()
    for name in ("requirements.in", "requirements-dev.in"):
        pinned |= set(re.findall(r"^([a-z][\w-]*)", (ROOT / name).read_text(), re.MULTILINE))
    pinned |= set(re.findall(r'^    "(@?[\w/-]+)": "\d', (ROOT / "emulator/package.json").read_text(), re.MULTILINE))

    assert first_cells("reference/dependencies.md") == pinned
    assert re.findall(r"^\| `.*\|  \|$", (DOCS / "reference/dependencies.md").read_text(), re.MULTILINE) == []


def test_every_deployed_package_stands_in_the_notices():
    deployed = set(re.findall(r"^([a-z][\w-]*)==[^;]+\\$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    notices = (ROOT / "NOTICES.md").read_text()

    assert deployed - set(re.findall(r"^\| `([\w-]+)` \| [^|]+ \|", notices, re.MULTILINE)) == set()


def test_every_decision_stands_in_the_index_once():
    index = (DOCS / "decisions/README.md").read_text()
    records = sorted(file.name for file in (DOCS / "decisions").glob("[0-9]*.md"))

    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", index) == records
    assert len({name[:4] for name in records}) == len(records)


def test_every_target_of_make_says_its_purpose():
    lines = (ROOT / "Makefile").read_text().splitlines()
    targets = [line for line in lines if re.match(r"[a-z-]+:(?!=)", line)]

    assert len(targets) > 20
    assert [line for line in targets if not re.match(r"[a-z-]+:.*  ## \S", line)] == []
