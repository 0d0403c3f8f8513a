"""Run one storm: kill one of four working processes at random, until every command has an answer."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from emulator.tools import ROOT
from shared.kernel.errors import Unavailable
from shared.kernel.ids import Uid
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect
from tests.chaos.plan import SLOTS, accounts, plan
from tests.chaos.worker import Storm, arguments
from tests.support.history import Call, Growing, read_history
from tests.support.history_books import Book, read_book
from tests.support.history_checker import Anomaly, anomalies
from tests.support.ledgers import KEYS

KILL_SECONDS = 1.0
KILLS_MIN = 5
"""However fast a machine is: somebody is killed at least each time that such a part has been answered."""
LOOK_SECONDS = 0.02
CALM = 0.98
"""So much is answered under fire; the rest is what the last killed left behind."""
STALLED_SECONDS_MAX = 120.0
END_SECONDS_MAX = 60.0
OPEN_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What came of a storm."""

    anomalies: list[Anomaly]
    calls: list[Call]
    books: list[Book]
    kills: int
    seconds: float
    unanswered: int

    def tally(self) -> Counter[str]:
        """How often what was told; `killed` are the calls that nobody lived to see the end of."""
        told = [call.code or call.verdict if call.ended is not None else "killed" for call in self.calls]
        replays = sum(call.is_replay for call in self.calls)
        landed = sum(len(book.entries) for book in self.books)
        return Counter(told) + Counter({"(replays)": replays, "(entries)": landed})


class Nursery(AbstractContextManager["Nursery"]):
    """The workers' parent, from outside."""

    def __init__(self, storm: Storm) -> None:
        self._process = subprocess.Popen(
            arguments(storm), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It ends its workers when nobody speaks to it any more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(END_SECONDS_MAX)
        self._process.stdout.close()

    def tell(self, command: str, slot: int = 0, life: int = 0) -> dict[str, Any]:
        """See `tests.chaos.worker.Nursery.obey`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps([command, slot, life]) + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = orjson.loads(self._process.stdout.readline())
        return answer


def rage(
    storm: Storm, *, kill_seconds: float = KILL_SECONDS, progress: Callable[[str], None] = lambda line: None
) -> Damage:
    """Play the storm to its end, and judge it. FIRESTORE_EMULATOR_HOST says where."""
    ledger = storm.ledger()
    for uid in accounts():
        _open(ledger, uid)
    started, sends = time.monotonic(), len(plan(storm.seed, storm.operations))
    with Nursery(storm) as nursery:
        kills = _play(storm, nursery, sends, kill_seconds, progress)
    seconds = time.monotonic() - started
    calls, documents = read_history(Path(storm.directory).glob("*.jsonl")), connect(storm.project)
    books = [read_book(documents, KEYS, storm.project, uid) for uid in accounts()]
    return Damage(
        anomalies=anomalies(calls, books),
        calls=calls,
        books=books,
        kills=kills,
        seconds=seconds,
        unanswered=sends - len({call.send for call in calls if call.is_settled}),
    )


def _open(ledger: Ledger, uid: Uid) -> None:
    """An emulator that has just been started may take its time."""
    for _ in range(OPEN_ATTEMPTS_MAX - 1):
        try:
            return ledger.open(uid)
        except Unavailable:
            continue
    return ledger.open(uid)


def _play(storm: Storm, nursery: Nursery, sends: int, kill_seconds: float, progress: Callable[[str], None]) -> int:
    """Kill and start again until every send is answered; how often was killed. Raises if nothing goes on any more."""
    dice, past = random.Random(storm.seed), storm.past()
    lives, kills, moved = 0, 0, (0, time.monotonic())
    alive: list[int] = []
    while (done := _settled(past)) < sends:
        if done > moved[0]:
            moved = (done, time.monotonic())
        assert time.monotonic() - moved[1] < STALLED_SECONDS_MAX, f"nothing is answered any more: {done} of {sends}"
        for slot in [slot for slot in range(SLOTS) if slot not in alive]:
            lives += 1
            nursery.tell("start", slot, lives)
        progress(f"{done:,} of {sends:,} answered, {kills} killed")
        _wait(past, seconds=kill_seconds * (0.5 + dice.random()), up_to=done + sends // KILLS_MIN)
        answer = nursery.tell("look")
        assert answer["failed"] == 0, "a worker ended by an error of its own"
        alive = answer["alive"]
        if alive and done < sends * CALM:
            alive = nursery.tell("kill", dice.choice(alive))["alive"]
            kills += 1
    return kills


def _wait(past: Growing, *, seconds: float, up_to: int) -> None:
    """So long, or until so many are answered."""
    pause, until = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < until and _settled(past) < up_to:
        pause.wait(LOOK_SECONDS)


def _settled(past: Growing) -> int:
    past.read_on()
    return len(past.settled)
