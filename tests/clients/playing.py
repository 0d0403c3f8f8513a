"""One client played through its cases: its verdict for each, and whether all of its calls were paid for."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from emulator.seed import MODELS
from emulator.upstream import Upstream
from tests.clients.cases import CASES, fault_of
from tests.clients.environments import pinned_version, python_of
from tests.clients.node_environments import locked_version, node_command
from tests.clients.stage import Counter
from tests.clients.table import Client
from tests.support.node import ScriptFailed

HERE = Path(__file__).parent
FOLDERS = {"recorded": "recorded"}
YES, NO, NOT_OFFERED = "yes", "no", "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How scripts of one language are run, and where their clients' versions are pinned."""

    command: Callable[[str], list[str]]
    """Of an environment: the command that plays a script."""
    version: Callable[[str, str], str]
    """Of an environment and a package: the pinned version."""


RUNTIMES: Mapping[str, Runtime] = {
    "python": Runtime(
        command=lambda environment: [str(python_of(environment)), "-I", str(HERE / "play.py")], version=pinned_version
    ),
    "recorded": Runtime(
        command=lambda _: [sys.executable, "-I", str(HERE / "replay.py")],
        version=lambda recording, _: str(json.loads((HERE / "recorded" / recording).read_text())["version"]),
    ),
    "node": Runtime(command=node_command, version=locked_version),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one client. `faults`: by case, why it failed; `surprises`: what the table says otherwise."""

    client: Client
    faults: Mapping[str, str]
    surprises: list[str]

    def cell(self, case: str) -> str:
        return NOT_OFFERED if case in self.client.lacks else NO if case in self.faults else YES


def version_of(client: Client) -> str:
    """Return the version that the table's client is pinned to."""
    return RUNTIMES[client.runtime].version(client.environment, client.package)


def play(client: Client, counter: Counter, upstream: Upstream) -> Outcome:
    """Run every case of a client as a new customer. Raises AssertionError if the customer's books do not add up."""
    command = RUNTIMES[client.runtime].command(client.environment)
    script = {
        "script": str(HERE / FOLDERS.get(client.runtime, "scripts") / client.script),
        "cases": client.cases,
        "package": client.package,
    }
    for each in client.scripts:
        upstream.script(**{"times": 0, **each})
    try:
        told = counter.run(command, {**script, **client.options})
    except ScriptFailed as failed:
        return Outcome(client=client, faults=dict.fromkeys(client.cases, "not played"), surprises=[str(failed)])
    faults = {case: fault for case in client.cases if (fault := _fault(client, case, told["cases"], upstream))}
    surprises = [f"{case}: {fault}" for case, fault in faults.items() if case not in client.fails]
    surprises += [f"{case}: runs by now" for case in client.fails if case not in faults]
    if told["version"] != version_of(client):
        surprises.append(f"version {told['version']} ran instead of {version_of(client)}")
    counter.settle()
    if (spent := counter.spent) != (cost := cost_of(upstream)):
        surprises.append(f"{spent} credits were charged for {cost}")
    counter.check_books()
    return Outcome(client=client, faults=faults, surprises=surprises)


def _fault(client: Client, case: str, played: Mapping[str, Any], upstream: Upstream) -> str | None:
    answer = played[case]
    if "error" in answer:
        return str(answer["error"])
    if case in CASES:
        return fault_of(case, answer["got"], upstream.requests)
    expected = client.beside[case]
    return None if answer["got"] == expected else f"expected {expected!r}, got {answer['got']!r}"


def cost_of(upstream: Upstream) -> Decimal:
    """Return the credits for everything that the provider billed, at 100 credits for a dollar."""
    return sum((_cost_of_call(request) for request in upstream.requests), Decimal(0))


def _cost_of_call(request: Mapping[str, Any]) -> Decimal:
    prices, bill = MODELS[request["body"]["model"]], request["bill"]
    priced = {"input_tokens": "input_usd_per_mtok", "output_tokens": "output_usd_per_mtok"}
    return sum((bill[count] * Decimal(prices.get(price, "0")) for count, price in priced.items()), Decimal(0)) / 10_000
