"""`make rotation` and `make soak`: rotations of the signing key while writers run and sequencers die.

`python -m tests.rotation OPERATIONS DORMANT SECONDS [emulator]`: in memory, or on the Firestore emulator.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.suite import Suite
from shared.kernel.documents import Documents
from shared.platform.firestore.documents import connect
from shared.platform.memory.documents import MemoryDocuments
from tests.rotation.dormant import names, put_to_sleep, wake
from tests.rotation.sequencers import SequencerStorm
from tests.rotation.storm import LeapingClock, RotationStorm
from tests.rotation.test_rotation import EVERY_KIND
from tests.support.emulators import running
from tests.support.rotations import Fleet

PROJECT = "demo-rotation"


def main(operations: int, dormant: int, seconds: float, store: str = "memory") -> int:
    """Print what happened, and return 1 if anything went wrong."""
    with stored(store) as documents:
        return _rotate(documents, operations, dormant, seconds)


@contextmanager
def stored(store: str) -> Iterator[Documents]:
    """Yield documents in memory, or of an emulator of their own."""
    if store == "memory":
        yield MemoryDocuments()
        return
    home = Path(tempfile.mkdtemp(prefix="rotation-"))
    with running(Suite(home=home, only=("firestore",), project=PROJECT)):
        yield connect(PROJECT)
    shutil.rmtree(home, ignore_errors=True)


def _rotate(documents: Documents, operations: int, dormant: int, seconds: float) -> int:
    fleet, started = Fleet(documents=documents, clock=LeapingClock()), time.monotonic()
    storm, sleepers = RotationStorm(fleet, seed=int(started)), names(dormant)
    put_to_sleep(fleet.deploy(*storm.keys, marks=""), sleepers)
    sequencers = SequencerStorm(storm)
    with sequencers.raging():
        outcome = storm.run(operations, lambda: time.monotonic() - started >= seconds)
    woken = [wrong for uid in sleepers for wrong in wake(storm.instances[0], uid)]
    size, missing = sequencers.finish(), sorted(EVERY_KIND - storm.kinds())
    failures = [*outcome.failures, *sequencers.failures]
    wrong = [*failures, *storm.alarms(), *map(str, storm.broken()), *woken, *missing]
    for line in wrong[:50]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(
        f"seed {storm.seed}: {outcome.operations:,} operations, {outcome.rotations} rotations, {dormant:,} dormant "
        f"accounts, {size:,} leaves by sequencers that died {sequencers.deaths:,} times, in "
        f"{time.monotonic() - started:.0f} s; {len(wrong)} things wrong. {dict(outcome.answers)}\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]))
