"""Cancellation of a checkout: the user came back without paying.

A cancellation is the user's word, and money is the provider's: whichever comes first, a payment that was paid is
credited. So nothing is closed at the provider, and the user may go on paying. Only if the user buys the same limited
package again, the cancelled checkout is closed, since both would need the same place.
"""

import hmac
from collections.abc import Mapping
from dataclasses import replace

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.events import log
from shared.payments.payment import Payment, status_of
from shared.payments.ports import PaymentProvider, ProviderName
from shared.payments.store import PaymentNotFound, Payments, fields_of, saga_path, view_of
from shared.sagas.engine.leases import LeasedDocument, Leases
from shared.sagas.engine.saga import Runner
from shared.sagas.payments.leased_payment import note_payment, payment_of
from shared.sagas.payments.payment_claims import LEASE_SECONDS, PATIENCE_PAUSE_SECONDS, PaymentBusy
from shared.sagas.payments.settlement import LOOK_PATIENCE_SECONDS, ProviderNotConfigured, Settlement

UNPAID = frozenset({"created", "pending"})


class Cancellations:
    """Cancels checkouts. Safe to call twice, late, and while another worker settles the payment."""

    def __init__(
        self,
        documents: Documents,
        providers: Mapping[ProviderName, PaymentProvider],
        settlement: Settlement,
        clock: Clock,
    ) -> None:
        self._payments = Payments(documents)
        self._providers = providers
        self._settlement = settlement
        self._leases = Leases(documents, clock)
        self._clock = clock

    def way_back(self, payment_id: str, key: str) -> str:
        """Return the address of the app to which the user returns without paying.

        Raises PaymentNotFound, also for a wrong key.
        """
        payment = self._payments.get(payment_id)
        if not payment.back_key or not hmac.compare_digest(payment.back_key.encode(), key.encode()):
            raise PaymentNotFound
        return payment.cancel_url

    def cancel(self, payment_id: str) -> None:
        """Note that the user turned back, unless the provider reports more than an open checkout.

        Raises PaymentNotFound, PaymentBusy.
        """
        self._settlement.look(payment_id)
        leased = self._claimed(payment_id)
        payment = payment_of(leased)
        if status_of(payment) not in UNPAID:
            leased.free({})
            return
        cancelled = replace(payment, is_cancelled=True)
        leased.free(fields_of(cancelled), view_of(cancelled, self._clock.now()))
        log("checkout_cancelled", payment=payment_id, provider=payment.provider)

    def give_up(self, payment_id: str) -> bool:
        """Close a cancelled checkout for good. Return True if the place is free.

        False if the checkout was not cancelled, or money came or is on its way. Raises PaymentBusy,
        ProviderUnavailable, ProviderNotConfigured.
        """
        known = self._payments.find(payment_id)
        if known is None or status_of(known) != "cancelled":
            return False
        return self._settlement.act_on(payment_id, self._close).is_over

    def _close(self, leased: LeasedDocument, _runner: Runner) -> None:
        payment = payment_of(leased)
        if status_of(payment) != "cancelled":
            return
        self._provider(payment).cancel(payment.refs)
        given_up = replace(payment, is_given_up=True)
        note_payment(leased, given_up, self._clock.now())

    def _provider(self, payment: Payment) -> PaymentProvider:
        if payment.provider not in self._providers:
            raise ProviderNotConfigured(payment.provider)
        return self._providers[payment.provider]

    def _claimed(self, payment_id: str) -> LeasedDocument:
        until = self._clock.monotonic() + LOOK_PATIENCE_SECONDS
        while True:
            leased = self._leases.claim(saga_path(payment_id), LEASE_SECONDS)
            if leased is not None:
                return leased
            if self._clock.monotonic() >= until:
                raise PaymentBusy
            self._clock.wait(PATIENCE_PAUSE_SECONDS)
