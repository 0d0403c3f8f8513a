"""The table of clients on `docs/clients/openai.md`, written from the table in code."""

from pathlib import Path

from emulator.tools import ROOT
from tests.clients.cases import CASES
from tests.clients.playing import NO, NOT_OFFERED, YES, version_of
from tests.clients.table import CLIENTS, Client

PAGE = ROOT / "docs" / "clients" / "openai.md"
BEGIN, END = "<!-- the table: make clients -->", "<!-- the end of the table -->"
ROW = "| {} |"


def rendered() -> str:
    """Return the table in Markdown, with its footnotes."""
    headings = ["client", "version", *CASES.values()]
    notes: list[str] = []
    rows = [_row(client, notes) for client in CLIENTS]
    lines = [_line(headings), _line(["---"] * len(headings)), *rows]
    if notes:
        lines += ["", *(f"{at}. {note}" for at, note in enumerate(notes, 1))]
    return "\n".join(lines)


def _row(client: Client, notes: list[str]) -> str:
    name = client.name + (_mark(client.note, notes) if client.note else "")
    return _line([name, version_of(client), *(_cell(client, case, notes) for case in CASES)])


def _cell(client: Client, case: str, notes: list[str]) -> str:
    for reasons, word in ((client.lacks, NOT_OFFERED), (client.fails, NO)):
        if case in reasons:
            return word + _mark(reasons[case], notes)
    return YES


def _mark(note: str, notes: list[str]) -> str:
    """Return the footnote's mark; equal notes share one."""
    if note not in notes:
        notes.append(note)
    return f"<sup>{notes.index(note) + 1}</sup>"


def _line(cells: list[str]) -> str:
    return ROW.format(" | ".join(cells))


def written_table(page: Path = PAGE) -> str:
    """Return the table that stands on the page. Raises IndexError if the page lacks the marks around it."""
    return page.read_text().split(BEGIN)[1].split(END)[0].strip()


def write_table(page: Path = PAGE) -> None:
    """Put the table in code on the page, in place of the one there."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{rendered()}\n{END}{rest.split(END)[1]}")
