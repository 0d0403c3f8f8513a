"""Parts of the bench that run in a tree's own process: each tree prints its tables in turn, and rows are compared."""

import os
import re
import resource
import statistics
import subprocess
import sys

from emulator.bench.trees import NOW, Tree

PARTS = ("starts", "ledger", "agents", "payments")
ROW = re.compile(r"^\| (?P<table>[^|]+?) \| \**(?P<number>[\d,.]+)|^  (?P<line>\S+) +(?P<milliseconds>[\d.]+) ms ")
CPU = "CPU time of the whole part"


def compare(part: str, before: Tree, *, pairs: int) -> None:
    """Print the median ratio of each row that both trees print, the CPU time of the whole part first."""
    print(f"\n## {part}: now / before, median of {pairs} pairs\n", flush=True)
    ratios: dict[str, list[float]] = {}
    for _ in range(pairs):
        one, two = _rows(part, before), _rows(part, NOW)
        for tree, rows in ((before, one), (NOW, two)):
            if len(rows) <= 1:
                print(f"Cannot be compared: {tree.name} prints nothing for `{part}`.", flush=True)
                return
        for name in [CPU, *(name for name in two if name in one and name != CPU)]:
            if one[name]:
                ratios.setdefault(name, []).append(two[name] / one[name])
    print("| what | now / before |\n| --- | --- |")
    for name, values in ratios.items():
        print(f"| {name} | {statistics.median(values):.2f}× ({min(values):.2f} to {max(values):.2f}) |", flush=True)


def _rows(part: str, tree: Tree) -> dict[str, float]:
    """Run the tree's own bench. Return the first number of each row by the row's name, and the CPU time."""
    began = _children_cpu_seconds()
    command = [sys.executable, "-m", "emulator.bench", part]
    run = subprocess.run(command, cwd=tree.root, env=os.environ, capture_output=True, text=True, check=False)
    rows = {CPU: _children_cpu_seconds() - began}
    return rows | dict(filter(None, map(row, run.stdout.splitlines())))


def row(line: str) -> tuple[str, float] | None:
    """Return the name and the first number of a line that a bench prints, or None if the line has no number there."""
    if (found := ROW.match(line)) is None:
        return None
    name, number = found["table"] or found["line"], found["number"] or found["milliseconds"]
    return name, float(number.replace(",", ""))


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
