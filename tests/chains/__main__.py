"""The long form, `python -m tests.chains SEED REORGS SCHEDULES AGENTS`.

Random reorgs with workers killed at every commit; then random schedules of faults of the sources; then agents that pay
by themselves, with each kind of fault, over memory and on nodes.
"""

import contextlib
import io
import sys
import time
from collections import Counter

from tests.chains.liars import liars
from tests.chains.node_agents import FAULTS, node_agents
from tests.chains.node_shop import node_shop
from tests.chains.paying_agents import TURNS, PayingAgents
from tests.chains.reorgs import EventReader, History, Tally, by_block, by_transaction

REORGS_PER_NODE = 100
SCHEDULES_PER_NODE = 100
AGENTS_PER_WORLD = 50


def main() -> int:
    """Play and tell. Raises AssertionError where a law is broken."""
    seed, reorgs, schedules, agents = (int(argument) for argument in sys.argv[1:5])
    play_reorgs(seed, reorgs)
    play_liars(seed, schedules)
    play_agents(seed, agents)
    play_node_agents(seed, agents)
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


def play_liars(seed: int, schedules: int) -> None:
    """Play schedules of faults, each hundred over fresh nodes."""
    tally, wrong, began = Tally(), 0, time.monotonic()
    for number, first in enumerate(range(0, schedules, SCHEDULES_PER_NODE)):
        say(f"liars {number}, seed {seed + number}, after {time.monotonic() - began:.0f} s")
        with contextlib.redirect_stdout(io.StringIO()), liars(seed + number, tally) as played:
            for _ in range(min(SCHEDULES_PER_NODE, schedules - first)):
                played.play(played.plan())
            wrong += played.reader.wrong
    for line in tally.lines():
        say(f"  {line}")
    say(f"  payments that a reader of logs has wrong: {wrong}")
    say(f"  no credit without its level, nothing taken back for nothing; {time.monotonic() - began:.0f} s")


def play_agents(seed: int, times: int) -> None:
    """Play payments of agents with each kind of fault, some at a time over a fresh world."""
    tally, began = Counter[str](), time.monotonic()
    for number, first in enumerate(range(0, times, AGENTS_PER_WORLD)):
        say(f"agents {number}, seed {seed + number}, after {time.monotonic() - began:.0f} s")
        with contextlib.redirect_stdout(io.StringIO()):
            agents = PayingAgents(seed + number, tally)
            for _ in range(min(AGENTS_PER_WORLD, times - first)):
                for name in TURNS:
                    agents.play(name)
    say_agents(tally, began)


def play_node_agents(seed: int, times: int) -> None:
    """Play payments of agents with each kind of fault, some at a time on a fresh node."""
    tally, began = Counter[str](), time.monotonic()
    for number, first in enumerate(range(0, times, AGENTS_PER_WORLD)):
        say(f"agents on node {number}, seed {seed + number}, after {time.monotonic() - began:.0f} s")
        with contextlib.redirect_stdout(io.StringIO()), node_agents(seed + number, tally) as agents:
            for _ in range(min(AGENTS_PER_WORLD, times - first)):
                for name in FAULTS:
                    agents.play(name)
    say_agents(tally, began)


def say_agents(tally: Counter[str], began: float) -> None:
    for name, times in sorted(tally.items()):
        say(f"  {name}: {times}")
    say(f"  who paid has credits and call once, who did not has neither; {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
