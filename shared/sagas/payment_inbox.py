"""What a provider's notice leads to: find the payment that it is about, and settle that from the provider's truth."""

from collections.abc import Mapping

from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.payments.inbox import COLLECTION, ended, notice_in, postponed, revived
from shared.payments.ports import Notice, PaymentProvider, ProviderName, Refs, UnknownAtProvider
from shared.payments.store import Payments
from shared.sagas.leases import Leased, Leases
from shared.sagas.settlement import ProviderNotConfigured, Settlement

LEASE_SECONDS = 120
OBJECTS = ("session", "intent", "charge", "order", "capture")
"""The provider's objects that a payment is known by; refunds and disputes belong to one of these."""
MONEY = {"stripe": "intent", "paypal": "capture"}
"""The object that money is known by, once it was received."""


class PaymentInbox:
    """Deals with notices. The same notice twice, late, or out of order asks the same question again, nothing more."""

    def __init__(
        self,
        documents: Documents,
        settlement: Settlement,
        providers: Mapping[ProviderName, PaymentProvider],
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._leases = Leases(documents, clock)
        self._payments = Payments(documents)
        self._settlement = settlement
        self._providers = providers
        self._alerts = alerts
        self._clock = clock

    def handle(self, notice_id: str) -> None:
        """Deal with a stored notice, `{provider}:{event id}`, unless that was done or another does it right now.

        What cannot be done now is left for the sweep. Raises only if not even that could be written down.
        """
        leased = self._leases.claim(f"{COLLECTION}/{notice_id}", LEASE_SECONDS)
        if leased is None:
            return
        if leased.data["status"] != "new":
            leased.free({})
            return
        try:
            self._deal_with(leased, notice_in(leased.data))
        except DomainError as error:
            self._postpone(leased, error.code)
        except Exception as error:
            self._postpone(leased, type(error).__name__)
            raise

    def replay(self, notice_id: str) -> bool:
        """An operator's: deal with it anew, whatever became of it. Whether there is such a notice."""
        leased = self._leases.claim(f"{COLLECTION}/{notice_id}", LEASE_SECONDS)
        if leased is None:
            return False
        leased.free(revived(self._clock.now()))
        self.handle(notice_id)
        return True

    def _deal_with(self, leased: Leased, notice: Notice) -> None:
        refs = {kind: ref for kind, ref in notice.refs.items() if kind in OBJECTS}
        try:
            payment = self._payment(notice, refs)
        except UnknownAtProvider:
            leased.free(ended("ignored", self._clock.now(), "unknown_at_provider"))
            return
        known = None if payment is None else self._payments.find(payment)
        if payment is None or (known is not None and known.provider != notice.provider):
            leased.free(ended("ignored", self._clock.now(), "not_ours"))
        elif known is None:
            leased.free(ended("parked", self._clock.now(), "payment_unknown"))
            self._alerts.alert("notice_parked", notice=leased.document.id, reason="payment_unknown", payment=payment)
        else:
            self._settlement.settle(payment, refs)
            leased.free(ended("done", self._clock.now()))

    def _payment(self, notice: Notice, refs: Refs) -> str | None:
        """Our name of the payment: as the event says, as we remember the money, or as the provider tells when asked."""
        if notice.payment is not None and self._payments.find(notice.payment) is not None:
            return notice.payment
        money = refs.get(MONEY[notice.provider])
        known = None if money is None else self._payments.payment_with_money(notice.provider, money)
        if known is not None:
            return known
        if notice.provider not in self._providers:
            raise ProviderNotConfigured(notice.provider)
        return self._providers[notice.provider].locate(notice.refs) if notice.refs else notice.payment

    def _postpone(self, leased: Leased, code: str) -> None:
        changes = postponed(leased.data, self._clock.now(), code)
        leased.free(changes)
        log("notice_postponed", "WARNING", notice=leased.document.id, code=code)
        if changes.get("status") == "dead":
            self._alerts.alert("notice_dead", notice=leased.document.id, code=code)
