"""Description of a route, from which Flask's rules, the checks and the OpenAPI document are made."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

from functions.http.bodies import MAX_BODY_BYTES
from functions.http.errors import InvalidRequest
from functions.http.fields import Nothing
from functions.http.idempotency import Intention
from functions.http.json_text import JSON_VALUES_MAX
from functions.http.payment_errors import PAYMENT_ERRORS
from shared.bootstrap import Services
from shared.kernel.errors import DomainError
from shared.kernel.expected import ExpectedVersions
from shared.kernel.ids import Uid
from shared.ledger.commands import BudgetClaim
from shared.ledger.errors import InsufficientCredits
from shared.sagas.metering import key_budgets
from shared.sagas.metering.drain import Draining
from shared.sagas.payments.agent_payments import TopUp
from shared.users import roles
from shared.users.principal import SCOPES, TOP_UP, Principal, Scope

PREFIX = "/v1"
TOP_UP_PATH = f"{PREFIX}/payments/x402"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Required sign-in: none, any user, a user who is not anonymous, or a user with one of these roles.

    A user who is leaving is not greeted again first.
    """

    is_public: bool = False
    is_anonymous_welcome: bool = False
    is_leaving: bool = False
    roles: frozenset[str] = frozenset()


ANYBODY = Access(is_public=True)
ANY_USER = Access(is_anonymous_welcome=True)
LEAVING = Access(is_anonymous_welcome=True, is_leaving=True)
MEMBER = Access()
READ_USERS = Access(roles=roles.READ_USERS)
READ_AUDIT = Access(roles=roles.READ_AUDIT)
ACT = Access(roles=roles.ACT)

DEEP = "tile"
"""Name in a path whose value may hold slashes. The handler checks the value."""
DEEP_CHARS_MAX = 100

NO_KEYS: frozenset[Scope] = frozenset()
READ: frozenset[Scope] = frozenset({"read"})
CHAT: frozenset[Scope] = frozenset({"chat"})
CHAT_OR_READ: frozenset[Scope] = frozenset({"chat", "read"})
IMAGES: frozenset[Scope] = frozenset({"images"})
IMAGES_OR_READ: frozenset[Scope] = frozenset({"images", "read"})
AGENTS: frozenset[Scope] = frozenset({"agents"})
AGENTS_OR_READ: frozenset[Scope] = frozenset({"agents", "read"})
TOP_UPS: frozenset[Scope] = frozenset({TOP_UP})
ANY_SCOPE: frozenset[Scope] = frozenset(SCOPES)
"""Scopes of which an API key needs one to call a route. A route without scopes accepts no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Request, read and checked, with everything that a handler may use."""

    services: Services
    caller: Principal | None
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    intention: Intention | None
    request_id: str
    app_check_token: str = ""
    expected: ExpectedVersions | None = None
    """The versions that `If-Match` names; None: the caller did not say."""
    payment: str = ""
    """The header `PAYMENT-SIGNATURE`; "" if the caller sent none."""
    top_up: TopUp | None = None
    """The payment that the header made; None without one."""

    @property
    def principal(self) -> Principal:
        """Return the caller. Only on routes that are not public."""
        assert self.caller is not None, "a public route has no principal"
        return self.caller

    @property
    def uid(self) -> Uid:
        """Return the uid of the caller's account."""
        return self.principal.uid

    @property
    def budgets(self) -> tuple[BudgetClaim, ...]:
        """Budgets that a hold for this call counts against: the cap of the caller's API key."""
        return key_budgets.claims(self.principal.key, self.services.clock.now())

    @property
    def end_user(self) -> str:
        """The caller's pseudonym for model providers."""
        return self.services.users.end_users.of(self.uid)

    @property
    def asked(self) -> Intention:
        """Return the intention of the caller, to happen once. Only on POST."""
        assert self.intention is not None, "only a POST is an intention"
        return self.intention


def require_own_id(call: Call) -> None:
    """Raise InvalidRequest if the body names another thing than the path."""
    if call.body["id"] not in {None, call.path["id"]}:
        raise InvalidRequest({"id": ["Must be the id in the path."]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer with headers: the cost and the rest of a spending call, or the version of a versioned object."""

    value: Any
    cost: int | None = None
    available: int | None = None
    tag: str | None = None
    """The version's name, for `ETag`."""


Handler = Callable[[Call], Any]
Target = Callable[[Call, Any], str | None]
"""Function that names the user whose data an answer shows, or MANY; None if the answer shows nobody's."""


def _user_in_path(call: Call, _: Any) -> str:
    return call.path["uid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Method and path. `answer` is a schema, a media type, or None for 204.

    A hidden route serves pages and stands in no documentation. A route of OpenAI's fails in OpenAI's form.
    """

    method: str
    path: str
    tag: str
    handler: Handler = field(repr=False)
    access: Access
    scopes: frozenset[Scope]
    status: int
    answer: type[Schema] | str | None
    body: type[Schema] | None
    query: type[Schema] | None
    errors: tuple[type[DomainError], ...]
    is_spending: bool
    is_streaming: bool
    is_hidden: bool
    is_openai: bool
    body_bytes_max: int
    calls_per_minute: int | None
    """Most calls of one caller per minute on an instance; None if only the limit of all routes together holds."""
    body_values_max: int
    is_versioned: bool
    """True if answers name their version in `ETag`, which `If-Match` of a change may name."""
    has_table: bool
    """True if a caller may ask for the answer as a table (CSV)."""
    looks_at: Target | None
    """Name of the user whose data an operator sees by this route, to record; None for a route without users' data."""

    @property
    def name(self) -> str:
        """The operation's name, unique in the API: `credits_balance`."""
        return f"{self.tag}_{self.handler.__name__}"

    @property
    def summary(self) -> str:
        """The first sentence of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]

    @property
    def description(self) -> str:
        """The handler's docstring after its first line."""
        return " ".join((self.handler.__doc__ or "").strip().partition("\n")[2].split())

    @property
    def path_names(self) -> tuple[str, ...]:
        """The names in the path: `{id}` → `id`."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def rule(self) -> str:
        """The path in Flask's form."""
        rule = self.path.replace("{", "<").replace("}", ">")
        return rule.replace(f"<{DEEP}>", f"<path:{DEEP}>")

    @property
    def is_remembered(self) -> bool:
        """True if the route honours `Idempotency-Key`."""
        return self.method == "POST" and not self.access.is_public and self.is_effectful

    @property
    def is_drained(self) -> bool:
        """True if a call begins to spend credits, so that operators may refuse new calls for a while."""
        return Draining in self.errors

    @property
    def is_payable(self) -> bool:
        """True if an agent may pay with the call (x402): calls of models, and the purchase of credits."""
        return self.path == TOP_UP_PATH or (self.is_drained and _is_of_models(self.method, self.path))

    @property
    def is_effectful(self) -> bool:
        """True if a call changes anything. A POST with status 200 only answers a question."""
        return self.method != "POST" or self.status != 200 or self.is_spending  # noqa: PLR2004  # HTTP's own number


def _is_of_models(method: str, path: str) -> bool:
    return method == "POST" and path.startswith((f"{PREFIX}/openai/", f"{PREFIX}/chat/"))


class Routes:
    """The routes of one resource, in the order they are written."""

    def __init__(self, tag: str, *, is_openai: bool = False) -> None:
        self._tag = tag
        self._is_openai = is_openai
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for GET, which only reads."""
        return self._add("GET", path, **{"status": 200, **options})

    def post(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for POST, which creates or acts."""
        return self._add("POST", path, **{"status": 201, "body": Nothing, **options})

    def put(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for PUT, which replaces."""
        return self._add("PUT", path, **{"status": 200, **options})

    def patch(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for PATCH, which changes some fields."""
        return self._add("PATCH", path, **{"status": 200, **options})

    def delete(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler for DELETE, which removes."""
        return self._add("DELETE", path, **{"status": 204, **options})

    def _add(  # noqa: PLR0913  # every option of a route, once, with its default
        self,
        method: str,
        path: str,
        *,
        status: int,
        answer: type[Schema] | str | None = None,
        access: Access = ANY_USER,
        scopes: frozenset[Scope] = NO_KEYS,
        body: type[Schema] | None = None,
        query: type[Schema] | None = Nothing,
        errors: tuple[type[DomainError], ...] = (),
        spends: bool = False,
        streams: bool = False,
        is_hidden: bool = False,
        body_bytes_max: int = MAX_BODY_BYTES,
        calls_per_minute: int | None = None,
        body_values_max: int = JSON_VALUES_MAX,
        is_versioned: bool = False,
        has_table: bool = False,
        looks_at: Target | None = None,
    ) -> Callable[[Handler], Handler]:
        """Return a decorator that adds its handler to these routes, with the named options."""

        def register(handler: Handler) -> Handler:
            is_drained = InsufficientCredits in errors and not access.roles
            told = (*errors, Draining) if is_drained else errors
            if is_drained and _is_of_models(method, PREFIX + path):
                told = tuple(dict.fromkeys((*told, *PAYMENT_ERRORS)))
            is_look = method == "GET" and bool(access.roles) and "{uid}" in path
            route = Route(
                method=method,
                path=PREFIX + path,
                tag=self._tag,
                handler=handler,
                access=access,
                scopes=scopes,
                status=status,
                answer=answer,
                body=body,
                query=query,
                errors=told,
                is_spending=spends,
                is_streaming=streams,
                is_hidden=is_hidden,
                is_openai=self._is_openai,
                body_bytes_max=body_bytes_max,
                calls_per_minute=calls_per_minute,
                body_values_max=body_values_max,
                is_versioned=is_versioned,
                has_table=has_table,
                looks_at=_user_in_path if is_look else looks_at,
            )
            self._routes.append(route)
            return handler

        return register
