"""Flask application: find the route, check the call, run the handler, and write the answer."""

import json
import re
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, request
from marshmallow import Schema

from functions.http import auth, bodies, idempotency, limits, looks, means, x402
from functions.http.addresses import client_address
from functions.http.cors import Origins
from functions.http.downloads import Downloads
from functions.http.errors import NoSuchPath
from functions.http.hosting import HostedPaths
from functions.http.matching import MatchedRule
from functions.http.model_ids import model_id
from functions.http.openai_errors import OPENAI_PREFIX, error_response
from functions.http.payment_errors import OFFERED
from functions.http.problems import problem_response
from functions.http.request_log import OTHER_ROUTE, ROUTE, RequestLog, ToldRoute
from functions.http.routes import DEEP, DEEP_CHARS_MAX, PREFIX, Call, Reply, Route
from functions.http.table import ROUTES
from functions.http.uploads import Uploads
from functions.tracing import begin_request
from shared.bootstrap import Services
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import fingerprint, is_safe_id, is_uid, new_id
from shared.kernel.money import format_credits
from shared.payments.chains.x402 import SIGNATURE_HEADER
from shared.sagas.metering.drain import Draining
from shared.users.ports import Unauthenticated
from shared.users.principal import Principal

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
ALIASES = {PREFIX: ("/", f"{PREFIX}/")}
"""Further paths of the API's first path, such as the bare address."""
MODEL_PATH = "/openai/models/{id}"
"""The path of which a part may have slashes: clients name models as their makers do."""
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def create_app(services: Services) -> Flask:
    """Return the Flask application that serves the API with these services."""
    app = Flask("credits", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BODY_BYTES + 1
    app.url_rule_class = MatchedRule
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    gate = Gate(services)
    logged = RequestLog(app.wsgi_app, after=services.health.glance_at_schedules)
    downloads = Downloads(HostedPaths(logged), services.settings.threads)
    app.wsgi_app = downloads  # type: ignore[method-assign]  # as Flask says
    for route in ROUTES:
        view = _view(services, gate, route)
        for rule in (route.rule, *ALIASES.get(route.path, ()), *_spellings(route)):
            app.add_url_rule(rule, route.name, view, methods=[route.method])
    app.before_request(gate.open)
    app.after_request(gate.close)
    app.register_error_handler(Exception, _failed)
    return app


def _spellings(route: Route) -> tuple[str, ...]:
    """Return the paths that OpenAI's clients make of a route.

    A slash may end the base URL or the path. Some clients put `/v1` behind the base URL.
    """
    if not route.is_openai:
        return ()
    with_slashes = [route.rule.replace("<id>", "<path:id>")] if route.path.endswith(MODEL_PATH) else []
    behind = [route.rule.replace(OPENAI_PREFIX, f"{OPENAI_PREFIX}{more}", 1) for more in ("/", "v1/")]
    return (f"{route.rule}/", *behind, *with_slashes)


def _failed(error: Exception) -> Response:
    tell = error_response if request.path.startswith(OPENAI_PREFIX) else problem_response
    return tell(error, g.request_id)


class Gate:
    """Common part of every request and answer: id, CORS, limits, identity, headers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._origins = Origins(services.settings.cors_origins)
        clock, settings = services.clock, services.settings
        # A guard must not stop what the settings allow: who may spend more often may also call more often.
        per_minute = max(limits.CALLS_PER_MINUTE, settings.rate_limit_per_minute)
        burst = max(limits.CALLS_BURST, settings.rate_limit_burst)
        self._calls = limits.Limiter(clock, per_minute=per_minute, burst=burst)
        self._rare = {
            route.name: limits.Limiter(clock, per_minute=route.calls_per_minute, burst=route.calls_per_minute)
            for route in ROUTES
            if route.calls_per_minute is not None
        }
        self._told_routes = {
            route.name: ToldRoute(route.rule, route.is_spending or route.is_drained) for route in ROUTES
        }
        self.uploads = Uploads(settings.threads)
        self._refusals = limits.Refusals(clock)

    def open(self) -> Response | None:
        """Name the request. Return the answer to a preflight request; None for any other request."""
        given = request.headers.get("X-Request-Id", "")
        g.payment_headers = {}
        g.request_id = given if REQUEST_ID.fullmatch(given) else new_id("req")
        begin_request(request.headers, self._services.settings.project, request_id=g.request_id)
        if request.url_rule is not None:
            request.environ[ROUTE] = self._told_routes.get(request.url_rule.endpoint, OTHER_ROUTE)
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        response = Response(status=HTTPStatus.NO_CONTENT)
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        self._origins.allow_preflight(response.headers, request.headers.get("Origin", ""), wanted)
        return response

    def admit(self, route: Route) -> Principal | None:
        """Return the caller, or None on a public route.

        Checks the caller's limits and rights, and remembers the caller.
        """
        if route.access.is_public:
            self._calls.admit(self.address)
            if route.name in self._rare:
                self._rare[route.name].admit(self.address)
            return None
        self._refusals.check(_credential(), self.address)
        principal = self._authenticated(route)
        login = self._services.users.logins.ask(principal.uid) if principal.key is not None else None
        self._calls.admit(principal.uid)
        if route.name in self._rare:
            self._rare[route.name].admit(principal.spender)
        auth.authorise(route, principal)
        if not route.access.is_leaving:
            self._services.users.first_sight.see(principal)
        if login is not None:
            login.confirm()
        return principal

    def _authenticated(self, route: Route) -> Principal:
        try:
            return auth.authenticate(self._services, request, route.access)
        except Unauthenticated:
            self._refusals.check_address(self.address)
            raise

    @property
    def address(self) -> str:
        """Return the address of the current request's client."""
        return client_address(request, self._services.settings.client_address_from)

    def close(self, response: Response) -> Response:
        """Return the response with all headers, once the rest of the client's body is read."""
        if response.status_code in REFUSED:
            is_valid = response.status_code == HTTPStatus.FORBIDDEN
            self._refusals.count(_credential(), self.address, is_valid=is_valid)
        self._origins.allow(response.headers, request.headers.get("Origin"))
        response.headers["X-Request-Id"] = g.request_id
        response.headers.update(g.payment_headers)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        if not self.uploads.drain(request):
            response.headers["Connection"] = "close"
        return response


@cache
def _schema(kind: type[Schema]) -> Schema:
    """Return the one instance for all routes. A schema keeps nothing of a call, so that threads may share it."""
    return kind()


def _view(services: Services, gate: Gate, route: Route) -> Callable[..., Response]:
    """Return Flask's view of a route: admit the caller, parse path, query and body, call the handler, write the answer.

    Raises NoSuchPath if a part of the path cannot be an id.
    """
    answer = _schema(route.answer) if isinstance(route.answer, type) else None
    body = _schema(route.body) if route.body is not None else None
    query = _schema(route.query) if route.query is not None else None

    def view(**path: str) -> Response:
        caller = gate.admit(route)
        try:
            return answered(caller, path)
        except OFFERED as error:
            if route.is_payable:
                x402.offer(services, route, caller, error)
            raise

    def answered(caller: Principal | None, path: dict[str, str]) -> Response:
        path = {name: model_id(value) for name, value in path.items()} if route.path.endswith(MODEL_PATH) else path
        if not all(_is_possible(name, value) for name, value in path.items()):
            raise NoSuchPath
        if route.is_drained and services.metering.drain.is_on():
            _require_known(services, route, caller, path)
        asked = bodies.load_query(query, request) if query is not None else {}
        value, text = _told(services, gate, route, caller, path) if body is not None else ({}, "{}")
        call = Call(
            services=services,
            caller=caller,
            path=path,
            query=asked,
            body=bodies.load(body, value) if body is not None else {},
            intention=_intention(route, caller, path, text),
            request_id=g.request_id,
            app_check_token=request.headers.get(auth.APP_CHECK_HEADER, ""),
            expected=_expected() if route.is_versioned else None,
            payment=request.headers.get(SIGNATURE_HEADER, "") if route.is_payable else "",
        )
        reason = looks.reason_of(request) if route.looks_at is not None else None
        result = route.handler(x402.paid(call, route) if call.payment else call)
        if route.looks_at is not None:
            looks.record(call, route, result, reason)
        return _respond(route, answer, result)

    return view


def _is_possible(name: str, value: str) -> bool:
    """Return True if a part of the path can be an id. A part that may hold slashes is only held to its length."""
    if name == DEEP:
        return len(value) <= DEEP_CHARS_MAX
    return is_uid(value) if name == "uid" else is_safe_id(value)


def _require_known(services: Services, route: Route, caller: Principal | None, path: dict[str, str]) -> None:
    """Raise Draining unless the caller asks again for a call that has begun."""
    asked = _intention(route, caller, path, "")
    if caller is None or asked is None or not asked.has_key:
        raise Draining
    if not means.is_known(services, caller.uid, asked.operation):
        raise Draining


def _told(
    services: Services, gate: Gate, route: Route, caller: Principal | None, path: dict[str, str]
) -> tuple[Any, str]:
    """Return the body's value and canonical text.

    If the body is large and the caller could not pay for an answer, the body is not parsed.
    """
    asked = means.look(services, route, caller, request, _intention(route, caller, path, ""))
    raw = gate.uploads.receive(request, route.body_bytes_max, gate.address if caller is None else caller.uid)
    asked.require(len(raw))
    return bodies.read_json(request, raw, route.body_values_max)


def _intention(route: Route, caller: Principal | None, path: dict[str, str], body: str) -> idempotency.Intention | None:
    if route.method != "POST" or caller is None:
        return None
    key = request.headers.get(idempotency.HEADER)
    return idempotency.intention(key, caller.uid, f"{route.method} {route.path}", path, body)


def _respond(route: Route, answer: Schema | None, result: Any) -> Response:
    if isinstance(result, Response):
        return result
    reply = result if isinstance(result, Reply) else Reply(value=result)
    content = json.dumps(answer.dump(reply.value)) if answer is not None else ""
    response = Response(content, route.status, mimetype="application/json")
    if reply.cost is not None:
        response.headers["X-Credits-Cost"] = format_credits(reply.cost)
    if reply.available is not None:
        response.headers["X-Credits-Available"] = format_credits(reply.available)
    if reply.tag is not None:
        response.set_etag(reply.tag)
    return response


def _expected() -> ExpectedVersions | None:
    """Return the versions that `If-Match` names, None without that header. One that cannot be read matches none."""
    if "If-Match" not in request.headers:
        return None
    return ExpectedVersions(tags=frozenset(request.if_match.as_set()), is_any=request.if_match.star_tag)


def _credential() -> str | None:
    """Return a name for the caller's credential; None for a caller without one."""
    shown = auth.credential(request)
    return fingerprint(shown) if shown else None
