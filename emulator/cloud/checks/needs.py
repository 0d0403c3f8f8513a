"""Parts that this release needs of a Google project, read from the manifest, the rules, the indexes and the code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emulator.cloud.monitoring import files
from emulator.cloud.problems import CloudProblem
from emulator.cloud.release import release_of
from emulator.cloud.roles import ROLES
from emulator.cloud.steps.apis import APIS
from emulator.cloud.steps.catalogue import read_catalogue
from emulator.cloud.steps.topics import PUBLISHED
from emulator.tools import ROOT
from shared.bootstrap.secrets import every_secret

Json = Mapping[str, Any]
TOPIC_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionNeeds:
    """Function of the manifest. None is a number that the manifest leaves to a param or to Google."""

    name: str
    memory_mb: int | None = None
    cpu: str | None = None
    concurrency: int | None = None
    timeout_seconds: int | None = None
    instances_max: int | None = None
    topic: str | None = None
    schedule: str | None = None
    zone: str = "UTC"
    secrets: frozenset[str] = frozenset()
    service_account: str | None = None
    """Name of the function's own account, before the `@`; None for the project's default account."""
    event: str | None = None
    """Type of the events that start the function; None if no event does."""
    is_retried: bool = False
    roles: frozenset[str] = frozenset()
    """Roles that the service account of this function needs."""
    is_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Needs of this release. `params` are the defaults of the manifest's params."""

    functions: Mapping[str, FunctionNeeds]
    topics: frozenset[str]
    apis: frozenset[str]
    params: Mapping[str, str]
    indexes: frozenset[str]
    single_fields: Mapping[str, str]
    rules: str
    policies: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()
    release: str = ""
    """Name of the tree in this folder, such as `v3`."""
    catalogue: Json = field(default_factory=dict)
    """Models and packages of `catalogue.yaml` by kind and id; empty without the file, or with a mistake there."""
    catalogue_problem: str = ""
    """Mistake in the form of `catalogue.yaml`; empty if the form is right."""

    @property
    def secrets(self) -> frozenset[str]:
        """Return the names of all secrets that a function may be bound to, without further model providers."""
        return frozenset(every_secret())


def needs_of(root: Path = ROOT) -> Needs:
    """Return the needs of the release in this folder."""
    manifest = yaml.safe_load((root / "functions.yaml").read_text())
    functions = {name: _function(name, each) for name, each in manifest["endpoints"].items()}
    indexes = json.loads((root / "firestore.indexes.json").read_text())
    topics = {each.topic for each in functions.values() if each.topic}
    catalogue, problem = _catalogue(root / "catalogue.yaml")
    return Needs(
        functions=functions,
        topics=PUBLISHED | topics,
        apis=frozenset(APIS) | {each["api"] for each in manifest.get("requiredAPIs") or ()},
        params={each["name"]: str(each.get("default", "")) for each in manifest.get("params") or ()},
        indexes=frozenset(index_text(each["collectionGroup"], each) for each in indexes["indexes"]),
        single_fields={
            f"{each['collectionGroup']}.{each['fieldPath']}": field_text(each) for each in indexes["fieldOverrides"]
        },
        rules=(root / "firestore.rules").read_text(),
        metrics=frozenset(each.name for each in files("") if each.kind == "metric"),
        policies=frozenset(each.name for each in files("") if each.kind == "policy"),
        release=release_of(root),
        catalogue=catalogue,
        catalogue_problem=problem,
    )


def index_text(collection: str, index: Json) -> str:
    """Return a composite index as one text. `__name__` is left out: Firestore appends that field itself."""
    fields = [each for each in index["fields"] if each["fieldPath"] != "__name__"]
    parts = [f"{each['fieldPath']} {each.get('order') or each.get('arrayConfig') or 'vector'}" for each in fields]
    return f"{collection} ({index.get('queryScope', 'COLLECTION')}): {', '.join(parts)}"


def field_text(override: Json) -> str:
    """Return the indexes of a single field, and its time to live, as one text."""
    kinds = [
        f"{each.get('order') or each.get('arrayConfig')} {each.get('queryScope', 'COLLECTION')}"
        for each in override.get("indexes") or ()
    ]
    return ", ".join(sorted(kinds) or ["no index"]) + (", time to live" if override.get("ttl") else "")


def _catalogue(file: Path) -> tuple[Json, str]:
    """Return the content of the reviewed file, and the mistake in its form: empty if there is none."""
    try:
        return (read_catalogue(file), "") if file.exists() else ({}, "")
    except CloudProblem as problem:
        return {}, str(problem)


def _function(name: str, each: Json) -> FunctionNeeds:
    trigger = each.get("eventTrigger") or {}
    schedule = each.get("scheduleTrigger") or {}
    return FunctionNeeds(
        name=name,
        memory_mb=_number(each.get("availableMemoryMb")),
        cpu=None if each.get("cpu") is None else str(each["cpu"]),
        concurrency=_number(each.get("concurrency")),
        timeout_seconds=_number(each.get("timeoutSeconds")),
        instances_max=_number(each.get("maxInstances")),
        topic=trigger.get("eventFilters", {}).get("topic") if trigger.get("eventType") == TOPIC_EVENT else None,
        schedule=schedule.get("schedule"),
        event=trigger.get("eventType"),
        is_retried=bool(trigger.get("retry")),
        zone=schedule.get("timeZone", "UTC"),
        service_account=each.get("serviceAccount") or each.get("serviceAccountEmail"),
        roles=frozenset(ROLES.get(name, ())),
        is_http="httpsTrigger" in each,
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
