"""Costs of units from the command line.

`python -m tests.cost`: the table, measured now beside the pinned. `python -m tests.cost show UNIT…`: each unit by
function, operation and kind of document. `python -m tests.cost pin`: measure, rewrite the table and `docs/cost.md`.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cost import pinned
from tests.cost.metering import COLUMNS, Cost, Measured, plain
from tests.cost.page import PAGE, cost_page
from tests.cost.units import UNITS

MARGIN, CELL = 2, 7
"""Spaces before a column, and the least characters of a cell."""


def main(command: str, names: Sequence[str]) -> int:
    """Run a command, and return the exit code."""
    if command == "table":
        return _compare(_measured())
    if command == "show":
        for unit in UNITS:
            if unit.name in names or not names:
                _show(unit.name, unit.run())
        return 0
    if command == "pin":
        _pin(_measured())
        return 0
    sys.stderr.write(f"{__doc__}\n")
    return 2


def _measured() -> Mapping[str, Cost]:
    return {unit.name: unit.run().cost() for unit in UNITS}


def _compare(costs: Mapping[str, Cost]) -> int:
    """Print the measured table, and under each unit that has changed the pinned line."""
    before = pinned.pinned()
    changed = [name for name, cost in costs.items() if cost != before.get(name)]
    for line in _lines(costs):
        sys.stdout.write(f"{line}\n")
        name = line.split()[0]
        if name in changed and name in before:
            sys.stdout.write(f"{_lines({name: before[name]})[1].replace(name, 'pinned'.ljust(len(name)))}\n")
    return 1 if changed else 0


def _pin(costs: Mapping[str, Cost]) -> None:
    """Write the table and the page."""
    file = Path(pinned.__file__)
    told = "\n".join(_lines(costs))
    file.write_text(re.sub(r'TABLE = """\n.*?"""', f'TABLE = """\n{told}\n"""', file.read_text(), flags=re.DOTALL))
    PAGE.write_text(cost_page(costs))


def _lines(costs: Mapping[str, Cost]) -> list[str]:
    """Return the lines of a table, in columns."""
    first = max(len(unit.name) for unit in UNITS)
    rows = [(name, *(f"{count:g}" for count in plain(cost).values())) for name, cost in costs.items()]
    widths = [max(len(title) + MARGIN, CELL) for title in COLUMNS]
    return [
        name.ljust(first) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        for name, *cells in (("unit", *COLUMNS), *rows)
    ]


def _show(name: str, measured: Measured) -> None:
    """Print the counts of a unit by function, operation and kind, then the kinds that it leaves."""
    sys.stdout.write(f"\n{name}: {measured.cost()}\n")
    for line, count in sorted(measured.lines.items(), key=lambda each: str(each[0])):
        if count:
            sys.stdout.write(f"  {count / measured.units:6.1f} {line.function:16} {line.operation:10} {line.kind}\n")
    for (how, kind), count in sorted(measured.left.items()):
        if count:
            sys.stdout.write(f"  {count / measured.units:6.1f} {how:27} {kind}\n")


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:2]) or "table", sys.argv[2:]))
