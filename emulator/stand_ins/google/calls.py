"""One call of an API: the request, matched with the published method, and the table of all served methods."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from emulator.stand_ins.google.errors import denied, invalid
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.google.published import Method
from emulator.stand_ins.google.state import Project, Resources, State
from emulator.stand_ins.wire import Answer, Json, Request, copied

PAGE_SIZE = 50


@dataclass(slots=True, kw_only=True)
class Call:
    """Call under way. `resource` is the path's resource name with the project's id, without version and verb."""

    host: str
    request: Request
    method: Method
    places: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    state: State
    project: Project
    caller: str
    resource: str
    permissions: list[str] = field(default_factory=list)

    def require(self, permission: str, resource: str = "") -> None:
        """Raise GoogleRefusal if the caller lacks the permission."""
        name = resource or self.resource
        if not self.project.may(self.caller, permission, name):
            raise denied(permission, f"{self.host}/{name}")

    def pairs(self) -> list[tuple[str, str]]:
        """Return the query's parameters, repeated ones too."""
        return parse_qsl(self.request.query, keep_blank_values=True)

    def table(self, kind: str) -> Resources:
        return self.project.table(kind)

    def begin(
        self,
        parent: str,
        kind: str,
        act: Callable[[], Json],
        *,
        polls: int | None = None,
        metadata: Json | None = None,
    ) -> Json:
        """Begin a long-running operation; see `Operations.begin`."""
        return self.project.operations.begin(parent, kind, act, metadata=metadata, polls=polls)

    def page(self, key: str, items: Iterable[Json], *, size: int = PAGE_SIZE) -> Json:
        """Return one page of a list, with the token of the next page if there is one."""
        everything = list(items)
        start = _start_of(self.query.get("pageToken", ""))
        size = min(int(self.query.get("pageSize") or size) or size, size)
        page = [copied(each) for each in everything[start : start + size]]
        told: Json = {key: page} if page else {}
        if start + size < len(everything):
            told["nextPageToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        return told

    def patched(self, resource: Json, *, allowed: Iterable[str] | None = None) -> Json:
        """Change the fields of `updateMask` in the resource, or all given ones without a mask. Return the resource."""
        mask = self.query.get("updateMask", "")
        paths = [_camel(each) for each in mask.split(",")] if mask else list(self.body)
        for path in paths:
            if allowed is not None and path.split(".")[0] not in allowed:
                raise invalid(f"Invalid field mask: {path} cannot be updated.", field="update_mask")
            _copy_path(self.body, resource, path.split("."))
        return resource


def _start_of(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError:
        raise invalid("The page token is invalid.", field="page_token") from None


def _camel(path: str) -> str:
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _copy_path(source: Json, target: Json, path: list[str]) -> None:
    """Copy one field; a field that the source lacks is cleared."""
    head, *rest = path
    if rest and isinstance(source.get(head), dict):
        _copy_path(source[head], target.setdefault(head, {}), rest)
    elif rest:
        _copy_path({}, target.setdefault(head, {}), rest)
    elif source.get(head) is None:
        target.pop(head, None)
    else:
        target[head] = json.loads(json.dumps(source[head]))


Serve = Callable[[Call], Json | Answer]


@dataclass(frozen=True, slots=True)
class Served:
    """Method that the stand-in serves, and the permission that the caller needs on the path's resource."""

    act: Serve
    permission: str


METHODS: dict[str, Served] = {}


def serves(method: str, *, needs: str = "") -> Callable[[Serve], Serve]:
    """Register a function as the answer of a published method, e.g. `pubsub.v1 projects.topics.create`."""

    def register(act: Serve) -> Serve:
        assert method not in METHODS, f"{method} is served twice"
        METHODS[method] = Served(act, needs)
        return act

    return register


def serve_policy(prefix: str, permissions: str, find: Callable[[Call], Policy]) -> None:
    """Serve getIamPolicy, setIamPolicy and testIamPermissions of one kind of resource.

    prefix: of the published methods, e.g. `pubsub.v1 projects.topics`. permissions: e.g. `pubsub.topics`.
    """

    @serves(f"{prefix}.getIamPolicy", needs=f"{permissions}.getIamPolicy")
    def get_policy(call: Call) -> Json:
        return find(call).as_json()

    @serves(f"{prefix}.setIamPolicy", needs=f"{permissions}.setIamPolicy")
    def set_policy(call: Call) -> Json:
        if "policy" not in call.body:
            raise invalid("The policy is missing.", field="policy")
        policy = find(call)
        mask = str(call.body.get("updateMask", ""))
        return policy.replace(call.body["policy"], mask=mask, exists=call.project.has_account)

    @serves(f"{prefix}.testIamPermissions")
    def test_permissions(call: Call) -> Json:
        find(call)
        asked = call.body.get("permissions") or []
        held = [each for each in asked if call.project.may(call.caller, each, call.resource)]
        return {"permissions": held} if held else {}
