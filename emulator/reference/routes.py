"""Reference page of the HTTP routes, one table per resource."""

from itertools import groupby

from emulator.reference.markdown import file_of, page, table, text_of
from functions.http.routes import Access, Route
from functions.http.table import ROUTES

OPENING = """\
Every route of the function `api`, in the order of the OpenAPI document. *Who* is the least that a caller's sign-in
must be. *API key* lists the scopes of which a key needs one; a dash means that no key is accepted. *Once* marks
routes that honour `Idempotency-Key`. [The HTTP API](../http-api.md) has the rules that all routes share, `GET
/v1/docs/openapi.json` every shape."""


def routes_page() -> str:
    """Return the page, without the hidden routes that serve files of pages."""
    shown = [route for route in ROUTES if not route.is_hidden]
    parts = [
        f"## {file_of(module)}\n\n{_table(list(routes))}"
        for module, routes in groupby(shown, key=lambda route: route.handler.__module__)
    ]
    return page("Routes", OPENING, *parts)


def _table(routes: list[Route]) -> str:
    rows = [
        (
            f"`{route.method} {route.path}`",
            who(route.access),
            _scopes(route),
            "once" if route.is_remembered else "",
            text_of(route.handler.__doc__),
        )
        for route in routes
    ]
    return table(("Route", "Who", "API key", "Once", "What"), rows)


def who(access: Access) -> str:
    """Return who may call: anybody, any user, users who are not anonymous, or users with one of some roles."""
    if access.is_public:
        return "anybody"
    if access.roles:
        return ", ".join(sorted(access.roles))
    return "any user" if access.is_anonymous_welcome else "not anonymous"


def _scopes(route: Route) -> str:
    if route.access.is_public:
        return ""
    return ", ".join(f"`{scope}`" for scope in sorted(route.scopes)) or "–"
