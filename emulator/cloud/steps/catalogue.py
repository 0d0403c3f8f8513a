"""Models and packages: those in the reviewed file catalogue.yaml, put through the API as an operator puts them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emulator.cloud.people import OPERATOR, signed_in
from emulator.cloud.problems import CloudProblem
from emulator.cloud.project import Change, Project
from emulator.cloud.served import await_api
from emulator.cloud.stored import stored_documents
from shared.kernel.schemas import SCHEMA_VERSION

FILE = "catalogue.yaml"
KINDS = ("models", "packages")
NOT_COMPARED = frozenset({"price_version", "updated_at", "v", "version", "schema", SCHEMA_VERSION})
"""Stored fields that follow from the others, or from the time of the change."""
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Model or package that is stored otherwise than the file says. `before` is None if nothing is stored."""

    kind: str
    id: str
    body: Mapping[str, Any]
    before: Stored | None
    after: Stored

    def lines(self) -> Iterator[str]:
        before = self.before or {}
        changed = [name for name in sorted(before.keys() | self.after.keys()) if name not in NOT_COMPARED]
        yield f"{'new' if self.before is None else 'changed'} {self.kind[:-1]} {self.id}"
        for name in changed:
            was, will_be = before.get(name), self.after.get(name)
            if was != will_be:
                yield f"  {name}: {'' if self.before is None else f'{was} → '}{will_be}"


def look(project: Project) -> Sequence[Change]:
    found = differences(project)
    if not found:
        return []

    def apply() -> None:
        await_api(project)
        with signed_in(project, OPERATOR) as operator:
            for each in found:
                body = {**each.body, "reason": f"{FILE}, by make deploy"}
                operator.call("PUT", f"/v1/admin/{each.kind}/{each.id}", body)

    lines = [f"       {line}" for each in found for line in each.lines()]
    says = "\n".join([f"put {len(found)} models and packages of {FILE} into the catalogue", *lines])
    return [Change(says=says, do=apply, question="Write these models and packages?")]


def differences(project: Project) -> list[Difference]:
    """Return the models and packages that are to be written. Raises CloudProblem for a body that the API refuses."""
    file = read_catalogue(project.root / FILE)
    stored = {kind: stored_documents(project, kind) for kind in KINDS}
    written = preview(file, stored, project.settings.all())
    return [
        Difference(kind=kind, id=name, body=body, before=stored[kind].get(name), after=written[kind][name])
        for kind in KINDS
        for name, body in file[kind].items()
        if _compared(stored[kind].get(name)) != _compared(written[kind][name])
    ]


def read_catalogue(path: Path) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return the bodies of models and packages by id. Raises CloudProblem for a file of another form."""
    try:
        read: Any = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise CloudProblem(
            f"{FILE} is missing: write the models and packages of your product into the file."
        ) from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise CloudProblem(f"{FILE} is no YAML{f', in line {place.line + 1}' if place else ''}: correct it.") from error
    if not isinstance(read, dict) or set(read) - set(KINDS):
        raise CloudProblem(f"{FILE} must have models and packages by id, and nothing else.")
    tables = {kind: read.get(kind) or {} for kind in KINDS}
    if not all(
        isinstance(table, dict) and all(isinstance(v, dict) for v in table.values()) for table in tables.values()
    ):
        raise CloudProblem(f"{FILE} must have models and packages by id, each with its fields.")
    return tables


def preview(
    file: Mapping[str, Mapping[str, Mapping[str, Any]]],
    stored: Mapping[str, Mapping[str, Stored]],
    settings: Mapping[str, str],
) -> Mapping[str, Mapping[str, Stored]]:
    """Return the documents that the API would store, by asking the API itself over memory.

    Raises CloudProblem with the API's words.
    """
    from functions.http.app import create_app
    from shared.bootstrap import in_memory
    from shared.kernel.documents import Put

    services = in_memory({name: settings[name] for name in ("AI_UPSTREAMS",) if name in settings})
    documents, identity = services.ports.documents(), services.ports.identity()
    documents.commit([Put(f"{kind}/{name}", dict(data)) for kind in KINDS for name, data in stored[kind].items()])
    token = identity.token(identity.sign_up("operator@example.com", claims={"roles": ["admin"]}))  # type: ignore[attr-defined]
    client = create_app(services).test_client()
    for kind in KINDS:
        for name, body in file[kind].items():
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.put(f"/v1/admin/{kind}/{name}", json=body, headers=headers)
            if not 200 <= answer.status_code < 300:  # noqa: PLR2004  # success
                raise CloudProblem(f"{FILE}: the {kind[:-1]} {name} is not accepted: {_refusal(answer.get_json())}")
    return {kind: {name: _data(documents.get(f"{kind}/{name}")) for name in file[kind]} for kind in KINDS}


def _refusal(told: Any) -> str:
    errors = told.get("errors") or {}
    fields = "; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in sorted(errors.items()))
    return str(fields or told.get("detail"))


def _data(document: Any) -> Stored:
    found: Stored = document.data
    return found


def _compared(data: Stored | None) -> Stored | None:
    return None if data is None else {name: value for name, value in data.items() if name not in NOT_COMPARED}
