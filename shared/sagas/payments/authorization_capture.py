"""Capture of a payment by authorization: a facilitator brings the authorization to the chain, and pays the gas."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, OutcomeUnknown, Patch, PreconditionFailed
from shared.kernel.events import log
from shared.payments.chains.addresses import AddressRecord, address_path, from_data, to_data
from shared.payments.chains.authorizations import AuthorizedOrder
from shared.payments.chains.authorized_claims import ORDER_REF
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import NetworkName
from shared.payments.chains.x402 import payload_of
from shared.payments.facilitator import Facilitator, FacilitatorAnswer, FacilitatorUnavailable
from shared.payments.ports import ProviderUnavailable, Refs

NOTE_ATTEMPTS_MAX = 10
EVM = "evm"


class AuthorizationCapture:
    """Sender of authorizations to the facilitator. The answer is noted, and decides nothing.

    `facilitator` returns None if the settings name none.
    """

    def __init__(
        self,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        facilitator: Callable[[], Facilitator | None],
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._networks = networks
        self._facilitator = facilitator
        self._clock = clock

    def capture(self, refs: Refs) -> None:
        """Send the authorization of a payment, unless that was done, and note the answer. May be repeated.

        The order notes the sending before: a worker that dies meanwhile leaves the question to the chain. If no answer
        came, the pause until the next sending begins after the wait: else a slow facilitator is asked without a pause.
        Raises ProviderUnavailable without a facilitator, and if other workers change the address all the time.
        """
        facilitator, now = self._facilitator(), self._clock.now()
        if facilitator is None or refs["network"] not in self._networks:
            raise ProviderUnavailable(EVM)
        index, payment = int(refs["index"]), refs[ORDER_REF]
        order, address = self._noted(index, payment, lambda known: known.is_to_send(now), {"sent_at": now})
        if order is None:
            return
        network = self._networks[order.network]
        try:
            answer = facilitator.settle(*payload_of(order, network, address))
        except FacilitatorUnavailable as error:
            log("authorization_not_answered", "WARNING", payment=payment, code=error.code)
            self._noted(index, payment, lambda known: known.sent_at == now, {"sent_at": self._clock.now()})
            return
        changes = _answered(answer, is_first=order.sent_at is None)
        self._noted(index, payment, lambda known: known.state == "open" or not known.transaction, changes)
        log("authorization_sent", payment=payment, settled=answer.is_settled, reason=answer.reason)

    def _noted(
        self,
        index: int,
        payment: str,
        fits: Callable[[AuthorizedOrder], bool],
        changes: Mapping[str, Any],
    ) -> tuple[AuthorizedOrder | None, str]:
        """Store changes of an order that `fits`. Return the order before, or None, and the address."""
        for _ in range(NOTE_ATTEMPTS_MAX):
            document = self._documents.get(address_path(EVM, index))
            record = None if document is None else from_data(document.data)
            order = None if record is None else record.authorized_order(payment)
            if document is None or record is None or order is None or not fits(order):
                return None, ""
            after = replace(order, **changes)
            data = {"authorized": to_data(_with(record, after))["authorized"]}
            try:
                self._documents.commit([Patch(document.path, data, document.version)])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            return order, record.address
        raise ProviderUnavailable(EVM)


def _with(record: AddressRecord, order: AuthorizedOrder) -> AddressRecord:
    orders = tuple(order if each.payment == order.payment else each for each in record.authorized)
    return replace(record, authorized=orders)


def _answered(answer: FacilitatorAnswer, *, is_first: bool) -> dict[str, Any]:
    """Return the changes after an answer. A refusal to send again tells nothing about the sending before."""
    if answer.is_pending or not (answer.is_settled or is_first):
        return {"transaction": answer.transaction} if answer.transaction else {}
    return {"is_answered": True, "refusal": answer.reason, "transaction": answer.transaction}
