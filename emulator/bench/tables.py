"""What the benches print: a Markdown table, as it stands in docs/benchmarks.md."""

import time
from collections.abc import Callable, Iterable

Row = tuple[str, str, str, str]
HEAD: Row = ("what", "ours", "floor, same run", "ratio")


def print_table(rows: Iterable[Row]) -> None:
    """Row by row, as they come."""
    print("| " + " | ".join(HEAD) + " |\n| --- | --- | --- | --- |", flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def timed(work: Callable[[], object]) -> float:
    """How many seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def milliseconds(seconds: float) -> str:
    """`1.25 ms`."""
    return f"{seconds * 1000:.2f} ms"
