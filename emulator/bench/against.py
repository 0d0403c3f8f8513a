"""`make bench AGAINST=REF`: this tree and another, asked in turn by the same clients, pair by pair.

Each tree's `api` runs as production starts it, with emulators of its own and one stand-in provider for both. The
clients are this tree's, so the other tree needs no bench. A figure is the server's CPU time per call, and the p50.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from emulator.bench import chat, gateways, own_tables, serving
from emulator.bench.tables import milliseconds, timed
from emulator.bench.trees import NOW, Tree, changed_requirements, tree_of
from emulator.problems import LaptopProblem
from emulator.suite import Suite

PAIRS = 5
CALLS_PER_PAIR = 160
CALLS_PER_CLIENT = chat.TURNS_PER_CONVERSATION
WARM_UP_ROUNDS = 24
USERS_MAX = 16
CPU_RATIO_MAX = 1.10
"""The most that chat and gateways may take of the CPU time they took before, median of five pairs."""
SEED = "import sys; from emulator.seed import seed_models; seed_models(sys.argv[1])"
HEAD = ("what", "CPU before", "CPU now", "CPU ratio", "p50 before", "p50 now", "p50 ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A tree that serves: its `api`, the process whose CPU time counts, people with credits, an API key of each."""

    tree: Tree
    server: serving.Server
    people: Sequence[chat.Person]
    keys: Sequence[str]


Calls = Sequence[Callable[[], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement: the number of clients at once, and the calls that each client makes in a round."""

    what: str
    clients: int
    ready: Callable[[Side, int], Calls]


@dataclass(slots=True)
class Sample:
    """Seconds that the calls of one pair took on one side."""

    cpu: float = 0.0
    each: list[float] = field(default_factory=list)

    @property
    def cpu_per_call(self) -> float:
        return self.cpu / len(self.each)

    @property
    def p50(self) -> float:
        return statistics.median(self.each)


def _turns(side: Side, number: int, *, is_streamed: bool = False) -> Calls:
    person = side.people[number % len(side.people)]
    return [partial(person.say, person.conversation(), is_streamed=is_streamed)] * CALLS_PER_CLIENT


def _completions(side: Side, number: int, *, is_streamed: bool = False) -> Calls:
    body, key = {**gateways.BODY, "stream": is_streamed}, side.keys[number % len(side.keys)]
    return [partial(chat.asked, f"{side.server.url}/v1/openai/chat/completions", body, key)] * CALLS_PER_CLIENT


def _figures(what: str, ready: Callable[..., Calls]) -> tuple[Figure, ...]:
    return (
        Figure(what=what, clients=1, ready=ready),
        Figure(what=f"{what}, streamed", clients=1, ready=partial(ready, is_streamed=True)),
        Figure(what=f"{what}, 16 clients", clients=16, ready=ready),
    )


SERVED = {"chat": _figures("a chat turn", _turns), "gateways": _figures("a completion by API key", _completions)}


def main(reference: str, parts: Sequence[str]) -> int:
    """Compare the parts (chat and gateways, if none is named) and print. Return 1 if a figure takes too much CPU."""
    names = list(parts) or list(SERVED)
    if unknown := [name for name in names if name not in {*SERVED, *own_tables.PARTS}]:
        raise LaptopProblem(f"PART names {', '.join(unknown)}; there are {', '.join([*SERVED, *own_tables.PARTS])}.")
    with tempfile.TemporaryDirectory() as scratch, tree_of(reference, Path(scratch) / "tree") as before:
        if differing := changed_requirements(before):
            print(f"{', '.join(differing)} differ: {before.name} runs with the packages of this tree.\n")
        too_much = _compare_served(before, [name for name in names if name in SERVED], Path(scratch))
        for name in names:
            if name in own_tables.PARTS:
                own_tables.compare(name, before, pairs=PAIRS)
    return 1 if too_much else 0


def _compare_served(before: Tree, names: list[str], scratch: Path) -> list[str]:
    """Print the figures of the parts and the verdict. Return the names of figures that take too much CPU time."""
    if not names:
        return []
    ratios: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(serving.upstream())
        sides = [stack.enter_context(_side(tree, upstream, scratch / str(number)))
                 for number, tree in enumerate((before, NOW))]  # fmt: skip
        print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD), flush=True)
        for figure in (figure for name in names for figure in SERVED[name]):
            try:
                ratios[figure.what] = _measure(figure, sides)
            except (OSError, RuntimeError) as error:
                print(f"| {figure.what} | cannot be compared: {error} |" + " |" * (len(HEAD) - 2), flush=True)
    return verdict(ratios, [figure.what for name in names for figure in SERVED[name]])


def verdict(ratios: dict[str, float], wanted: list[str]) -> list[str]:
    """Print which figures take more CPU time than they may and which could not be compared. Return the former."""
    bad = [what for what in wanted if ratios.get(what, 0) > CPU_RATIO_MAX]
    missing = [what for what in wanted if what not in ratios]
    limit = f"{CPU_RATIO_MAX - 1:.0%} more CPU time than before (median of {PAIRS} pairs)"
    print(f"\nMore than {limit}: {', '.join(bad)}." if bad else f"\nNothing compared takes over {limit}.")
    if missing:
        print(f"Not compared: {', '.join(missing)}.")
    return bad


def _measure(figure: Figure, sides: list[Side]) -> float:
    """Print the figure's row, each number the median of the pairs. Return the ratio of CPU times."""
    for side in sides:
        for _ in range(max(1, WARM_UP_ROUNDS // figure.clients)):
            _ask(figure, side)
    pairs = [_pair(figure, sides, is_turned=number % 2 == 1) for number in range(PAIRS)]
    cpu = [(one.cpu_per_call, two.cpu_per_call) for one, two in pairs]
    p50 = [(one.p50, two.p50) for one, two in pairs]
    row = [figure.what, *cells(cpu), *cells(p50)]
    print("| " + " | ".join(row) + " |", flush=True)
    return statistics.median(two / one for one, two in cpu)


def cells(pairs: list[tuple[float, float]]) -> list[str]:
    """Return the medians of both sides in milliseconds, and the median of the pairs' ratios with its range."""
    before, now = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [two / one for one, two in pairs]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return [milliseconds(before), milliseconds(now), f"{statistics.median(ratios):.2f}× ({spread})"]


def _pair(figure: Figure, sides: list[Side], *, is_turned: bool) -> tuple[Sample, Sample]:
    """Ask both sides in short rounds in turn, so that other work on the machine falls on both."""
    samples = [Sample(), Sample()]
    order = [1, 0] if is_turned else [0, 1]
    for _ in range(CALLS_PER_PAIR // CALLS_PER_CLIENT // figure.clients):
        for number in order:
            cpu, each = _ask(figure, sides[number])
            samples[number].cpu += cpu
            samples[number].each += each
    return samples[0], samples[1]


def _ask(figure: Figure, side: Side) -> tuple[float, list[float]]:
    """Let each client make the calls of one round. Return the server's CPU time, and the time of each call."""
    ready = [figure.ready(side, number) for number in range(figure.clients)]
    began = side.server.cpu_seconds()
    with ThreadPoolExecutor(figure.clients) as pool:
        each = [seconds for one in pool.map(_one_by_one, ready) for seconds in one]
    return side.server.cpu_seconds() - began, each


def _one_by_one(calls: Calls) -> list[float]:
    return [timed(call) for call in calls]


@contextlib.contextmanager
def _side(tree: Tree, upstream: str, home: Path) -> Iterator[Side]:
    """Serve a tree: emulators with its rules, its own models, its `api`, a user with the welcome bonus."""
    project = f"demo-bench-{time.time_ns()}"
    home.mkdir()
    with Suite(home=home, only=("auth", "firestore", "pubsub"), project=project, source=tree.root) as suite:
        environment = {**os.environ, **suite.environment()}
        subprocess.run([sys.executable, "-c", SEED, project], cwd=tree.root, env=environment, check=True)
        with serving.server(upstream, root=tree.root, environment=environment) as server:
            people = [chat.signed_up(server.url, suite) for _ in range(USERS_MAX)]
            keys = [_key(server, person) for person in people]
            yield Side(tree=tree, server=server, people=people, keys=keys)


def _key(server: serving.Server, person: chat.Person) -> str:
    body = {"name": "bench", "scopes": ["chat"]}
    key: str = chat.posted(f"{server.url}/v1/api-keys", body, person.token)["key"]
    return key
