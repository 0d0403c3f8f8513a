"""Worker processes of a verification: each checks units of an export, and answers with JSON.

A job is one line of JSON, `{"name", "size", …}`, and `size` bytes of data. The answer is one line of JSON. Jobs of one
lane run in order on one worker, since a journal is folded in order; all other jobs run on any worker.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

from shared.ledger.verify.command.checker import Answer, UnitChecker

WORKERS_MAX = 64
IN_FLIGHT_PER_WORKER = 2
"""Number of jobs that may wait or run for each worker, so that memory is bounded."""
MODULE = "shared.ledger.verify.command.worker"
END_SECONDS = 10


class WorkerLost(Exception):
    """Loss of a worker process before its answer, by a signal or for want of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitJob:
    """Work for a checker. `lane` is None if any worker may do the job in any order."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""
    lane: int | None = None


class Workers(Protocol):
    """Doers of jobs. `submit` gives the place of the job's answer."""

    @property
    def lanes(self) -> int:
        """Number of jobs that can run at once, and of lanes."""

    def submit(self, job: UnitJob) -> None:
        """Queue a job, once there is room. Raises WorkerLost."""

    def ready(self) -> Sequence[Answer]:
        """Return the next answers in the order of submission, as far as they are there. Raises WorkerLost."""

    def rest(self) -> Sequence[Answer]:
        """Wait for all jobs, and return the remaining answers in order. Raises WorkerLost."""


class OwnWorker:
    """Worker in this process, for small exports."""

    lanes = 1

    def __init__(self) -> None:
        self._checker = UnitChecker()
        self._answers: list[Answer] = []

    def submit(self, job: UnitJob) -> None:
        """Do the job at once."""
        self._answers.append(self._checker.do(job.name, {**job.options, "name": job.name}, job.data))

    def ready(self) -> Sequence[Answer]:
        """Return the answers since the last call."""
        answers, self._answers = self._answers, []
        return answers

    def rest(self) -> Sequence[Answer]:
        """Return the answers since the last call."""
        return self.ready()


class WorkerProcesses:
    """Worker processes, one per core. Use as a context manager, which ends the processes."""

    def __init__(self, count: int) -> None:
        self.lanes = max(1, min(count, WORKERS_MAX))
        self._changed = threading.Condition()
        self._any: deque[tuple[int, UnitJob]] = deque()
        self._own: list[deque[tuple[int, UnitJob]]] = [deque() for _ in range(self.lanes)]
        self._answers: dict[int, Answer] = {}
        self._submitted = 0
        self._answered = 0
        self._given = 0
        self._is_ended = False
        self._failure: str | None = None
        self._processes = [_started() for _ in range(self.lanes)]
        self._threads = [threading.Thread(target=self._serve, args=(lane,), daemon=True) for lane in range(self.lanes)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes: at once after an error, else when they have seen the end of their input."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
        for process in self._processes:
            if kind is not None:
                process.kill()
        for thread in self._threads:
            thread.join(END_SECONDS)
        for process in self._processes:
            _close(process)

    def submit(self, job: UnitJob) -> None:
        """Queue a job as soon as fewer than `IN_FLIGHT_PER_WORKER` jobs per worker wait. Raises WorkerLost."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._in_flight < IN_FLIGHT_PER_WORKER * self.lanes)
            self._raise_failure()
            queue = self._any if job.lane is None else self._own[job.lane]
            queue.append((self._submitted, job))
            self._submitted += 1
            self._changed.notify_all()

    def ready(self) -> Sequence[Answer]:
        """Return the next answers in the order of submission, as far as they are there. Raises WorkerLost."""
        with self._changed:
            self._raise_failure()
            return self._next_answers()

    def rest(self) -> Sequence[Answer]:
        """Wait for all jobs, and return the remaining answers in order. Raises WorkerLost."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._in_flight)
            self._raise_failure()
            return self._next_answers()

    @property
    def are_ended(self) -> bool:
        """True if no process runs any more."""
        return all(process.poll() is not None for process in self._processes)

    def kill(self, lane: int) -> None:
        """End one process at once, as the system does when memory is short."""
        self._processes[lane].kill()

    @property
    def _in_flight(self) -> int:
        return self._submitted - self._answered

    def _next_answers(self) -> Sequence[Answer]:
        answers = []
        while (answer := self._answers.pop(self._given, None)) is not None:
            answers.append(answer)
            self._given += 1
        return answers

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise WorkerLost(self._failure)

    def _serve(self, lane: int) -> None:
        """Pass jobs to one process and take the answers, until the end or the loss of the process."""
        process = self._processes[lane]
        try:
            while (taken := self._next(lane)) is not None:
                number, job = taken
                answer = _answered(process, job)
                with self._changed:
                    self._answers[number] = answer
                    self._answered += 1
                    self._changed.notify_all()
        except (OSError, ValueError) as error:
            self._lost(process, error)

    def _next(self, lane: int) -> tuple[int, UnitJob] | None:
        with self._changed:
            own = self._own[lane]
            self._changed.wait_for(lambda: own or self._any or self._is_ended or self._failure)
            if self._is_ended or self._failure:
                return None
            return own.popleft() if own else self._any.popleft()

    def _lost(self, process: "subprocess.Popen[bytes]", error: Exception) -> None:
        try:
            code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}" if code else f"by {error}"
        with self._changed:
            if not self._is_ended:
                self._failure = f"a worker process ended {how} before all was checked"
            self._changed.notify_all()


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _answered(process: "subprocess.Popen[bytes]", job: UnitJob) -> Answer:
    """Pass a job to the process and wait for the answer. Raises OSError or ValueError if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps({**job.options, "name": job.name, "size": len(job.data)}) + b"\n")
    process.stdin.write(job.data)
    process.stdin.flush()
    answer: Answer = orjson.loads(process.stdout.readline())
    return answer


def _started() -> "subprocess.Popen[bytes]":
    """Start a process that imports this package from where this process did, and that no Ctrl-C reaches."""
    path = os.pathsep.join(str(Path(each).absolute()) for each in sys.path)
    return subprocess.Popen(  # noqa: S603  this Python, with a module of this package
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
