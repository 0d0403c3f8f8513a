"""Settings that each function reads, and ports through which it acts: found by building the function's own parts.

The parts are those that the function's module names, such as `services.images.job`. Building a part reads settings and
opens ports, and both are recorded. The API's modules also name settings themselves, `settings.public_url`.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import main
from shared.bootstrap.cloud import cloud
from shared.bootstrap.jobs import JOBS, JobWorkers
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.secrets import LOG, MODELS, NEEDS, secrets_of
from shared.bootstrap.services import Services
from shared.kernel.clock import SystemClock
from shared.kernel.settings import Settings, parse_settings
from shared.payments.providers import PROVIDERS
from shared.platform.memory.documents import MemoryDocuments

ROOT = Path(__file__).resolve().parents[2]
EDGE = ROOT / "functions" / "edge.py"
HTTP = ROOT / "functions" / "http"
GROUPS = "Services"
ROOTS = ("services", "_services")
PLAIN = {
    "GCLOUD_PROJECT": "demo",
    "PAYMENT_PROVIDERS": ",".join(PROVIDERS),
    **{record.app_key.upper(): "pk_live_any" for record in PROVIDERS.values()},
}
"""Plain settings of a project that uses every payment provider."""
SIGNING_KEY = f"any:{'A' * 43}="
Chain = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """Fields of `Settings` that a function reads, and fields of `Ports` that it opens."""

    settings: frozenset[str]
    ports: frozenset[str]


class RecordedSettings:
    """Settings that remember which fields were read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._settings, name)


@cache
def reads_of(function: str) -> Reads:
    """Return the settings and the ports of a function."""
    settings, opened = RecordedSettings(_deployed_settings(function)), set[str]()
    services = _recorded_services(cast("Settings", settings), opened)
    if function in JOBS:
        workers = JobWorkers(services)
        for entry in JOBS[function]:
            entry.work(workers)
        if LOG in NEEDS[function]:
            _built(services, ("log", "signer"))
    else:
        for chain in _chains(function):
            built = _built(services, chain)
            if chain[:2] == ("payments", "webhooks"):
                [built[name] for name, record in PROVIDERS.items() if record.webhook == function]
    if function == "api":
        settings.read |= {record.app_key for record in PROVIDERS.values()}  # `GET /v1/payments/options`, by name
    if MODELS in NEEDS[function]:
        settings.read.add("ai_keyless")  # by the check of the secrets at the start
    return Reads(frozenset(settings.read), frozenset(opened))


def _deployed_settings(function: str) -> Settings:
    """Return the settings of a deployed function, which has no secret but its own."""
    secrets = secrets_of(function, PLAIN)
    values = dict.fromkeys(secrets, "a secret of many characters")
    given = values | {"LEDGER_SIGNING_KEY": SIGNING_KEY if "LEDGER_SIGNING_KEY" in secrets else ""}
    given |= {LOG: f"{'A' * 43}="} if LOG in secrets else {}
    return parse_settings({**PLAIN, **given}, secrets)


def _recorded_services(settings: Settings, opened: set[str]) -> Services:
    clock = SystemClock()
    documents = MemoryDocuments()
    ports = replace(cloud(settings, clock), documents=lambda: documents)
    recorded = {each.name: _recorded(each.name, getattr(ports, each.name), opened) for each in fields(Ports)}
    return Services(settings, clock, Ports(**recorded))


def _recorded(name: str, factory: Callable[[], Any], opened: set[str]) -> Callable[[], Any]:
    def open_port() -> Any:
        opened.add(name)
        return factory()

    return open_port


def _chains(function: str) -> Iterator[Chain]:
    """Yield the attributes of the services that the function's source names, such as `("images", "job", "run")`."""
    module = ast.parse((ROOT / f"{main.MODULES[function].replace('.', '/')}.py").read_text())
    own = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == function]
    sources: list[ast.AST] = [*own] if own and function != "api" else [module]
    if function == "api":
        sources += [ast.parse(file.read_text()) for file in sorted(HTTP.glob("*.py"))]
    elif own:
        sources.append(ast.parse(EDGE.read_text()))
    for source in sources:
        found = [node for node in ast.walk(source) if isinstance(node, ast.Attribute)]
        inner = {id(node.value) for node in found}
        yield from filter(None, (_chain(node) for node in found if id(node) not in inner))


def _chain(node: ast.Attribute) -> Chain:
    names: list[str] = []
    below: ast.expr = node
    while isinstance(below, ast.Attribute):
        names.insert(0, below.attr)
        below = below.value
    if isinstance(below, ast.Name):
        names.insert(0, below.id)
    for root in ROOTS:
        if root in names:
            return tuple(names[names.index(root) + 1 :])
    return tuple(names) if names[0] == "settings" else ()


def _built(services: Services, chain: Chain) -> Any:
    """Return the part at the chain, built. For a group of parts, build all of them."""
    found: Any = services
    for name in chain:
        if not _is_group(found) and found is not services.settings:
            return found
        found = getattr(found, name)
    if _is_group(found) and found is not services:
        for name, value in vars(type(found)).items():
            if isinstance(value, part):
                getattr(found, name)
    return found


def _is_group(found: object) -> bool:
    return type(found).__name__.endswith(GROUPS)
