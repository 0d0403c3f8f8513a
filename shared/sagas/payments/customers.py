"""Erasure of a user at payment providers: close the checkouts that could still be paid, and forget the customer."""

from collections.abc import Mapping
from typing import cast

from shared.kernel.clock import DAY, Clock, Millis, parse_rfc3339
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Delete, Documents, Put, Value
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.side_by_side import side_by_side
from shared.payments.ports import PaymentProvider, ProviderName
from shared.payments.store import PaymentFilter, Payments
from shared.sagas.payments.checkout import customer_path

PAGE = 40
OPEN_FOR: Millis = 10 * DAY
"""Time after which no checkout can be paid."""
OPEN = frozenset({"created", "pending", "cancelled"})


class Customers:
    """Erases a user's customers. Payments stay: they are financial records, and their uid no longer names a person.

    `customers/closing:{uid}` has the time of the checkouts that the next call closes, while some are left.
    """

    def __init__(self, documents: Documents, providers: Mapping[ProviderName, PaymentProvider], clock: Clock) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._providers = providers
        self._clock = clock

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Erase the user's customers, first at the provider, so that a failure leaves the data for another try.

        See `Erasable.erase`.
        """
        if not self._cancel_open(uid, deadline):
            return False
        for name, provider in self._providers.items():
            customer = self._documents.get(customer_path(name, uid))
            if customer is not None:
                provider.forget_customer(str(customer.data["customer"]))
                self._documents.commit([Delete(customer.path)])
        return True

    def _cancel_open(self, uid: Uid, deadline: Deadline) -> bool:
        """Close checkouts that could still be paid, the newest first. Return False if the deadline is over before all.

        If a checkout cannot be closed, the checkout ends by itself.
        """
        place = self._documents.get(_closing_path(uid))
        last = None if place is None else cast("int", place.data["before"])
        wanted = PaymentFilter(uid=uid, first=self._clock.now() - OPEN_FOR, last=last)
        after: tuple[Value, ...] | None = None
        while True:
            page = self._payments.listed(wanted, limit=PAGE, after=after)
            side_by_side(self._cancel, [view.id for view in page.items if view.data["status"] in OPEN])
            after = page.after
            if after is None:
                self._documents.commit([Delete(_closing_path(uid))])
                return True
            before = parse_rfc3339(str(page.items[-1].data["created_at"])) + 1
            self._documents.commit([Put(_closing_path(uid), {"uid": uid, "before": before})])
            if deadline.is_over():
                return False

    def _cancel(self, payment_id: str) -> None:
        payment = self._payments.get(payment_id)
        provider = self._providers.get(payment.provider)
        if provider is None or not payment.refs:
            return
        try:
            provider.cancel(payment.refs)
        except DomainError as error:
            log("checkout_not_cancelled", "WARNING", payment=payment_id, code=error.code)


def _closing_path(uid: Uid) -> str:
    return f"customers/closing:{uid}"
