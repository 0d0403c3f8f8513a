"""The documentation is true in its names: links lead somewhere, and named files and tests exist."""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README_LINES_MAX = 150
PAGES = sorted(
    file for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md", "emulator/*.md") for file in ROOT.glob(pattern)
)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OUR_IMPORT = re.compile(r"^from ((?:shared|functions)\.[\w.]+) import (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OUTSIDE = re.compile(r"[a-z]+:")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
PYTHON_FILE = re.compile(r"`((?:functions|shared|emulator|tests|main)[\w/]*\.py)`")
TEST_NAME = re.compile(r"`(test_\w+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links_of(page: Path) -> Iterator[str]:
    for link in LINK.findall(CODE_BLOCK.sub("", page.read_text())):
        if not OUTSIDE.match(link):
            yield link


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(CODE_BLOCK.sub("", page.read_text()))
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def is_leading_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and target.is_relative_to(ROOT) and (not anchor or anchor in anchors_of(target))


@cache
def names_of_tests() -> set[str]:
    sources = (file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    return {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)} | {
        file.stem for file in (ROOT / "tests").rglob("test_*.py")
    }


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path):
    assert [link for link in links_of(page) if not is_leading_somewhere(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_file_named_in_the_docs_exists(page: Path):
    assert [file for file in PYTHON_FILE.findall(page.read_text()) if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_import_in_the_docs_examples_works(page: Path):
    imports = OUR_IMPORT.findall("\n".join(CODE_BLOCK.findall(page.read_text())))

    for module, names in imports:
        found = importlib.import_module(module)
        assert [name for name in names.split(", ") if not hasattr(found, name)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_named_in_the_docs_exists(page: Path):
    assert [name for name in TEST_NAME.findall(page.read_text()) if name not in names_of_tests()] == []


@pytest.mark.parametrize(
    ("page", "file", "words"),
    [
        ("docs/architecture.md", "shared/ai/models/tariff.py", "The price of the call is computed in"),
        ("docs/failures.md", "shared/sagas/metering/turn.py", "**after the model answered, before the end**"),
        ("docs/how-to/payment-provider.md", "shared/payments/ports.py", "`PaymentProvider`"),
        ("docs/how-to/agent-tool.md", "shared/sagas/agents/tools/tool.py", "class CountWords"),
        ("docs/how-to/account-field.md", "shared/ledger/account.py", "`Account`"),
        ("docs/reference/errors.md", "shared/ledger/errors.py", "`insufficient_credits` | 402"),
        ("docs/reference/jobs.md", "shared/sagas/engine/jobs.py", "## every_minute"),
    ],
)
def test_a_newcomers_question_is_answered_one_page_from_the_readme(page: str, file: str, words: str):
    text = (ROOT / page).read_text()

    assert page in {link.partition("#")[0] for link in links_of(ROOT / "README.md")}
    assert words in text
    assert file in text


@pytest.mark.parametrize(
    ("page", "files"),
    [("payment-provider", 4), ("account-field", 3), ("agent-tool", 2), ("job", 2)],
)
def test_a_how_to_opens_with_the_few_files_that_change(page: str, files: int):
    opening = (ROOT / f"docs/how-to/{page}.md").read_text().partition("\n## ")[0]
    items = re.findall(r"^(\d)\. (.*(?:\n   .*)*)", opening, re.MULTILINE)

    assert [int(number) for number, _ in items] == list(range(1, files + 1))
    assert [text for _, text in items[: files - 1] if "](" not in text and "method" not in text] == []


INDEXED = ("docs/decisions", "docs/operating")
"""Folders whose own README links their pages."""


def test_the_readme_links_every_page_of_docs():
    pages = {name_of(page) for page in (ROOT / "docs").rglob("*.md") if name_of(page.parent) not in INDEXED}
    indexes = {f"{folder}/README.md" for folder in INDEXED}

    assert (pages | indexes) - {link.partition("#")[0] for link in links_of(ROOT / "README.md")} == set()


@pytest.mark.parametrize("folder", INDEXED)
def test_an_index_links_every_page_of_its_folder(folder: str):
    index = ROOT / folder / "README.md"
    linked = {link.partition("#")[0] for link in links_of(index)}

    assert {page.name for page in index.parent.glob("*.md")} - {index.name} - linked == set()


def test_every_alert_stands_in_the_table_of_alerts():
    sources = [file.read_text() for folder in ("shared", "functions") for file in (ROOT / folder).rglob("*.py")]
    alerts = {name for source in sources for name in re.findall(r"\balert\(\s*\"(\w+)\"", source)}
    reminders = {name for source in sources for name in re.findall(r"\bReminder\(\"(\w+)\"", source)}
    page = (ROOT / "docs/operating/alerts.md").read_text()

    assert len(alerts) > 10
    assert [name for name in sorted(alerts | reminders) if f"`{name}`" not in page] == []
