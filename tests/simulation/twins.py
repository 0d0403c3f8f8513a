"""One history on two stores: over memory and on Firestore everybody is told the same, and the same is stored."""

from shared.platform.firestore.documents import connect
from tests.simulation.simulator import Simulation
from tests.support.ledgers import KEYS


def difference(seed: int, commands: int, *, project: str) -> str:
    """Where the two part, or nothing. FIRESTORE_EMULATOR_HOST says where the second store is; it is to be empty."""
    first = Simulation(seed, commands, keys=KEYS)
    second = Simulation(seed, commands, connect(project), KEYS)
    first.run()
    second.run()
    for number, (one, two) in enumerate(zip(first.history(), second.history(), strict=False)):
        if one != two:
            return f"seed {seed}, answer {number}: {one} in memory, {two} on Firestore"
    left, right = first.stored(), second.stored()
    paths = sorted(path for path in left.keys() | right.keys() if left.get(path) != right.get(path))
    return f"seed {seed}: {paths[0]} differs" if paths else ""
