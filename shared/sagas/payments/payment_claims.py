"""The claims on payments: one worker at a time changes a payment, and others wait or take that worker's result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from shared.kernel.clock import SECOND, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import Document, Documents, Value
from shared.kernel.errors import Unavailable
from shared.payments.payment import Payment
from shared.payments.providers import is_chain
from shared.payments.store import PaymentNotFound, payment_in, saga_path
from shared.sagas.engine.leases import LeasedDocument, Leases
from shared.sagas.engine.saga import progress_of

LEASE_SECONDS = 90
"""Seconds of the lease, longer than the work between two saves: a few provider calls, each with a timeout."""
PATIENCE_SECONDS = 20.0
PATIENCE_PAUSE_SECONDS = 0.05


class PaymentBusy(Unavailable):
    """Another worker is settling this payment right now."""

    code = "payment_busy"

    def __init__(self) -> None:
        super().__init__("This payment is being worked on; ask again shortly.")


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The state of a payment's lease when a worker began to wait for the lease."""

    fence: int
    is_free: bool


class PaymentClaims:
    """The claims on payments. Safe to share between threads."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._leases = Leases(documents, clock)
        self._clock = clock

    def claimed(self, payment_id: str) -> LeasedDocument:
        """Lease the payment, waiting for another worker. Raises PaymentNotFound and PaymentBusy."""
        leased, _ = self.claim(payment_id, self._clock.monotonic() + PATIENCE_SECONDS)
        assert isinstance(leased, LeasedDocument), "nobody else's work is ours"
        return leased

    def claim(
        self,
        payment_id: str,
        until: float,
        read: Document | None = None,
        first: LeaseState | None = None,
        *,
        joins: Callable[[Payment], bool] = lambda _payment: False,
        is_begun: bool = False,
    ) -> tuple[LeasedDocument | Payment, LeaseState]:
        """Lease the payment, waiting until `until` (monotonic seconds) for another worker's lease to end.

        If another worker had the payment at the look `first`, None for now, and a third has had the payment since, that
        third asked the provider after `first`. If `joins` is true of the result, return that payment without a lease.
        `read` is the payment's document, if just read. `is_begun`: a claim that is only begun is enough, unless a saga
        is under way or the payment is on a chain. The second value is the first look. Raises PaymentNotFound, and
        PaymentBusy at `until`.
        """
        path = saga_path(payment_id)
        while True:
            document, read = read or self._documents.get(path), None
            if document is None:
                raise PaymentNotFound
            look = _look(document, self._clock.now())
            if first is not None and look.is_free and not first.is_free and look.fence > first.fence:
                payment = payment_in(document)
                if joins(payment):
                    return payment, first
            first = first or look
            leased = self._leased(document, is_begun=is_begun) if look.is_free else None
            if leased is not None:
                return leased, first
            if self._clock.monotonic() >= until:
                raise PaymentBusy
            self._clock.wait(PATIENCE_PAUSE_SECONDS)

    def _leased(self, document: Document, *, is_begun: bool) -> LeasedDocument | None:
        """Claim the payment, or only begin to claim it if the work starts with a question to the provider."""
        progress = progress_of(document.data)
        is_idle = progress is None or progress.is_over
        if is_begun and is_idle and not is_chain(str(document.data["provider"])):
            return self._leases.begin_claim(document, LEASE_SECONDS, self._heir())
        return self._leases.claim_read(document, LEASE_SECONDS, self._heir())

    def _heir(self) -> Mapping[str, Value]:
        """Return the due time to write with the claim.

        If this worker dies, a sweep settles the payment after the lease.
        """
        return {"due_at": to_datetime(self._clock.now() + LEASE_SECONDS * SECOND)}


def _look(document: Document, now: Millis) -> LeaseState:
    lease = cast("Mapping[str, object]", document.data["lease"])
    until = from_datetime(lease["until"])  # type: ignore[arg-type]  # a lease ends at a time
    return LeaseState(fence=cast("int", lease["fence"]), is_free=until <= now)
