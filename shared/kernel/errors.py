"""Errors of the domains: the class name says the cause, and the base class says how the caller may react."""

from collections.abc import Mapping
from typing import ClassVar

Param = str | int | bool
Params = Mapping[str, Param]


class DomainError(Exception):
    """Base of all errors for callers, with a stable `code` and machine-readable `params`.

    `code` is part of the wire: clients translate by it. `params` values are strings, integers or booleans. Amounts are
    µcr integers under the names in `amounts`, and the edge writes them as decimal credits.
    """

    code: ClassVar[str] = "error"
    amounts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, detail: str, **params: Param) -> None:
        super().__init__(detail)
        self.detail = detail
        self.params: Params = params


class Rejected(DomainError):
    """Error that the same request will always cause."""

    code = "rejected"


class NotFound(DomainError):
    """Error for a thing that does not exist or belongs to another caller."""

    code = "not_found"


class Conflict(DomainError):
    """Error for a request that disagrees with the present state. Read again before repeating the request."""

    code = "conflict"


class Unavailable(DomainError):
    """Error of a part that is out of reach or too busy for now. The same request may succeed later."""

    code = "unavailable"


class Forbidden(Rejected):
    """Error for a known caller without the permission."""

    code = "forbidden"


class InvalidValue(Rejected):
    """Error for one named value that is invalid.

    `problem` continues the sentence after the name: `must be more than zero`.
    """

    code = "invalid_value"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f'The value of "{field}" {problem.removesuffix(".")}.', field=field, problem=problem)


class IdempotencyMismatch(Conflict):
    """Error for an idempotency key that was used before with another request."""

    code = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__("This idempotency key was already used for a different request.")


class StillRunning(Conflict):
    """Error for a repeated request while the first with this idempotency key is still running."""

    code = "still_running"

    def __init__(self) -> None:
        super().__init__("The first request with this idempotency key is still running; ask again shortly.")


def code_of(error: BaseException) -> str:
    """Return the code of one of our errors, and the type's name of any other error."""
    return error.code if isinstance(error, DomainError) else type(error).__name__
