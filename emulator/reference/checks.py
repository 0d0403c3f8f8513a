"""Reference page of the doctor's checks: name, mistake, remedy, by area."""

from emulator.cloud.checks.check import Check
from emulator.cloud.checks.table import AREAS
from emulator.reference.markdown import file_of, page, table

OPENING = """\
`make doctor PROJECT=<project id>` runs these checks on a Google project and its settings, and changes nothing. The
table in the code is [`emulator/cloud/checks/table.py`](../../emulator/cloud/checks/table.py). A *hint* is no mistake.
What could not be read, such as for a missing permission, is told as `could_not_look`, with the reason. The exit code is
0 for a sound project, 1 for a mistake, 2 if something could not be looked at."""


def checks_page() -> str:
    """Return the page, one table per area, in the order of the report."""
    return page("Checks of a project", OPENING, *(_part(area, checks) for area, checks in AREAS.items()))


def _part(area: str, checks: tuple[Check, ...]) -> str:
    module = file_of(checks[0].look.__module__)
    rows = [(_name(each), each.meaning, each.remedy.replace("{project}", "<project id>")) for each in checks]
    title = f"## {area[:1].upper()}{area[1:]}"
    return f"{title}\n\n[`{module}`](../../{module})\n\n" + table(("Check", "Mistake", "Remedy"), rows)


def _name(check: Check) -> str:
    return f"`{check.name}`" + (", a hint" if check.severity == "hint" else "")
