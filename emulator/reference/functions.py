"""Reference page of the functions: trigger, size, limits, secrets, roles, and the settings that each reads."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import yaml

from emulator.cloud.roles import REASONS, ROLES
from emulator.reference.markdown import ROOT, page, table
from emulator.reference.reads import PLAIN, reads_of
from emulator.reference.settings import field_docstrings, name_of
from shared.bootstrap.secrets import NEEDS, secrets_of
from shared.kernel.settings import Settings

OPENING = """\
[`functions.yaml`](../../functions.yaml) declares the functions; a deployment gives each function an account of its own
([decision 0055](../decisions/0055-a-codebase-for-each-function.md)). The region is `REGION`, and `MIN_INSTANCES` of the
API stay warm."""
BOUNDS = ("Function", "Instances at most", "Calls at once", "Dollars an hour", "Why so many")
LIMITS = ("Function", "Trigger", "Memory", "Requests at once", "Instances at most", "Seconds at most")
INSTANCES = """\
The bound of each function, and the cost of an hour with all instances busy, at list prices
([how to change a bound](../operating/instances.md))."""
REASON = re.compile(r"^  (\w+):\n(?:    .*\n)*?    maxInstances: \d+  # (.+)$", re.MULTILINE)
CPU_SECOND, GIB_SECOND = 0.000_024, 0.000_002_5
"""List prices of Cloud Run in dollars, for a second of a processor and of a GiB of memory."""
HOUR_SECONDS = 3_600
NEEDED = """\
Secrets stand in Secret Manager ([`shared/bootstrap/secrets.py`](../../shared/bootstrap/secrets.py)). A secret of a
payment provider is needed only if the project uses the provider. A function that needs `AI_PLATFORM_API_KEY` also needs
`AI_UPSTREAM_<NAME>_API_KEY` of each name in `AI_UPSTREAMS`. `api`, `every_minute` and `every_day` need the addresses of
the nodes of each network in `CRYPTO_NETWORKS`, `<NETWORK>_RPC_URLS` or `<NETWORK>_API_URLS`, unless these are plain
settings, which show no key. Roles are those of [`emulator/cloud/roles.py`](../../emulator/cloud/roles.py)."""
READ = (
    "Plain settings that a function's parts read when they are built. Every function checks the form of all settings."
)


def functions_page() -> str:
    """Return the page."""
    manifest = yaml.safe_load((ROOT / "functions.yaml").read_text())
    endpoints: Mapping[str, Mapping[str, Any]] = manifest["endpoints"]
    return page(
        "Functions",
        OPENING,
        table(LIMITS, [_limits(name, endpoint) for name, endpoint in endpoints.items()]),
        "## Instances",
        INSTANCES,
        table(BOUNDS, [_bounds(name, endpoint) for name, endpoint in endpoints.items()]),
        "## Secrets and roles",
        NEEDED,
        table(("Function", "Secrets", "Roles"), [(f"`{name}`", *_needs(name)) for name in endpoints]),
        table(("Role", "Why"), [(f"`{role}`", why) for role, why in REASONS.items()]),
        "## Settings",
        READ,
        table(("Setting", "Read by"), _settings()),
        "## APIs",
        table(("API", "Why"), [(f"`{each['api']}`", each["reason"]) for each in manifest["requiredAPIs"]]),
    )


def _limits(name: str, endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    sizes = ("availableMemoryMb", "concurrency", "maxInstances", "timeoutSeconds")
    memory, *numbers = (str(endpoint[size]) for size in sizes)
    return (f"`{name}`", _trigger(endpoint), f"{memory} MiB", *numbers)


def instance_reasons() -> Mapping[str, str]:
    """Return the reason for the number of a function's instances, by function: the comment in functions.yaml."""
    return dict(REASON.findall((ROOT / "functions.yaml").read_text()))


def _bounds(name: str, endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    instances = endpoint["maxInstances"]
    dollars = (
        instances * HOUR_SECONDS * (CPU_SECOND * endpoint["cpu"] + GIB_SECOND * endpoint["availableMemoryMb"] / 1024)
    )
    at_once = f"{instances * endpoint['concurrency']:,}"
    return f"`{name}`", str(instances), at_once, f"{dollars:.2f}", instance_reasons().get(name, "")


def _trigger(endpoint: Mapping[str, Any]) -> str:
    if (schedule := endpoint.get("scheduleTrigger")) is not None:
        return f"schedule `{schedule['schedule']}`, {schedule['timeZone']}"
    event = endpoint.get("eventTrigger")
    if event is None:
        return "HTTP"
    filters = {**event["eventFilters"], **event.get("eventFilterPathPatterns", {})}
    place = filters.get("document") or filters.get("topic")
    kind = event["eventType"].rpartition(".")[2]
    return f"`{place}`: {kind}" if place else f"login: {kind}"


def _needs(name: str) -> tuple[str, str]:
    return _code(secrets_of(name, PLAIN)), _code(role.removeprefix("roles/") for role in ROLES[name])


def _settings() -> Iterable[tuple[str, str]]:
    documented = field_docstrings(Settings)
    for field in fields(Settings):
        if field.name in documented and field.repr:
            readers = [name for name in NEEDS if field.name in reads_of(name).settings]
            yield f"`{name_of(field.name)}`", "all" if len(readers) == len(NEEDS) else _code(readers)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
