"""Markdown tables of the benches, as they stand in docs/benchmarks.md."""

import time
from collections.abc import Callable, Iterable

Row = tuple[str, str, str, str]
HEAD: Row = ("what", "ours", "floor, same run", "ratio")


def print_table(rows: Iterable[Row]) -> None:
    """Print the rows as they come."""
    print("| " + " | ".join(HEAD) + " |\n| --- | --- | --- | --- |", flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of 100 values do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def milliseconds(seconds: float) -> str:
    """Return the time as text in milliseconds, such as `1.25 ms`."""
    return f"{seconds * 1000:.2f} ms"
