"""The cost of a run of the watch, as a table: `make flat`. The exit code is 1 if the cost grows with all addresses."""

import sys

from emulator.chains.anvil import Anvil
from emulator.chains.proxy import ChainProxy
from tests.flat.costs import cost_of_run
from tests.support.anvil import town

EVER, HOT = (10, 10_000, 100_000), (10, 1_000, 5_000)


def main() -> int:
    """Print one line for each number of addresses. Return the exit code."""
    is_flat = True
    with Anvil() as node, ChainProxy(node.url) as proxy:
        place = town(node)
        sys.stdout.write(f"{'hot':>7} {'ever':>9} {'requests':>9} {'reads':>6} {'commits':>8}\n")
        for hot in HOT:
            costs = {ever: cost_of_run(place, proxy, ever=ever, hot=hot) for ever in EVER if ever >= hot}
            for ever, cost in costs.items():
                sys.stdout.write(f"{hot:>7,} {ever:>9,} {cost.requests:>9} {cost.reads:>6} {cost.commits:>8}\n")
            is_flat = is_flat and len(set(costs.values())) == 1
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
