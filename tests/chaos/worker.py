"""The processes of a storm: a nursery that has everything imported, and the workers that it forks and kills.

A worker sends what is its own, and what the killed left without an answer: the histories say what that is. The nursery
takes one line of JSON at a time, and gives one back. When nobody speaks to it any more it kills its workers and ends,
and a worker without a nursery ends as well: nothing outlives the test.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from shared.kernel.clock import SystemClock
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect
from tests.chaos.plan import Send, plan
from tests.support.history import Growing, Recorder
from tests.support.ledgers import KEYS

THREADS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Which plan, on which database, written down where."""

    seed: int
    operations: int
    project: str
    directory: str

    def past(self) -> Growing:
        return Growing(Path(self.directory))

    def file(self, slot: int, life: int) -> Path:
        return Path(self.directory) / f"slot{slot}-{life:05d}.jsonl"

    def ledger(self) -> Ledger:
        """An instance of its own: cold, with a connection of its own."""
        return Ledger(connect(self.project), SystemClock(), KEYS, ledger_id=self.project, hold_lifetime_seconds=900)


def left_to_do(past: Growing, sends: list[Send], slot: int) -> list[Send]:
    """What nobody has an answer to and this slot is to send: first what the dead left it, then its own."""
    newest = {path.name.partition("-")[0]: path for path in past.files()}
    under_way = {send for name, path in newest.items() if name != f"slot{slot}" for send in past.unanswered(path)}
    taken = past.settled | under_way
    left = [send for send in sends if send.number not in taken]
    orphans = [send for send in left if send.number in past.begun and send.heir == slot]
    return orphans + [send for send in left if send.number not in past.begun and send.slot == slot]


def work(recorder: Recorder, todo: Iterable[Send], nursery: int) -> None:
    """Send it all, from several threads, as long as the nursery is there."""
    sends, lock = iter(todo), threading.Lock()

    def send_on() -> None:
        while os.getppid() == nursery:
            with lock:
                send = next(sends, None)
            if send is None:
                return
            recorder.carry_out(send.number, send.ask)

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(send_on) for _ in range(THREADS)]:
            done.result()


class Nursery:
    """Forks workers and kills them; their parent, so that a pid is never somebody else's."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._sends = plan(storm.seed, storm.operations)
        self._past = storm.past()
        self._alive: dict[int, int] = {}
        self._failed = 0

    def obey(self, command: str, slot: int, life: int) -> dict[str, Any]:
        """`start` or `kill` a slot's worker, or `look`. Who is alive now, and how many have failed by themselves."""
        if command == "start" and slot not in self._alive:
            self._alive[slot] = self._fork(slot, life)
        elif command == "kill" and slot in self._alive:
            pid = self._alive.pop(slot)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._look()
        return {"alive": sorted(self._alive), "failed": self._failed}

    def end(self) -> None:
        for slot in list(self._alive):
            self.obey("kill", slot, 0)

    def _fork(self, slot: int, life: int) -> int:
        self._past.read_on()
        nursery, pid = os.getpid(), os.fork()
        if pid != 0:
            return pid
        try:
            _leave_the_pipes()
            recorder = Recorder(self._storm.ledger(), self._storm.file(slot, life))
            work(recorder, left_to_do(self._past, self._sends, slot), nursery)
        except BaseException:  # noqa: BLE001  a child must never return into its parent's code
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _look(self) -> None:
        for slot, pid in list(self._alive.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._alive[slot]
                self._failed += status != 0


def _leave_the_pipes() -> None:
    """They are the nursery's: when it is gone, whoever speaks to it is to notice."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)


def commands() -> Iterator[list[Any]]:
    """One per line, until nobody is there to speak."""
    while line := sys.stdin.buffer.readline():
        yield orjson.loads(line)


def main() -> None:
    """Serve as the nursery of the storm that the first argument tells."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nursery = Nursery(Storm(**orjson.loads(sys.argv[1])))
    try:
        for command, slot, life in commands():
            sys.stdout.buffer.write(orjson.dumps(nursery.obey(command, slot, life)) + b"\n")
            sys.stdout.buffer.flush()
    finally:
        nursery.end()


def arguments(storm: Storm) -> list[str]:
    """How to start the nursery."""
    return [sys.executable, "-m", "tests.chaos.worker", orjson.dumps(asdict(storm)).decode()]


if __name__ == "__main__":
    main()
