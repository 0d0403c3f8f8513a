"""Which test notices which mutant: every test runs once with its lines noted, then each mutant in a fork of its own."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.mutants import ROOT, Mutant, function_of

LEDGER = str(ROOT / "shared" / "ledger") + os.sep
TESTS_SECONDS_MAX = float(os.environ.get("SECONDS", "6"))
"""So much of the tests that could notice a mutant is run: what noticed its neighbours, its module's, the quick."""
KILLERS_MAX = 8
STUCK_FACTOR, STUCK_SECONDS = 20.0, 3.0
"""A test that takes that much longer than it used to never ends: that is noticed as well."""

Line = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """What became of a mutant: `killed` by a test, `stuck`, `survived`, or `unseen` as no test runs that line."""

    mutant: Mutant
    end: str
    by: str = ""


@dataclass
class Killing:
    """A pytest plugin: in the place of the run it notes, mutates and forks. What is left are the `fates`."""

    mutants: Sequence[Mutant]
    jobs: int
    tell: Callable[[Fate, int], None]
    fates: list[Fate] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _killers: list[str] = field(default_factory=list)
    _tests: dict[Line, list[pytest.Item]] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            self._note(item)
        if not self.broken:
            self._mutate()
        return True

    def _note(self, item: pytest.Item) -> None:
        """Run it as it is: once to see its lines, once for its time."""
        lines: set[Line] = set()
        with _noted(lines):
            is_good = passes(item)
        began = time.process_time()
        is_good = is_good and passes(item)
        self._seconds[item.nodeid] = time.process_time() - began
        if not is_good:
            self.broken.append(item.nodeid)
        for line in lines:
            self._tests.setdefault(line, []).append(item)

    def _mutate(self) -> None:
        waiting, running = list(reversed(self.mutants)), dict[int, tuple[Mutant, int]]()
        while waiting or running:
            while waiting and len(running) < self.jobs:
                self._begin(waiting.pop(), running)
            ready = select.select(list(running), [], [])[0] if running else ()
            for pipe in ready:
                self._end(pipe, *running.pop(pipe))

    def _begin(self, mutant: Mutant, running: dict[int, tuple[Mutant, int]]) -> None:
        path = function_of(mutant.module, mutant.function).__code__.co_filename
        tests = self._chosen(mutant, self._tests.get((path, mutant.line), []))
        if not tests:
            self._fate(Fate(mutant, "unseen"))
            return
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._die_trying(mutant, tests, writing)
        os.close(writing)
        running[reading] = (mutant, pid)

    def _chosen(self, mutant: Mutant, tests: Sequence[pytest.Item]) -> list[pytest.Item]:
        chosen, seconds = [], 0.0
        ranks = {killer: rank - KILLERS_MAX for rank, killer in enumerate(self._killers)}
        own = f"test_{mutant.module.rpartition('.')[2]}.py"

        def rank(item: pytest.Item) -> tuple[int, bool, float]:
            return ranks.get(item.nodeid, 0), item.path.name != own, self._seconds[item.nodeid]

        for item in sorted(tests, key=rank):
            seconds += self._seconds[item.nodeid]
            if seconds < TESTS_SECONDS_MAX:
                chosen.append(item)
        return chosen

    def _praise(self, killer: str) -> None:
        self._killers = [killer, *(other for other in self._killers if other != killer)][:KILLERS_MAX]

    def _die_trying(self, mutant: Mutant, tests: Sequence[pytest.Item], told: int) -> None:
        """The fork: tell the first test that fails, or that none does. An alarm ends one that does not end."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        try:
            mutant.apply()
            for item in tests:
                signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS + STUCK_FACTOR * self._seconds[item.nodeid])
                if not passes(item):
                    os.write(told, item.nodeid.encode()[:4_000])
                    break
            else:
                os.write(told, b"survived")
        finally:
            os._exit(0)

    def _end(self, pipe: int, mutant: Mutant, pid: int) -> None:
        told = os.read(pipe, 4_096).decode()
        os.close(pipe)
        _, status = os.waitpid(pid, 0)
        is_stuck = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        if told == "survived":
            self._fate(Fate(mutant, "survived"))
        else:
            self._fate(Fate(mutant, "stuck" if is_stuck else "killed", told))
            self._praise(told)

    def _fate(self, fate: Fate) -> None:
        self.fates.append(fate)
        self.tell(fate, len(self.fates))


def passes(item: pytest.Item) -> bool:
    """Whether a test passes, run with all that it needs set up for it and taken down behind it."""
    reports = runtestprotocol(item, nextitem=None, log=False)
    return all(report.passed for report in reports)


class _noted:  # noqa: N801  it reads as a verb
    """Note each line of the ledger that any thread runs meanwhile."""

    def __init__(self, lines: set[Line]) -> None:
        self._lines = lines
        self._is_ours: dict[CodeType, bool] = {}

    def __enter__(self) -> None:
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _on_call(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in self._is_ours:
            self._is_ours[code] = code.co_filename.startswith(LEDGER)
        if not self._is_ours[code]:
            return None
        self._lines.add((code.co_filename, frame.f_lineno))
        return self._on_line

    def _on_line(self, frame: FrameType, event: str, _: Any) -> Any:
        self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._on_line


def tally(fates: Sequence[Fate]) -> Mapping[str, tuple[int, int]]:
    """For each module how many mutants were noticed, and how many there are."""
    modules = sorted({fate.mutant.module for fate in fates})
    return {
        module: (
            sum(fate.end in {"killed", "stuck"} for fate in fates if fate.mutant.module == module),
            sum(fate.mutant.module == module for fate in fates),
        )
        for module in modules
    }


def survivors(fates: Sequence[Fate]) -> Iterator[Fate]:
    """Those that nobody noticed."""
    return (fate for fate in fates if fate.end in {"survived", "unseen"})


def modules() -> list[str]:
    """All of the ledger."""
    names = sorted(path.stem for path in Path(LEDGER).glob("*.py") if path.stem != "__init__")
    return [f"shared.ledger.{name}" for name in names]
