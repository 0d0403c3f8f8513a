"""Errors of requests that no use case has seen yet."""

from collections.abc import Collection, Mapping, Sequence

from shared.kernel.errors import Forbidden, NotFound, Rejected

FieldErrors = Mapping[str, Sequence[str]]


class MalformedRequest(Rejected):
    """The request cannot be read at all: not JSON, not Unicode, an impossible header."""

    code = "malformed_request"


class InvalidRequest(Rejected):
    """The request can be read, and some of its fields are wrong; `errors` names each field."""

    code = "invalid_request"

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__("Some fields are not what they must be.")
        self.errors = errors


class AnonymousForbidden(Forbidden):
    """An anonymous user may look, but neither claim nor spend."""

    def __init__(self) -> None:
        super().__init__("Anonymous users may not do this; link a sign-in provider first.")


class ScopeMissing(Forbidden):
    """The API key lacks a scope for this route: `scopes` names the scopes that would do, if there are any."""

    code = "scope_missing"

    def __init__(self, scopes: Collection[str]) -> None:
        super().__init__("This API key may not do this.", scopes=" ".join(sorted(scopes)))


class NoSuchPath(NotFound):
    """Nothing is here."""

    def __init__(self) -> None:
        super().__init__("There is nothing at this path.")


class PageNotDeployed(NotFound):
    """The page is on a laptop alone."""

    def __init__(self) -> None:
        super().__init__(
            "This page is served on a laptop, by `make run`; a deployment has none. The API is described at "
            "/v1/docs/openapi.json."
        )


class TooManyRequests(Rejected):
    """This instance receives too many requests of one caller. The next request is welcome after `retry_after_ms`."""

    code = "rate_limited"

    def __init__(self, *, retry_after_ms: int) -> None:
        super().__init__("Too many requests; please slow down.", retry_after_ms=retry_after_ms)
