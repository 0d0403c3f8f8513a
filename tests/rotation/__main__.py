"""`make rotation` and `make soak`: rotations of the signing key while writers run."""

import sys
import time

from tests.rotation.dormant import names, put_to_sleep, wake
from tests.rotation.storm import LeapingClock, RotationStorm
from tests.rotation.test_rotation import EVERY_KIND
from tests.support.rotations import Fleet


def main(operations: int, dormant: int, seconds: float) -> int:
    """Print what happened, and return 1 if anything went wrong."""
    fleet, started = Fleet(clock=LeapingClock()), time.monotonic()
    storm, sleepers = RotationStorm(fleet, seed=int(started)), names(dormant)
    put_to_sleep(fleet.deploy(*storm.keys, marks=""), sleepers)
    outcome = storm.run(operations, lambda: time.monotonic() - started >= seconds)
    woken = [wrong for uid in sleepers for wrong in wake(storm.instances[0], uid)]
    wrong = [*outcome.failures, *storm.alarms(), *map(str, storm.broken()), *woken, *sorted(EVERY_KIND - storm.kinds())]
    for line in wrong[:50]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(
        f"seed {storm.seed}: {outcome.operations:,} operations, {outcome.rotations} rotations, {dormant:,} dormant "
        f"accounts in {time.monotonic() - started:.0f} s; {len(wrong)} things wrong. {dict(outcome.answers)}\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
