"""Identity of a caller: a Firebase ID token or an API key, an App Check token if required, and roles."""

from flask import Request

from functions.http.errors import AnonymousForbidden, ScopeMissing
from functions.http.routes import READ_USERS, Access, Route
from shared.bootstrap import Services
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.users import roles
from shared.users.ports import AppCheckFailed, Unauthenticated
from shared.users.principal import Principal

APP_CHECK_HEADER = "X-Firebase-AppCheck"
API_KEY_HEADER = "Api-Key"


def authenticate(services: Services, request: Request, access: Access) -> Principal:
    """Return the caller that the request's tokens name; an operator's token must not be revoked.

    Raises Unauthenticated and its kinds. An API key needs no App Check token, since a server is no app.
    """
    header = credential(request)
    if header and services.users.key_lookup.looks_like_one(token := bearer_token(header)):
        return services.users.key_lookup.verify(token)
    _check_app(services, request.headers.get(APP_CHECK_HEADER, ""))
    token = bearer_token(header)
    return services.ports.identity().verify(token, is_fresh=bool(access.roles))


def is_operator(services: Services, request: Request) -> bool:
    """Return True if a public route was called with the token of an operator. Any other token counts as none."""
    if not credential(request):
        return False
    try:
        roles.require(authenticate(services, request, READ_USERS), roles.READ_USERS)
    except DomainError:
        return False
    return True


def credential(request: Request) -> str:
    """Return the caller's credential as an Authorization header; "" for none. Some clients send `api-key` instead."""
    shown = request.headers.get("Authorization", "")
    key = request.headers.get(API_KEY_HEADER, "").strip()
    return f"Bearer {key}" if key and not shown else shown


def bearer_token(header: str) -> str:
    """Return the token of an Authorization header. Raises Unauthenticated."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send a Firebase ID token or an API key as 'Authorization: Bearer <token>'.")
    return token.strip()


def authorise(route: Route, principal: Principal) -> None:
    """Raise Forbidden unless this caller may make this call."""
    access = route.access
    if access.roles:
        roles.require(principal, access.roles)
    if principal.key is not None and not principal.key.scopes & route.scopes:
        raise ScopeMissing(route.scopes)
    if principal.is_anonymous and not access.is_anonymous_welcome:
        raise AnonymousForbidden


def _check_app(services: Services, token: str) -> None:
    if services.settings.app_check == "off":
        return
    try:
        services.ports.identity().verify_app_check(token)
    except AppCheckFailed:
        if services.settings.app_check == "enforce":
            raise
        log("app_check_failed", "WARNING")
