"""Erasure of a user at payment providers: close the checkouts that could still be paid, and forget the customer."""

from collections.abc import Mapping

from shared.kernel.documents import Delete, Documents, Value
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.payments.ports import PaymentProvider, ProviderName
from shared.payments.store import Payments
from shared.sagas.payments.checkout import customer_path

PAGE = 100
OPEN = frozenset({"created", "pending", "cancelled"})


class Customers:
    """Erases a user's customers. Payments stay: they are financial records, and their uid no longer names a person."""

    def __init__(self, documents: Documents, providers: Mapping[ProviderName, PaymentProvider]) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._providers = providers

    def erase(self, uid: Uid) -> None:
        """Erase the user's customers, first at the provider, so that a failure leaves the data for another try."""
        self._cancel_open(uid)
        for name, provider in self._providers.items():
            customer = self._documents.get(customer_path(name, uid))
            if customer is not None:
                provider.forget_customer(str(customer.data["customer"]))
                self._documents.commit([Delete(customer.path)])

    def _cancel_open(self, uid: Uid) -> None:
        """Close checkouts that could still be paid.

        If a checkout cannot be closed, it ends by itself within the hour.
        """
        after: tuple[Value, ...] | None = None
        while True:
            page = self._payments.history(uid, limit=PAGE, after=after)
            for view in page.items:
                if view.data["status"] in OPEN:
                    self._cancel(view.id)
            after = page.after
            if after is None:
                return

    def _cancel(self, payment_id: str) -> None:
        payment = self._payments.get(payment_id)
        provider = self._providers.get(payment.provider)
        if provider is None or not payment.refs:
            return
        try:
            provider.cancel(payment.refs)
        except DomainError as error:
            log("checkout_not_cancelled", "WARNING", payment=payment_id, code=error.code)
