"""`make run`: bring the whole backend up, walk its main job once, keep it up, end everything it started."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import requests

from emulator.chains.bitcoin import BitcoinServices, bitcoin_services
from emulator.chains.laptop import FACILITATOR, LaptopChains, laptop_chains
from emulator.chains.laptop import PORTS as CHAIN_PORTS
from emulator.clock import Clock
from emulator.examples import run_examples
from emulator.payment_providers import payment_providers
from emulator.ports import binding, free_ports, require_free
from emulator.problems import LaptopProblem
from emulator.runs import only_run_in, suite_home
from emulator.screen import Screen
from emulator.seed import OPERATOR, PASSWORD, USER, seed
from emulator.settings import announce_settings, laptop_settings, protect_settings
from emulator.suite import EMULATORS, STORAGE, Suite
from emulator.tools import ROOT
from emulator.upstream import Upstream
from emulator.walk import Walk, WalkError
from emulator.warming import warmed
from shared.ai.models.profiles import PROFILES
from shared.payments.ports import ProviderName
from shared.payments.providers import PROVIDERS

PROJECT = "demo-laptop"
PORTS = {
    "auth": 9099,
    "firestore": 8080,
    "functions": 5001,
    "pubsub": 8085,
    "storage": 9023,
    "ai": 4010,
    **{name: 4011 + number for number, name in enumerate(PROVIDERS)},
    "bitcoin": 4021,
    **CHAIN_PORTS,
}
ENDPOINTS = "endpoints.json"
EXAMPLES_LOG = "examples.log"
STAND_IN_DELAY_MS = 25
STAND_IN_PROFILE = "laptop"
POLL_SECONDS = 1.0
AGAIN = "everything else has been ended. Start again with `make run`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Running backend: the suite, the chains, all addresses by name, and the addresses of the stand-in providers."""

    suite: Suite
    chains: LaptopChains
    addresses: Mapping[str, str]
    shops: Mapping[str, str]


def main() -> int:
    chosen = arguments()
    screen = Screen()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    is_walked, maker = False, os.getppid()
    try:
        with backend(chosen, screen) as running:
            is_walked = walk(running, screen)
            write_endpoints(chosen.home / ENDPOINTS, running.addresses)
            screen.addresses(running.addresses, is_walked=is_walked)
            screen.sign_ins(USER["email"], OPERATOR["email"], PASSWORD)
            if not chosen.once:
                stay_up(running, maker)
    except LaptopProblem as problem:
        screen.problem(str(problem))
        return 1
    except KeyboardInterrupt:
        screen.line("Ended; no process is left.")
    return 0 if is_walked else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator", description="The whole backend on this machine.")
    parser.add_argument("--once", action="store_true", help="walk the main job, then end everything")
    parser.add_argument("--home", type=Path, default=ROOT / "emulator" / ".run", help="where its files go")
    return parser.parse_args()


def _interrupt(*_: object) -> NoReturn:
    """The first Ctrl-C or SIGTERM ends the run; more of them do not disturb the ending."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextlib.contextmanager
def backend(chosen: argparse.Namespace, screen: Screen) -> Iterator[Backend]:
    """Start the suite, the stand-ins and their addresses, and end all processes at the end, also after any error."""
    ports = chosen_ports(os.environ.get("EMULATOR_PORTS", ""))
    if (warning := protect_settings()) is not None:
        screen.warning(warning)
    settings = laptop_settings()
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_run_in(chosen.home))
        (chosen.home / ENDPOINTS).unlink(missing_ok=True)
        require_free(ports)
        settings |= provider(stack, settings, ports["ai"], screen)
        payments = payment_providers(stack, settings, ports, chosen.home.resolve())
        settings |= payments.settings
        chains = started_chains(stack, settings, ports, screen)
        settings |= chains.settings
        emulator_ports = {name: ports[name] for name in (*EMULATORS, STORAGE)}
        announced = announce_settings(chosen.home, settings)
        stack.callback(announced.unlink, missing_ok=True)
        home = empty_suite_home(chosen.home)
        announcement = chosen.home.resolve() / ENDPOINTS
        suite = Suite(home=home, project=PROJECT, ports=emulator_ports, settings=settings, announcement=announcement)
        with screen.waiting("starting the Firebase emulators and the functions"):
            stack.enter_context(suite)
        os.environ.update(suite.environment())
        shops = {stand_in.name: stand_in.url for stand_in in payments.stand_ins.values()}
        fill(suite, screen, settings, next(iter(shops), None))
        payments.deliver_to(suite.endpoints.functions)
        stack.enter_context(Clock(lambda: suite.fire_schedule("every_minute"), on_failure=screen.warning))
        addresses = {"ai": settings["AI_PLATFORM_BASE_URL"], **payments.addresses, **chains.addresses}
        yield Backend(suite=suite, chains=chains, addresses={**addresses_of(suite), **addresses}, shops=shops)
        screen.line("\nEnding …")


def empty_suite_home(home: Path) -> Path:
    """Return an empty directory for the files of the emulators."""
    found = suite_home(home)
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    return found


def started_chains(
    stack: contextlib.ExitStack, settings: Mapping[str, str], ports: Mapping[str, int], screen: Screen
) -> LaptopChains:
    """Start the chains of the laptop: EVM networks, unless the settings name networks, and Bitcoin."""
    with screen.waiting("starting the chains and their contracts"):
        found = laptop_chains(stack, settings, ports)
    coins = bitcoin(stack, {**settings, **found.settings}, ports["bitcoin"], screen)
    found.settings |= coins.settings
    found.addresses |= coins.addresses
    return found


def bitcoin(stack: contextlib.ExitStack, settings: Mapping[str, str], port: int, screen: Screen) -> BitcoinServices:
    """Start a Bitcoin node with its API, if this machine has a node, and say so if not."""
    with screen.waiting("starting the Bitcoin node"):
        found = bitcoin_services(stack, settings, port)
    if found.problem:
        screen.line(found.problem)
    return found


def fill(suite: Suite, screen: Screen, settings: Mapping[str, str], provider: ProviderName | None) -> None:
    """Seed the empty project, and make the things that examples name. `provider` is one with a stand-in, or None."""
    log = suite.home / EXAMPLES_LOG
    with screen.waiting("seeding models, packages, topics, people and examples"), warmed(suite.endpoints.api):
        seed(PROJECT)
        is_made = run_examples({"PUBLIC_URL": suite.endpoints.api, **settings}, provider, log)
    if not is_made:
        screen.warning(f"The things that the API's examples name could not be made (the log: {log}).")


def chosen_ports(text: str) -> dict[str, int]:
    """Return the ports by name: the usual ones, `free` ones, or the usual ones with some replaced by
    `firestore=8180,…`.
    """
    if text == "free":
        return free_ports(PORTS)
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    try:
        replaced = {name.strip(): int(port) for name, _, port in pairs}
    except ValueError as error:
        raise LaptopProblem("EMULATOR_PORTS must be `free` or pairs such as firestore=8180,auth=9199.") from error
    if unknown := replaced.keys() - PORTS.keys():
        raise LaptopProblem(f"EMULATOR_PORTS names {', '.join(sorted(unknown))}; there are {', '.join(PORTS)}.")
    return {**PORTS, **replaced}


def provider(stack: contextlib.ExitStack, settings: Mapping[str, str], port: int, screen: Screen) -> dict[str, str]:
    """Use the model provider of the settings, or start a stand-in with the profile of the settings.

    Raises LaptopProblem for an unknown profile.
    """
    given = {**settings, **{name: value for name, value in os.environ.items() if value}}
    key = given.get("AI_PLATFORM_API_KEY") or "sk-laptop"
    if named := given.get("AI_PLATFORM_BASE_URL"):
        return {"AI_PLATFORM_BASE_URL": named, "AI_PLATFORM_API_KEY": key}
    profile = given.get("AI_PLATFORM_PROFILE") or STAND_IN_PROFILE
    if profile not in PROFILES:
        raise LaptopProblem(f"AI_PLATFORM_PROFILE must be one of {', '.join(PROFILES)}.")
    ends = PROFILES[profile].abort_ends_billing
    with binding("ai", port):
        url = stack.enter_context(Upstream(port=port, delay_ms=STAND_IN_DELAY_MS, ends=ends)).url
    kept = "ends the bill" if ends else "is billed to the end of the answer"
    screen.line(f"  model provider: a stand-in with profile {profile}; a call that is aborted {kept}")
    return {"AI_PLATFORM_BASE_URL": url, "AI_PLATFORM_API_KEY": key, "AI_PLATFORM_PROFILE": profile}


def walk(running: Backend, screen: Screen) -> bool:
    """Return True if the main job went well. Otherwise the screen shows the failed step."""
    screen.title("The main job, once")
    suite = running.suite
    try:
        Walk(
            endpoints=suite.endpoints,
            show=screen.step,
            type_out=screen.type_out,
            shops=running.shops,
            purse=running.chains.purse,
            has_agents=FACILITATOR in running.chains.addresses,
        ).run()
    except (WalkError, requests.RequestException, KeyError, ImportError) as error:
        screen.problem(f"The walk stopped: {error!r}\nThe functions' log is {suite.log} (`make logs`).")
        return False
    return True


def addresses_of(suite: Suite) -> dict[str, str]:
    places = suite.endpoints
    return {
        "project": places.project,
        "api": places.api,
        "functions": places.functions,
        "auth": places.auth,
        "firestore": places.firestore,
        "pubsub": places.pubsub,
        "storage": places.storage,
    }


def write_endpoints(file: Path, addresses: Mapping[str, Any]) -> None:
    """Write the file whole or not at all, since a reader may wait for the file."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(addresses, indent=2) + "\n")
    draft.replace(file)


def stay_up(running: Backend, maker: int) -> None:
    """Raise when an emulator or a chain ends (LaptopProblem), or when `maker`, the `make` of this run, is gone."""
    pause, suite = threading.Event(), running.suite
    while not pause.wait(POLL_SECONDS):
        if "MAKELEVEL" in os.environ and os.getppid() != maker:
            raise KeyboardInterrupt
        if not suite.is_running():
            raise LaptopProblem(f"The Firebase emulators ended by themselves (their log: {suite.log}); {AGAIN}")
        if silent := suite.silent():
            raise LaptopProblem(f"The {silent[0]} emulator ended by itself (the log: {suite.log}); {AGAIN}")
        if not running.chains.are_running():
            raise LaptopProblem(f"An EVM node (anvil) ended by itself; {AGAIN}")


if __name__ == "__main__":
    sys.exit(main())
