"""One storm: four processes at work, one killed at random again and again, until everything has been answered."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from emulator.tools import ROOT
from shared.platform.firestore.documents import connect
from tests.chaos.plan import SLOTS, accounts, plan
from tests.chaos.worker import Storm, arguments
from tests.support.history import Call, read_history
from tests.support.history_books import Book, read_book
from tests.support.history_checker import Anomaly, anomalies
from tests.support.ledgers import KEYS

KILL_SECONDS = 1.0
STALLED_SECONDS_MAX = 120.0
END_SECONDS_MAX = 20.0


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


@dataclass(slots=True)
class _Answers:
    """How many sends have been answered, read from the histories as they grow."""

    storm: Storm
    read: dict[Path, int] = field(default_factory=dict)
    sends: dict[str, int] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)

    def count(self) -> int:
        for path in self.storm.files():
            with path.open("rb") as file:
                file.seek(self.read.get(path, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self.read[path] = self.read.get(path, 0) + len(whole)
            for line in whole.splitlines():
                self._take(orjson.loads(line))
        return len(self.answered)

    def _take(self, record: dict[str, Any]) -> None:
        if "send" in record:
            self.sends[record["call"]] = record["send"]
        elif record["verdict"] in {"ok", "refused"}:
            self.answered.add(self.sends[record["call"]])


def rage(
    storm: Storm, *, kill_seconds: float = KILL_SECONDS, progress: Callable[[str], None] = lambda line: None
) -> Damage:
    """Play the storm to its end, and judge it. FIRESTORE_EMULATOR_HOST says where."""
    ledger = storm.ledger()
    for uid in accounts():
        ledger.open(uid)
    started, sends = time.monotonic(), len(plan(storm.seed, storm.operations))
    with Nursery(storm) as nursery:
        kills = _play(storm, nursery, sends, kill_seconds, progress)
    seconds = time.monotonic() - started
    calls, documents = read_history(storm.files()), connect(storm.project)
    books = [read_book(documents, ledger, KEYS, uid) for uid in accounts()]
    return Damage(
        anomalies=anomalies(calls, books),
        calls=calls,
        books=books,
        kills=kills,
        seconds=seconds,
        unanswered=sends - len({call.send for call in calls if call.is_settled}),
    )


def _play(
    storm: Storm, nursery: Nursery, sends: int, kill_seconds: float, progress: Callable[[str], None]
) -> int:
    """Kill and start again until every send is answered; how often was killed. Raises if nothing goes on any more."""
    dice, answers, pause = random.Random(storm.seed), _Answers(storm), threading.Event()
    lives, kills, moved = 0, 0, (0, time.monotonic())
    alive: list[int] = []
    while (done := answers.count()) < sends:
        if done > moved[0]:
            moved = (done, time.monotonic())
        assert time.monotonic() - moved[1] < STALLED_SECONDS_MAX, f"nothing is answered any more: {done} of {sends}"
        for slot in [slot for slot in range(SLOTS) if slot not in alive]:
            lives += 1
            nursery.tell("start", slot, lives)
        progress(f"{done:,} of {sends:,} answered, {kills} killed")
        pause.wait(kill_seconds * (0.5 + dice.random()))
        if alive := nursery.tell("look")["alive"]:
            alive = nursery.tell("kill", dice.choice(alive))["alive"]
            kills += 1
    assert nursery.tell("look")["failed"] == 0, "a worker ended by an error of its own"
    return kills
