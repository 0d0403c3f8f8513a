"""Errors name what happened; their kind says what the caller may do about it."""

from collections.abc import Mapping
from typing import ClassVar

Param = str | int | bool
Params = Mapping[str, Param]


class DomainError(Exception):
    """Something a caller must hear about, with a stable `code` and machine-readable `params`.

    `code` is part of the wire: clients translate by it. `params` values are strings, integers or booleans;
    amounts are µcr integers under names in `amounts`, and the edge writes those as decimal credits.
    """

    code: ClassVar[str] = "error"
    amounts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, detail: str, **params: Param) -> None:
        super().__init__(detail)
        self.detail = detail
        self.params: Params = params


class Rejected(DomainError):
    """Asking again the same way won't help."""

    code = "rejected"


class NotFound(DomainError):
    """There is no such thing, or it is not this caller's."""

    code = "not_found"


class Conflict(DomainError):
    """The world moved, or disagrees; read again before asking again."""

    code = "conflict"


class Unavailable(DomainError):
    """Nobody is at fault; retry."""

    code = "unavailable"


class Forbidden(Rejected):
    """The caller is known, and may not do this."""

    code = "forbidden"


class InvalidValue(Rejected):
    """One named value is not what it must be. `problem` goes on after the name: `must be more than zero`."""

    code = "invalid_value"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f'The value of "{field}" {problem.removesuffix(".")}.', field=field, problem=problem)


class IdempotencyMismatch(Conflict):
    """The same idempotency key came with another request."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__("This idempotency key was already used for a different request.")


class StillRunning(Conflict):
    """The first request with this idempotency key has not finished yet."""

    code = "still_running"

    def __init__(self) -> None:
        super().__init__("The first request with this idempotency key is still running; ask again shortly.")
