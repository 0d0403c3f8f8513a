"""Costs of units from the command line.

`python -m tests.cost`: the units, measured now beside the pinned. `python -m tests.cost show UNIT…`: each unit by
function, operation and kind of document. `python -m tests.cost growth`: the laws, with the milliseconds of CPU.
`python -m tests.cost pin`: measure all, rewrite the tables and `docs/cost.md`. `make cost` pins all sizes.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cost import pinned
from tests.cost.laws import LAWS, Grown, Law
from tests.cost.metering import COLUMNS, Cost, Measured, plain
from tests.cost.page import PAGE, cost_page
from tests.cost.units import UNITS

MARGIN, CELL, WIDTH = 2, 7, 11
"""Spaces before a unit's column, the least characters of its cell, and the characters of a law's cell."""


def main(command: str, names: Sequence[str]) -> int:
    """Run a command, and return the exit code."""
    if command == "table":
        return _compare(_measured())
    if command == "show":
        for unit in UNITS:
            if unit.name in names or not names:
                _show(unit.name, unit.run())
        return 0
    if command in {"growth", "pin"}:
        growth = {law.name: _grown(law) for law in LAWS}
        if command == "pin":
            _pin(_measured(), {law.name: _counts(law, growth[law.name]) for law in LAWS})
        return _late(growth)
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


def _grown(law: Law) -> Sequence[Grown]:
    """Measure a law at each size, and print the counts and the milliseconds."""
    grown = []
    for size in law.measured_sizes():
        each = law.run(size)
        mark = f" > {law.milliseconds_most}" if _is_late(law, each) else ""
        count = f"{each.count:12,g} {law.counted:24}"
        sys.stdout.write(f"{law.name:24}{size:10,}{count}{each.milliseconds:10.3f} ms{mark}\n")
        grown.append(each)
    return grown


def _is_late(law: Law, grown: Grown) -> bool:
    return law.milliseconds_most is not None and grown.milliseconds > law.milliseconds_most


def _late(growth: Mapping[str, Sequence[Grown]]) -> int:
    """Return the exit code: 1 if an act took too long at its largest size."""
    return int(any(_is_late(law, growth[law.name][-1]) for law in LAWS))


def _counts(law: Law, grown: Sequence[Grown]) -> Sequence[float]:
    """Return the measured counts, and the pinned ones at the sizes that were not measured."""
    known = pinned.pinned_growth().get(law.name, [0] * len(law.sizes))
    return [*(each.count for each in grown), *known[len(grown) :]]


def _pin(costs: Mapping[str, Cost], growth: Mapping[str, Sequence[float]]) -> None:
    """Write the tables and the page."""
    file = Path(pinned.__file__)
    text = file.read_text()
    for table, lines in (("TABLE", _lines(costs)), ("GROWTH", _growth_lines(growth))):
        told = "\n".join(lines)
        text = re.sub(rf'^{table} = """\n.*?"""', f'{table} = """\n{told}\n"""', text, flags=re.DOTALL | re.MULTILINE)
    file.write_text(text)
    PAGE.write_text(cost_page(costs, growth))


def _growth_lines(growth: Mapping[str, Sequence[float]]) -> list[str]:
    first = max(len(law.name) for law in LAWS)
    cells = {name: [f"{count:g}".rjust(WIDTH) for count in counts] for name, counts in growth.items()}
    return [name.ljust(first) + "".join(counts) for name, counts in cells.items()]


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
