"""What a provider's notice leads to: find the payment that it is about, and settle that from the provider's truth."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.kernel.clock import Clock
from shared.kernel.documents import Data, Document, Documents, Patch, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.payments.inbox import COLLECTION, Status, ended, notice_in, postponed, revived
from shared.payments.payment import MONEY
from shared.payments.ports import Notice, PaymentProvider, ProviderName, Refs, UnknownAtProvider
from shared.payments.store import Payments
from shared.sagas.settlement import ProviderNotConfigured, Settlement

END_ATTEMPTS_MAX = 3
OBJECTS = ("session", "intent", "charge", "order", "capture")
"""The provider's objects that a payment is known by; refunds and disputes belong to one of these."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """What became of a notice; `payment` is the name of one that nobody knows."""

    status: Status
    reason: str = ""
    payment: str = ""


class PaymentInbox:
    """Deals with notices. The same notice twice, late, or out of order asks the same question again, nothing more.

    So nobody has to claim one: whoever settles its payment claims that.
    """

    def __init__(
        self,
        documents: Documents,
        settlement: Settlement,
        providers: Mapping[ProviderName, PaymentProvider],
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._settlement = settlement
        self._providers = providers
        self._alerts = alerts
        self._clock = clock

    def handle(self, notice_id: str) -> None:
        """Deal with a stored notice, `{provider}:{event id}`, unless that was done.

        What cannot be done now is left for the sweep. Raises only if not even that could be written down.
        """
        document = self._documents.get(f"{COLLECTION}/{notice_id}")
        if document is None or document.data["status"] != "new":
            return
        try:
            ending = self._deal_with(notice_in(document.data))
        except DomainError as error:
            self._postpone(document, error.code)
        except Exception as error:
            self._postpone(document, type(error).__name__)
            raise
        else:
            self._end(document, ending)

    def replay(self, notice_id: str) -> bool:
        """An operator's: deal with it anew, whatever became of it. Whether there is such a notice, and nobody at it."""
        document = self._documents.get(f"{COLLECTION}/{notice_id}")
        if document is None or not self._write(document, revived(self._clock.now())):
            return False
        self.handle(notice_id)
        return True

    def _deal_with(self, notice: Notice) -> _Ending:
        refs = {kind: ref for kind, ref in notice.refs.items() if kind in OBJECTS}
        try:
            name, payment = self._payment(notice, refs)
        except UnknownAtProvider:
            return _Ending("ignored", "unknown_at_provider")
        if name is None or (payment is not None and payment.data["provider"] != notice.provider):
            return _Ending("ignored", "not_ours")
        if payment is None:
            return _Ending("parked", "payment_unknown", name)
        self._settlement.settle(name, refs, read=payment)
        return _Ending("done")

    def _payment(self, notice: Notice, refs: Refs) -> tuple[str | None, Document | None]:
        """Our name of the payment, and its document, as far as there are any.

        As the event says, as we remember the money, or as the provider tells when asked.
        """
        named = None if notice.payment is None else self._payments.read(notice.payment)
        if named is not None:
            return named.id, named
        money = refs.get(MONEY[notice.provider])
        name = None if money is None else self._payments.payment_with_money(notice.provider, money)
        if name is None and notice.refs:
            if notice.provider not in self._providers:
                raise ProviderNotConfigured(notice.provider)
            name = self._providers[notice.provider].locate(notice.refs)
        name = name or (None if notice.refs else notice.payment)
        return name, None if name is None else self._payments.read(name)

    def _end(self, document: Document, ending: _Ending) -> None:
        if ending.status == "parked":
            # Told before it is written: a worker that dies in between is followed, and an alert may be heard twice.
            self._alerts.alert("notice_parked", notice=document.id, reason=ending.reason, payment=ending.payment)
        changes = ended(ending.status, self._clock.now(), ending.reason)
        found: Document | None = document
        for _ in range(END_ATTEMPTS_MAX):
            if found is None or found.data["status"] != "new" or self._write(found, changes):
                return
            found = self._documents.get(document.path)  # another may have given up waiting for us, and put it off

    def _postpone(self, document: Document, code: str) -> None:
        changes = postponed(document.data, self._clock.now(), code)
        log("notice_postponed", "WARNING", notice=document.id, code=code)
        if changes.get("status") == "dead":
            self._alerts.alert("notice_dead", notice=document.id, code=code)
        self._write(document, changes)

    def _write(self, document: Document, changes: Data) -> bool:
        """Whether it was written; not, if another has written meanwhile."""
        try:
            self._documents.commit([Patch(document.path, changes, document.version)])
        except PreconditionFailed:
            return False
        return True
