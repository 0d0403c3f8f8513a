"""Index of the decision records: number, title, status, date."""

import re
from pathlib import Path

from emulator.reference.markdown import DECISIONS, page, table

OPENING = """\
A decision record says in one page what was decided, why, and what else was considered. A new record takes the next
free number, begins with `# NNNN · Title` and has a line `**Status** accepted, YYYY-MM-DD`. A record that no longer
holds stays, with the status `superseded by NNNN`."""
HEAD = re.compile(
    r"\A# (?P<number>\d{4}) · (?P<title>.+)\n\n"
    r"\*\*Status\*\* (?P<status>proposed|accepted|superseded by \d{4}), (?P<date>\d{4}-\d{2}-\d{2})\n"
)


class HeadMissing(Exception):
    """A decision record without title, status or date; the message names the file and the form."""


def decisions_page() -> str:
    """Return the index. Raises HeadMissing for a record without title, status or date."""
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    return page("Decisions", OPENING, table(("Number", "Decision", "Status", "Date"), map(_row, files)))


def _row(file: Path) -> tuple[str, str, str, str]:
    head = HEAD.match(file.read_text())
    if head is None or not file.name.startswith(head["number"]):
        raise HeadMissing(f"{file.name} must begin with `# NNNN · Title` and `**Status** accepted, YYYY-MM-DD`.")
    return head["number"], f"[{head['title']}]({file.name})", head["status"], head["date"]
