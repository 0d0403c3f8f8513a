"""The long form, `python -m tests.chaos SEED OPERATIONS`: as many operations as asked, by a seed."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from emulator.suite import Suite
from tests.chaos.storm import Damage, rage
from tests.chaos.worker import Storm

SHOWN_MAX = 20


def main() -> int:
    """Play, tell, and keep the histories if anything is wrong."""
    seed, operations = (int(argument) for argument in sys.argv[1:3])
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    with Suite(home=home / "emulator", only=("firestore",), project="demo-chaos") as suite:
        os.environ.update(suite.environment())
        storm = Storm(seed=seed, operations=operations, project="demo-chaos", directory=str(home))
        damage = rage(storm, progress=_progress)
    _tell(storm, damage)
    if damage.anomalies or damage.unanswered:
        sys.stdout.write(f"\nThe histories: {home}\n")
        return 1
    shutil.rmtree(home)
    return 0


def _progress(line: str) -> None:
    sys.stdout.write(f"\r{line}   ")
    sys.stdout.flush()


def _tell(storm: Storm, damage: Damage) -> None:
    sys.stdout.write(
        f"\nseed {storm.seed}: {storm.operations:,} operations, {len(damage.calls):,} calls in {damage.seconds:.0f} s, "
        f"{damage.kills} kills\n"
    )
    for what, count in damage.tally().most_common():
        sys.stdout.write(f"  {count:>8,}  {what}\n")
    sys.stdout.write(f"{len(damage.anomalies)} anomalies, {damage.unanswered} unanswered\n")
    for anomaly in damage.anomalies[:SHOWN_MAX]:
        sys.stdout.write(f"  {anomaly}\n")


if __name__ == "__main__":
    sys.exit(main())
