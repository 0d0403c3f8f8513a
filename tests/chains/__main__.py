"""The long form, `python -m tests.chains SEED REORGS`: random reorgs, with workers killed at every commit."""

import contextlib
import io
import sys
import time
from collections import Counter

from tests.chains.node_shop import node_shop
from tests.chains.reorgs import EventReader, History, Tally, by_block, by_transaction

REORGS_PER_NODE = 100


def main() -> int:
    """Play and tell. Raises AssertionError where a law is broken."""
    seed, reorgs = (int(argument) for argument in sys.argv[1:3])
    play_reorgs(seed, reorgs)
    return 0


def play_reorgs(seed: int, reorgs: int) -> None:
    """Play reorgs in histories of their own, each over two fresh nodes."""
    tally, wrong, began = Tally(), Counter[str](), time.monotonic()
    for number, first in enumerate(range(0, reorgs, REORGS_PER_NODE)):
        say(f"history {number}, seed {seed + number}, after {time.monotonic() - began:.0f} s")
        with contextlib.redirect_stdout(io.StringIO()), node_shop(seed + number) as shop:
            readers = {"by block": EventReader(shop, by_block), "by transaction": EventReader(shop, by_transaction)}
            history = History(shop, tally, after=tuple(readers.values()))
            for _ in range(min(REORGS_PER_NODE, reorgs - first)):
                history.step()
            history.finish()
            tally.seen.update(shop.fates)
            wrong.update({name: reader.wrong for name, reader in readers.items()})
    for line in tally.lines():
        say(f"  {line}")
    for name, number in wrong.items():
        say(f"  wrong sums if effects are named {name}: {number}")
    say(f"  every law held; {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
