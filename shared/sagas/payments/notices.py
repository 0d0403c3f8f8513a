"""The handling of a provider's notice: find the payment, and settle the payment from the provider's truth."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.kernel.clock import SECOND, Clock, from_datetime
from shared.kernel.documents import Data, Document, Documents, Patch, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log
from shared.kernel.measured import NOTICE_TIMES
from shared.payments.inbox import COLLECTION, Status, ended, notice_in, postponed, revived
from shared.payments.payment import UNPAID_ENDS
from shared.payments.ports import Notice, PaymentProvider, ProviderName, Refs, UnknownAtProvider
from shared.payments.providers import PROVIDERS
from shared.payments.store import Payments
from shared.sagas.payments.settlement import ProviderNotConfigured, Settlement

END_ATTEMPTS_MAX = 3
OBJECTS = ("session", "intent", "charge", "order", "capture")
"""Kinds of provider objects by which a payment is known. Refunds and disputes belong to one of these objects."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """The outcome of a notice. `payment` names the payment that the notice is about; empty if there is none."""

    status: Status
    reason: str = ""
    payment: str = ""


class PaymentInbox:
    """The handler of notices. A notice that comes twice, late or out of order only asks the same question again.

    So a notice needs no claim: the settlement claims the payment.
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

    def handle(self, notice_id: str, read: Document | None = None) -> None:
        """Handle a stored notice, `{provider}:{event id}`, unless the notice was handled.

        `read` is the notice's document, if the caller has it. A failed notice is left for the sweep. Raises only if
        the failure could not be recorded, or is not a DomainError.
        """
        document = read or self._documents.get(f"{COLLECTION}/{notice_id}")
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
            if ending.status == "done":
                self._tell_time(document)

    def replay(self, notice_id: str) -> bool:
        """Handle a notice again for an operator.

        Return False if there is no such notice, or a worker is handling the notice.
        """
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
            return self._end_of_unknown(notice, refs, name)
        self._settlement.settle(name, refs, read=payment, happened_at=notice.at)
        return _Ending("done", payment=name)

    def _end_of_unknown(self, notice: Notice, refs: Refs, name: str) -> _Ending:
        """Return the outcome of a notice about a payment that is not stored.

        A checkout whose worker died before the payment was stored was given to nobody, and ends without money. Money
        of an unknown payment waits for an operator.
        """
        if refs and notice.provider in self._providers:
            with suppress(UnknownAtProvider):
                truth = self._providers[notice.provider].truth(refs, ())
                if truth.paid is None and truth.stage in UNPAID_ENDS | {"open"}:
                    return _Ending("ignored", "never_begun")
        return _Ending("parked", "payment_unknown", name)

    def _payment(self, notice: Notice, refs: Refs) -> tuple[str | None, Document | None]:
        """Return our name of the payment, and the payment's document, each None if unknown.

        The event names the payment, or the money is known, or the provider is asked.
        """
        named = None if notice.payment is None else self._payments.read(notice.payment)
        if named is not None:
            return named.id, named
        money = refs.get(PROVIDERS[notice.provider].money)
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
        about = {"payment": ending.payment} if ending.payment else {}
        changes = {**ended(ending.status, self._clock.now(), ending.reason), **about}
        found: Document | None = document
        for _ in range(END_ATTEMPTS_MAX):
            if found is None or found.data["status"] != "new" or self._write(found, changes):
                return
            found = self._documents.get(document.path)  # another may have given up waiting for us, and put it off

    def _tell_time(self, document: Document) -> None:
        """Tell how long it took from the notice's arrival until its payment was in step."""
        received = document.data.get("received_at")
        if isinstance(received, datetime):
            seconds = (self._clock.now() - from_datetime(received)) / SECOND
            NOTICE_TIMES.note(seconds)
            log("notice_done", notice=document.id, seconds=seconds)

    def _postpone(self, document: Document, code: str) -> None:
        changes = postponed(document.data, self._clock.now(), code)
        log("notice_postponed", "WARNING", notice=document.id, code=code)
        if changes.get("status") == "dead":
            self._alerts.alert("notice_dead", notice=document.id, code=code)
        self._write(document, changes)

    def _write(self, document: Document, changes: Data) -> bool:
        """Write the changes. Return False if another worker has written meanwhile."""
        try:
            self._documents.commit([Patch(document.path, changes, document.version)])
        except PreconditionFailed:
            return False
        return True
