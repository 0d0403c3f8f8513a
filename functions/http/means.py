"""Check of a caller's balance before a large body is parsed. A caller without credits could not pay for the answer."""

from flask import Request

from functions.http.idempotency import Intention
from functions.http.routes import Route
from shared.bootstrap import Services
from shared.kernel.ids import OperationId, Uid, operation_id
from shared.kernel.meanwhile import Meanwhile
from shared.ledger.errors import InsufficientCredits
from shared.ledger.views import Balance
from shared.payments.chains.x402 import SIGNATURE_HEADER
from shared.users.principal import TOP_UP, Principal

LARGE_BODY_BYTES = 64 * 1024
"""Bodies beyond this are parsed only for callers with credits."""
REQUIRED: int = 1
"""Least cost of a paid call (µcr). The real cost follows from the body."""


class Means:
    """Balance of a caller, read while the body is read. No balance is read if it does not matter for this body."""

    def __init__(self, looking: Meanwhile[Balance | None] | None) -> None:
        self._looking = looking

    def require(self, body_bytes: int) -> None:
        """Raise InsufficientCredits for a large body of a caller with no credits, free or held."""
        if self._looking is None or body_bytes <= LARGE_BODY_BYTES:
            return
        balance = self._looking.result()
        if balance is not None and balance.total <= 0:
            raise InsufficientCredits(available=balance.available, held=balance.held, required=REQUIRED)


def look(
    services: Services, route: Route, caller: Principal | None, request: Request, intention: Intention | None
) -> Means:
    """Begin to read the caller's balance, and return the reading; see `Means`.

    Nothing is read unless the call spends credits and the body is, or may be, large.
    """
    length = request.content_length
    is_large = (length is None or length > LARGE_BODY_BYTES) and not is_paying(caller, request)
    if caller is None or intention is None or not is_large or InsufficientCredits not in route.errors:
        return Means(None)
    uid = caller.uid
    return Means(Meanwhile(lambda: _balance(services, uid, intention)))


def is_paying(caller: Principal | None, request: Request) -> bool:
    """Return True if a caller who may buy credits sends a payment with the call."""
    is_allowed = caller is not None and caller.key is not None and TOP_UP in caller.key.scopes
    return is_allowed and bool(request.headers.get(SIGNATURE_HEADER))


def _balance(services: Services, uid: Uid, intention: Intention) -> Balance | None:
    """Return the balance; None if the same key was used before: that answer may be asked for again for nothing."""
    if intention.has_key and is_known(services, uid, intention.operation):
        return None
    return services.credits.ledger.balance(uid)


def is_known(services: Services, uid: Uid, operation: OperationId) -> bool:
    """True if a call has begun a turn, the first message of a conversation, or an agent task."""
    return (
        services.metering.turns.is_known(operation)
        or services.metering.turns.is_known(operation_id(operation, "message"))
        or services.agents.tasks.is_known(uid, operation)
    )
