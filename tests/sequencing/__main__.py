"""The long form, `python -m tests.sequencing [ENTRIES [KILLS]]`: 100,000 entries and 100 kills, unless told otherwise.

Counts the documents written for each thousand entries first: they must stay as few from the first thousand to the last.
"""

import io
import shutil
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from emulator.suite import Suite
from tests.sequencing.counting import SHAPES, written
from tests.sequencing.storm import LogStorm, rage
from tests.support.emulators import running

ENTRIES, KILLS = 100_000, 100
ACCOUNTS, PER_VISIT = 250, 20
FLAT = 6
"""Most writes by which a thousand differs from another: a page of runs for some accounts."""


def main(entries: int = ENTRIES, kills: int = KILLS) -> int:
    """Return 0 if the counts are few and flat, and the log is whole after the storm."""
    is_sound = all(_is_flat(per_visit, entries // 1_000) for per_visit in SHAPES)
    home = Path(tempfile.mkdtemp(prefix="sequencing-"))
    with running(Suite(home=home, only=("firestore",), project="demo-log")):
        visits = max(1, entries // (ACCOUNTS * PER_VISIT))
        storm = LogStorm(project="demo-log", accounts=ACCOUNTS, visits=visits, entries=PER_VISIT, kills=kills)
        size = rage(storm)
    shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(f"{size:,} of {storm.total:,} entries in the log, each once, after {kills} kills\n")
    return 0 if is_sound and size == storm.total else 1


def _is_flat(per_visit: int, thousands: int) -> bool:
    with redirect_stdout(io.StringIO()):
        counts, most = list(written(per_visit, thousands)), SHAPES[per_visit][1]
    sys.stdout.write(
        f"{per_visit} entries a visit: {min(counts)} to {max(counts)} documents written for a thousand entries\n"
    )
    return sum(counts) / len(counts) <= most and max(counts) - min(counts) <= max(FLAT, most // 50)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
