"""Stripe's errors: a status and `{"error": {type, code, message, param, …}}`."""

from typing import Any

from emulator.stand_ins.stand_in import Refused
from emulator.stand_ins.wire import Json

INVALID = "invalid_request_error"


class StripeError(Refused):
    """Refusal in Stripe's words. `is_remembered`: the refusal stays the answer of the idempotency key."""

    def __init__(self, status: int, kind: str, message: str, *, is_remembered: bool = False, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.is_remembered = is_remembered
        self.body: Json = {"error": {"message": message, "type": kind, **more}}


def invalid(message: str, *, status: int = 400, **more: Any) -> StripeError:
    return StripeError(status, INVALID, message, **more)


def missing(kind: str, object_id: str, *, param: str = "id") -> StripeError:
    message = f"No such {kind}: '{object_id}'"
    return invalid(message, status=404, code="resource_missing", param=param)
