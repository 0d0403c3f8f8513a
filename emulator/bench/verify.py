"""The verifier's speed and memory on large exports, against a floor of the same entries in the same run.

The floor parses each line and body, writes the body again, and hashes twice. `make prove-speed` takes a million entries
and fails beyond a limit; the limits of time by the clock hold for two quiet cores.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from emulator.bench.journals import KEYS, header_line, many_accounts, one_account
from emulator.bench.tables import Row, print_table
from shared.ledger.keys import ENTRY_CONTEXT
from shared.ledger.usage import UsageFold, folded

ENTRIES = 100_000
PROVED_ENTRIES = 1_000_000
ACCOUNT_ENTRIES = 1_000
FAST_MAX = 4.0
"""Limit of the CPU time of a fast check in one process, as a multiple of the floor."""
FULL_MAX = 1.3
"""Limit of the CPU time of a full check in one process, as a multiple of the bare checks of signatures."""
FAST_SECONDS_MAX, FULL_SECONDS_MAX, REBUILD_SECONDS_MAX = 12.0, 60.0, 30.0
"""Limits by the clock for a million entries, on all cores; of the rebuilding on one."""
MEMORY_MIB_MAX = 256
LOOK_SECONDS = 0.02
KIB_PER_MIB = 1024
ENTRY_START = b'{"body"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run of the command: seconds by the clock and of the CPU, and the peak memory of all its processes."""

    seconds: float
    cpu_seconds: float
    mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Value against a limit, with the value's unit or floor as text."""

    what: str
    value: float
    limit: float
    told: str

    def row(self) -> Row:
        """Return the row of the table."""
        return self.what, self.told, f"at most {self.limit:g}", f"{self.value:.2f}"


def main() -> None:
    """Print the measurements of a small form."""
    print_table(each.row() for each in measured(ENTRIES))


def prove(entries: int) -> int:
    """Print the measurements, and return 1 if one of them is beyond its limit."""
    missed = []
    for each in measured(entries):
        print("| " + " | ".join(each.row()) + " |", flush=True)
        missed += [each.what] * (each.value > each.limit)
    print(f"Beyond the limit: {', '.join(missed)}." if missed else "All within their limits.")
    return 1 if missed else 0


def measured(entries: int) -> Iterator[Measured]:
    """Yield the measurements of an export of many accounts, and of one account, with this number of entries each."""
    with tempfile.TemporaryDirectory() as home:
        few, many, one = (Path(home) / f"{name}.ndjson" for name in ("few", "many", "one"))
        write(few, many_accounts(1, 1))
        start = run(few, "--jobs", "1")
        write(many, many_accounts(max(1, entries // ACCOUNT_ENTRIES), ACCOUNT_ENTRIES))
        write(one, one_account(entries))
        for name, file in (("many accounts", many), ("one account", one)):
            yield from _fast(name, file, start)
        yield from _full(many, start)
        yield _rebuilt(many)


def _fast(name: str, file: Path, start: Run) -> Iterator[Measured]:
    """Yield the measurements of the fast mode. `start` is a run without work, which all runs begin with."""
    count, floor = floor_seconds(file)
    alone, together = run(file, "--jobs", "1"), run(file)
    work = alone.cpu_seconds - start.cpu_seconds
    yield Measured(
        what=f"fast, {name}, one process: CPU / floor",
        value=work / floor,
        limit=FAST_MAX,
        told=f"{work / count * 1e6:.1f} µs an entry, floor {floor / count * 1e6:.1f} µs",
    )
    yield Measured(
        what=f"fast, {name}, all cores: seconds a million",
        value=_of_a_million(together, start, count),
        limit=FAST_SECONDS_MAX,
        told=f"{together.seconds:.1f} s for {count:,} entries",
    )
    yield Measured(
        what=f"fast, {name}: MiB of all processes",
        value=max(alone.mib, together.mib),
        limit=MEMORY_MIB_MAX,
        told=f"{alone.mib:.0f} MiB alone, {together.mib:.0f} MiB together",
    )


def _full(file: Path, start: Run) -> Iterator[Measured]:
    count, bare = signature_seconds(file)
    alone, together = run(file, "--full", "--jobs", "1"), run(file, "--full")
    work = alone.cpu_seconds - start.cpu_seconds
    yield Measured(
        what="full, one process: CPU / bare signature checks",
        value=work / bare,
        limit=FULL_MAX,
        told=f"{work / count * 1e6:.1f} µs an entry, bare {bare / count * 1e6:.1f} µs",
    )
    yield Measured(
        what="full, all cores: seconds a million",
        value=_of_a_million(together, start, count),
        limit=FULL_SECONDS_MAX,
        told=f"{together.seconds:.1f} s for {count:,} entries",
    )


def _of_a_million(took: Run, start: Run, count: int) -> float:
    """Return the seconds that a million entries take, if `count` entries took as long as this run."""
    begun = min(start.seconds, took.seconds)
    return begun + (took.seconds - begun) * PROVED_ENTRIES / count


def _rebuilt(file: Path) -> Measured:
    count, seconds = rebuild_seconds(file)
    return Measured(
        what="usage by day rebuilt: seconds a million",
        value=seconds * PROVED_ENTRIES / count,
        limit=REBUILD_SECONDS_MAX,
        told=f"{seconds / count * 1e6:.1f} µs an entry",
    )


def write(file: Path, lines: Iterable[bytes]) -> None:
    """Write an export with these lines behind its header."""
    with file.open("wb") as open_file:
        open_file.write(header_line())
        open_file.writelines(lines)


def floor_seconds(file: Path) -> tuple[int, float]:
    """Return the number of entries, and the CPU time of the least that any check of them does."""

    def work(line: bytes) -> None:
        body = orjson.loads(line)["body"].encode()
        again = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
        hashlib.sha256(again).hexdigest()
        hashlib.sha256(body).hexdigest()

    return cpu_seconds(file, work)


def signature_seconds(file: Path) -> tuple[int, float]:
    """Return the number of entries, and the CPU time of the bare checks of their signatures."""

    def work(line: bytes) -> None:
        record = orjson.loads(line)
        assert KEYS.is_signed(ENTRY_CONTEXT, record["hash"].encode(), kid=KEYS.kid, signature=record["signature"])

    return cpu_seconds(file, work)


def rebuild_seconds(file: Path) -> tuple[int, float]:
    """Return the number of entries, and the CPU time to sum the usage by day again from the first entry."""
    usage = UsageFold()

    def work(line: bytes) -> None:
        nonlocal usage
        body = orjson.loads(orjson.loads(line)["body"])
        usage = folded(UsageFold() if body["seq"] == 1 else usage, [body])

    return cpu_seconds(file, work)


def cpu_seconds(file: Path, work: Callable[[bytes], None]) -> tuple[int, float]:
    """Return the number of entries in an export, and the CPU time of `work` on their lines."""
    count = 0
    started = time.process_time()
    with file.open("rb") as lines:
        for line in lines:
            if line.startswith(ENTRY_START):
                count += 1
                work(line)
    return count, time.process_time() - started


def run(file: Path, *options: str) -> Run:
    """Run the command on a file. Raises AssertionError unless the file is found sound."""
    before, started = _children_cpu_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "shared.ledger.verify", str(file), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        peaks: dict[int, float] = {}
        while process.poll() is None:
            peaks |= _peaks(process.pid)
            time.sleep(LOOK_SECONDS)  # noqa: TID251  a look at the memory now and then
    assert process.returncode == 0, "the export of the bench is sound"
    seconds, cpu = time.perf_counter() - started, _children_cpu_seconds() - before
    return Run(seconds=seconds, cpu_seconds=cpu, mib=sum(peaks.values()))


def _peaks(pid: int) -> dict[int, float]:
    """Return the peak memory (MiB) of a process and of its children. Empty where the system does not tell."""
    found = {}
    for each in (pid, *_children(pid)):
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        line = next((line for line in status.splitlines() if line.startswith("VmHWM")), None)
        if line is not None:
            found[each] = int(line.split()[1]) / KIB_PER_MIB
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(prove(int(os.environ.get("PROVED", PROVED_ENTRIES))))
