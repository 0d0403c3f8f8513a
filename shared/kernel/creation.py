"""Creation of documents under a permanent name, exactly once for any answer of the store."""

from collections.abc import Callable
from typing import TypeVar

from shared.kernel.documents import OutcomeUnknown, PreconditionFailed, StoreUnavailable
from shared.kernel.errors import DomainError

T = TypeVar("T")

UNCLEAR = (PreconditionFailed, OutcomeUnknown, StoreUnavailable)
"""Answers of the store after which only a read tells the outcome. Under load the store refuses some commits."""


def create_or_find(
    create: Callable[[], T],
    find: Callable[[], T | None],
    *,
    pause: Callable[[], None],
    attempts_max: int,
    final: tuple[type[DomainError], ...] = (),
) -> T:
    """Return the created value, or the value that this call or another call has created under the same name.

    After an unclear answer, `find` looks for the value, and raises if the value belongs to another request. If nothing
    is found, `create` is tried again after a pause. Errors in `final` are not retried, but a value is still looked for.
    Raises the last error of `create` if no attempt succeeds.
    """
    for attempt in range(1, attempts_max + 1):
        try:
            return create()
        except UNCLEAR + final as error:
            if (found := find()) is not None:
                return found
            if attempt == attempts_max or isinstance(error, final):
                raise
        pause()
    raise AssertionError("the last attempt returns or raises")
