"""Sequencers beside a rotation that die again and again, with commits of unclear outcome.

Goal: each entry is one leaf of the log, though keys change and the minute's own job appends as well. Method: threads
run the job `log` on instances of the newest deployment. Each dies before or after one of its first commits, a tenth of
its commits are unclear, and the next begins with a new instance.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shared.bootstrap.jobs import JobWorkers
from shared.kernel.errors import DomainError
from shared.sagas.engine.jobs import JobRun
from tests.rotation.storm import RotationStorm
from tests.sequencing.storm import UnclearDocuments
from tests.support import books as ask
from tests.support.faults import Crash, Dying
from tests.support.sequencing import check_log

SEQUENCERS = 2
LIFE_COMMITS_MAX = 6
ROUND_SECONDS = 3.0
PAUSE_SECONDS = 0.02
FINISH_SECONDS = 60.0


class SequencerStorm:
    """Sequencers on the store of a storm of rotations. `deaths` counts those that died at a commit."""

    def __init__(self, storm: RotationStorm) -> None:
        self.storm = storm
        self.deaths = 0
        self.failures: list[str] = []
        self._is_over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def raging(self) -> Iterator[None]:
        """Let the sequencers live and die meanwhile, and end them."""
        threads = [threading.Thread(target=self._live_and_die, args=(number,)) for number in range(SEQUENCERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def finish(self) -> int:
        """Append what is left, assert that the log is the tree of all entries, and return the log's size.

        The last entry of an account may be a hold, which waits for an entry with a marker. So each gets one more.
        """
        storm = self.storm
        for uid in storm.uids:
            storm.instances[0].credits.ledger.execute(uid, ask.grant("last", 1, operation="last"))
        run = JobRun("", storm.fleet.clock, FINISH_SECONDS)
        JobWorkers(storm.instances[0]).log.sweep(run)
        return check_log(storm.fleet.documents)

    def _live_and_die(self, number: int) -> None:
        dice, life = random.Random(f"{self.storm.seed}:{number}"), 0
        while not self._is_over.wait(PAUSE_SECONDS):
            life += 1
            self._live(dice, life)

    def _live(self, dice: random.Random, life: int) -> None:
        """Run the job over and over on one instance, until it dies or all is over."""
        fleet = self.storm.fleet
        unclear = UnclearDocuments(fleet.documents, dice.randrange(1 << 30))
        dying = Dying(unclear, at=dice.randint(1, LIFE_COMMITS_MAX), when=dice.choice(("before", "after")))
        workers, cursor = JobWorkers(fleet.deploy(*self.storm.keys, documents=dying)), ""
        try:
            while not self._is_over.wait(PAUSE_SECONDS):
                run = JobRun(cursor, fleet.clock, ROUND_SECONDS)
                with suppress(DomainError):
                    workers.log.sweep(run)
                cursor = run.cursor
        except Crash:
            with self._lock:
                self.deaths += 1
        except Exception as error:  # noqa: BLE001  told by the test
            self.failures.append(f"sequencer, life {life}: {error!r}")
