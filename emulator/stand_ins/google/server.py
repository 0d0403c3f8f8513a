"""The server: finds the API of a request, checks that the API is on and the caller may call, and answers."""

import contextlib
import itertools
import json
import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import orjson

from emulator.stand_ins.faults import Fault, Faults
from emulator.stand_ins.google import apis
from emulator.stand_ins.google.calls import METHODS, Call
from emulator.stand_ins.google.errors import GoogleRefusal, by_http_status, denied, invalid, service_disabled
from emulator.stand_ins.google.published import Method, ShapeMismatch, find_method, query_of, titles, unknown_path
from emulator.stand_ins.google.state import OPERATOR, Project, State
from emulator.stand_ins.wire import Answer, Json, Request, Server, json_answer

REDIRECT = Path(__file__).with_name("redirect.cjs")
CONTROL = "/_control/"
CONTROLS = ("fail", "slow", "reset", "requests", "add_project")
FUNCTIONS_HOST = ".cloudfunctions.net"
BODY_BYTES_MAX = 128 << 20
LOG_MAX = 100_000
PROJECT = re.compile(r"projects/([^/:?]+)")
VERSION = re.compile(r"/(?:compute/|storage/|upload/storage/)?v\d\w*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Request in the journal. `method` is the published method's id, empty if the path is none of Google's."""

    number: int
    host: str
    http_method: str
    path: str
    query: Mapping[str, str]
    method: str
    body: Any
    status: int


class GoogleStandIn:
    """Google's APIs as a part of this process: `with GoogleStandIn() as google: … google.url`.

    `environment` lets the Firebase CLI and this repository's commands reach the stand-in instead of Google. An
    answer that has not the published shape is an error of the stand-in; `mistakes` lists these.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.state = State()
        self.faults = Faults()
        self.requests: list[Asked] = []
        self.mistakes: list[str] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._hurry = threading.Event()
        self._stack = contextlib.ExitStack()
        self._home = ""
        self._server = Server(port, self._serve, name="google", body_bytes_max=BODY_BYTES_MAX)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables for the Firebase CLI and for this repository's commands."""
        return {
            "GOOGLE_APIS": self.url,
            "FIREBASE_TOKEN": "stand-in",
            "NODE_OPTIONS": f'--require "{REDIRECT}"',
            "XDG_CONFIG_HOME": self._home,  # nobody's login is used or changed
            "NO_UPDATE_NOTIFIER": "1",
            "CI": "1",
        }

    def __enter__(self) -> Self:
        self._home = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="google-stand-in-"))
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hurry.set()
        self._server.stop()
        self._stack.close()

    # ── controls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_project(self, project_id: str) -> Project:
        with self._lock:
            return self.state.add_project(project_id)

    def fail(self, **order: Any) -> None:
        """Make the next calls fail; see `Fault` for the fields."""
        self.faults.order(Fault(**order))

    def slow(self, *, seconds: float, times: int = 1, path: str = "", method: str = "") -> None:
        self.faults.order(Fault(times=times, how="slow", seconds=seconds, path=path, method=method))

    def reset(self) -> None:
        """Forget every project, bucket, order and request."""
        with self._lock:
            self.state = State()
            self.faults.clear()
            self.requests.clear()
            self.mistakes.clear()

    def asked(self, method: str) -> list[Asked]:
        """Return the requests for a published method, e.g. `pubsub.v1 projects.topics.create`."""
        return [each for each in list(self.requests) if each.method == method]

    # ── every request ────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, request: Request) -> Answer | None:
        if request.path.startswith(CONTROL):
            return self._control(request)
        fault = self.faults.take(request)
        if fault.how in {"slow", "hang"}:
            self._hurry.wait(fault.seconds)
        if fault.how != "slow" and fault.when == "before":
            return self._failed(request, fault)
        with self._lock:
            answer = self._answer(request)
        return answer if fault.how == "slow" else self._failed(request, fault)

    def _failed(self, request: Request, fault: Fault) -> Answer | None:
        if fault.how in {"reset", "hang"}:
            return None
        answer = by_http_status(fault.status).as_answer()
        self._note(request, _host_of(request), None, answer.status)
        return answer

    def _control(self, request: Request) -> Answer:
        name = request.path.removeprefix(CONTROL)
        if name not in CONTROLS:
            return json_answer({"error": f"no such control; there are {', '.join(CONTROLS)}"}, status=404)
        if name == "requests":
            return json_answer([{each: getattr(asked, each) for each in Asked.__slots__} for asked in self.requests])
        getattr(self, name)(**json.loads(request.body or b"{}"))
        return json_answer({})

    def _answer(self, request: Request) -> Answer:
        for project in self.state.projects.values():
            project.operations.settle()
        host, method = _host_of(request), None
        if host.endswith(FUNCTIONS_HOST):
            return self._function(request, host)
        try:
            api = apis.BY_HOST.get(host)
            if api is None:
                raise unknown_path(request.path)
            path = request.path.removeprefix(f"/{host}")
            if api.plain is not None and (answer := api.plain(self.state, request, path)) is not None:
                self._note(request, host, None, answer.status)
                return answer
            found = find_method(api.documents, request.method, path)
            if found is None:
                raise unknown_path(path)
            method, places = found
            answer = self._call(request, host, path, method, places)
        except GoogleRefusal as refusal:
            answer = refusal.as_answer()
        self._note(request, host, method, answer.status)
        return answer

    def _function(self, request: Request, host: str) -> Answer:
        """Answer at the address of an HTTP function: `https://REGION-PROJECT.cloudfunctions.net/FUNCTION/…`."""
        _, _, function, *below = request.path.split("/")
        projects = self.state.projects.values()
        project = next((each for each in projects if host.endswith(f"-{each.id}{FUNCTIONS_HOST}")), None)
        if project is None or project.backend is None:
            answer = Answer(status=404, body=b"<title>404 Page not found</title>", kind="text/html")
        else:
            answer = project.backend.answer(function, replace(request, path=f"/{'/'.join(below)}"))
        self._note(request, host, None, answer.status)
        return answer

    def _call(self, request: Request, host: str, path: str, method: Method, places: Mapping[str, str]) -> Answer:
        call = self._as_call(request, host, path, method, places)
        if not call.project.answers(host):
            raise service_disabled(host, titles(apis.BY_HOST[host].documents), call.project.number)
        method.check_query(call.query)
        method.check_body(call.body)
        served = METHODS.get(method.id)
        if served is None:
            self.mistakes.append(f"{method.id} is not served")
            raise GoogleRefusal("UNIMPLEMENTED", f"The stand-in does not serve {method.id}.")
        if served.permission:
            call.require(served.permission)
        told = served.act(call)
        return told if isinstance(told, Answer) else self._checked(method, told)

    def _checked(self, method: Method, told: Json) -> Answer:
        try:
            method.check_answer(told)
        except ShapeMismatch as mismatch:
            self.mistakes.append(f"{method.id} answers what Google does not: {mismatch}")
            raise GoogleRefusal("INTERNAL", self.mistakes[-1]) from mismatch
        return json_answer(told)

    def _as_call(self, request: Request, host: str, path: str, method: Method, places: Mapping[str, str]) -> Call:
        project = self._project_of(request, host, path, places)
        resource = VERSION.sub("", unquote(path), count=1).lstrip("/")
        verb = re.search(r":[a-zA-Z]+$", path)
        return Call(
            host=host,
            request=request,
            method=method,
            places=places,
            query=query_of(request.asked()),
            body=_json_of(request),
            state=self.state,
            project=project,
            caller=self._caller(request),
            resource=PROJECT.sub(f"projects/{project.id}", resource[: -len(verb[0])] if verb else resource, count=1),
        )

    def _project_of(self, request: Request, host: str, path: str, places: Mapping[str, str]) -> Project:
        named = PROJECT.search(path)
        asked = named[1] if named else request.asked().get("project", "") or places.get("project", "")
        if not asked and "bucket" in places:
            asked = self.state.bucket_owners.get(places["bucket"], "")
        if not asked:
            asked = self._owner_of_operation(path)
        project = self.state.find_project(unquote(asked)) if asked else None
        if project is not None:
            return project
        if not asked and self.state.projects:
            return next(iter(self.state.projects.values()))
        raise denied("resourcemanager.projects.get", f"cloudresourcemanager.googleapis.com/projects/{asked}")

    def _owner_of_operation(self, path: str) -> str:
        name = path.split("/", 2)[-1]
        return next((each.id for each in self.state.projects.values() if name in each.operations), "")

    def _caller(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not token:
            raise GoogleRefusal("UNAUTHENTICATED", "Request is missing required authentication credential.")
        return self.state.principals.get(token, OPERATOR)

    def _note(self, request: Request, host: str, method: Method | None, status: int) -> None:
        if len(self.requests) >= LOG_MAX:
            del self.requests[: LOG_MAX // 2]
        self.requests.append(
            Asked(
                number=next(self._numbers),
                host=host,
                http_method=request.method,
                path=unquote(request.path.removeprefix(f"/{host}")),
                query=request.asked(),
                method=method.id if method else "",
                body=_readable(request.body),
                status=status,
            )
        )


def _host_of(request: Request) -> str:
    return request.path.split("/", 2)[1]


def _json_of(request: Request) -> Json:
    is_upload = not request.headers.get("content-type", "").startswith("application/json")
    if not request.body or is_upload:
        return {}
    try:
        read = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise invalid("Invalid JSON payload received. Unexpected token.") from None
    if not isinstance(read, dict):
        raise invalid("Invalid JSON payload received. The body must be an object.")
    return read


def _readable(body: bytes) -> Any:
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(body) if body else None
    return f"{len(body)} bytes"
