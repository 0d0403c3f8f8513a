"""Two sequencers at once on one Firestore, killed again and again, with commits of unclear outcome.

Goal: each entry is one leaf, and the root is the naive tree's. Method: entries are made while two processes run the
job `log`; each process is killed with SIGKILL after a random time and replaced, until all kills are done. One clean
run then takes in the rest, and every leaf is looked up.
"""

import io
import multiprocessing
import random
import sys
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess

from shared.kernel.clock import SystemClock
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Documents, OutcomeUnknown
from shared.kernel.errors import DomainError
from shared.ledger.log.rounds import Visit
from shared.platform.firestore.documents import connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.sagas.accounts.log_sweep import LogSweep
from shared.sagas.engine.jobs import JobRun
from tests.support.faults import FaultyDocuments
from tests.support.sequencing import EntryMill, LogWorld, check_log, positions, users

SEQUENCERS = 2
UNCLEAR = 0.1
"""Share of the commits whose outcome is not told, half of them applied."""
LIFE_SECONDS = (0.5, 3.0)
"""A process is killed at a time between these after its first round may have begun."""
ROUND_SECONDS = 20.0
ROUNDS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStorm:
    """Numbers of a storm: accounts, visits of each, entries of a visit, and processes that are killed."""

    project: str
    accounts: int
    visits: int
    entries: int
    kills: int
    seed: int = 1
    life_seconds: tuple[float, float] = LIFE_SECONDS

    @property
    def total(self) -> int:
        """Return the number of all entries."""
        return self.accounts * self.visits * self.entries


class UnclearDocuments(FaultyDocuments):
    """Documents of which some commits have no clear answer."""

    def __init__(self, inner: Documents, seed: int) -> None:
        super().__init__(inner)
        self._chosen = random.Random(seed)

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        fate = self._chosen.random()
        if fate < UNCLEAR / 2:
            raise OutcomeUnknown
        versions = super().commit(writes, timeout_seconds=timeout_seconds)
        if fate < UNCLEAR:
            raise OutcomeUnknown
        return versions


def sequence(project: str, seed: int) -> None:
    """Run the job `log` again and again, until killed."""
    sys.stdout = io.StringIO()  # the lines of a process that is killed tell nobody anything
    documents, clock, cursor = UnclearDocuments(connect(project), seed), SystemClock(), ""
    world = LogWorld(store=documents)
    while True:
        run = JobRun(cursor, clock, ROUND_SECONDS)
        try:
            LogSweep(documents, world.sequencer(documents), MemoryAlerts(), clock).sweep(run)
        except DomainError:
            continue
        cursor = run.cursor
        clock.wait(0.05)


def rage(storm: LogStorm) -> int:
    """Let the storm rage, assert that the log is whole, and return the log's size."""
    documents, chosen = connect(storm.project), random.Random(storm.seed)
    mill, spawn, kills = EntryMill(documents), multiprocessing.get_context("spawn"), 0
    alive = [_born(spawn, storm, number) for number in range(SEQUENCERS)]
    visits = 0
    try:
        while visits < storm.visits or kills < storm.kills:
            if visits < storm.visits:
                mill.clock.advance(1_000)
                mill.grow(users(storm.accounts), storm.entries)
                visits += 1
            if kills < storm.kills:
                SystemClock().wait(chosen.uniform(*storm.life_seconds) if visits >= storm.visits else 0.0)
                victim = chosen.randrange(SEQUENCERS)
                _kill(alive[victim])
                kills += 1
                alive[victim] = _born(spawn, storm, SEQUENCERS + kills)
    finally:
        for process in alive:
            _kill(process)
    finish(documents, storm)
    return check_log(documents)


def finish(documents: Documents, storm: LogStorm) -> None:
    """Append what is left."""
    sequencer = replace(LogWorld(store=documents)).sequencer(documents)
    last = storm.visits * storm.entries
    for _ in range(ROUNDS_MAX):
        known = positions(documents)
        behind = [uid for uid in users(storm.accounts) if known.get(uid, 0) < last]
        if not behind:
            return
        sequencer.append([Visit(uid=uid, seq=last) for uid in behind[:200]])


def _born(spawn, storm: LogStorm, seed: int) -> SpawnProcess:
    process = spawn.Process(target=sequence, args=(storm.project, seed), daemon=True)
    process.start()
    return process


def _kill(process: SpawnProcess) -> None:
    process.kill()
    process.join()
