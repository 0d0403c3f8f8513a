"""`python -m tests.simulation PLAY FIRST SEEDS [COMMANDS]`: play by seed, on all cores.

PLAY is `histories`; `reserves`, sixty-four at once for credits that pay for exactly K; or `twins`, histories played
over memory and on the Firestore emulator as well, one after the other, which must come out the same.
"""

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from emulator.suite import Suite
from tests.simulation.reserves import Reserves
from tests.simulation.simulator import Simulation

COMMANDS = 500
End = tuple[Counter[str], str]
"""How often callers were told what, and what went wrong, if anything did."""


def main() -> int:
    """1 if a law was broken or a caller deceived; which seed it was is told."""
    play, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    commands = int(sys.argv[4]) if sys.argv[4:] else COMMANDS
    plays: dict[str, Callable[[range], Iterable[End]]] = {
        "histories": partial(on_all_cores, partial(history, commands)),
        "reserves": partial(on_all_cores, reserves),
        "twins": partial(twins, commands),
    }
    told, failures = Counter[str](), list[str]()
    for tally, failure in plays[play](range(first, first + count)):
        told.update(tally)
        failures += [failure] if failure else []
    for failure in failures:
        sys.stdout.write(f"{failure}\n")
    for kind, number in told.most_common():
        sys.stdout.write(f"{number:>9,}  {kind}\n")
    sys.stdout.write(f"{play}: {count} seeds from {first}, {len(failures)} failed\n")
    return 1 if failures else 0


def on_all_cores(play: Callable[[int], End], seeds: range) -> list[End]:
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        return list(pool.imap_unordered(play, seeds, chunksize=4))


def history(commands: int, seed: int) -> End:
    return _end(Simulation(seed, commands))


def reserves(seed: int) -> End:
    return _end(Reserves(seed))


def _end(simulation: Simulation) -> End:
    try:
        simulation.run()
    except Exception:  # noqa: BLE001  whatever it is, it is told with its seed
        return Counter(), traceback.format_exc()
    return Counter(simulation.tally()), ""


def twins(commands: int, seeds: range) -> list[End]:
    from tests.simulation.twins import difference

    home = Path(tempfile.mkdtemp(prefix="twins-"))
    with Suite(home=home, only=("firestore",), project="demo-twins") as suite:
        os.environ.update(suite.environment())
        return [(Counter(), difference(seed, commands, project=f"demo-twins-{seed}")) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
