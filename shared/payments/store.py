"""Payments as documents: `payment_sagas/{id}` is internal, `payments/{id}` the owner's, and one commit writes both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Delete, Document, Documents, Order, Put, Query, Value, Where, Write
from shared.kernel.due import DueList, DuePlace
from shared.kernel.errors import NotFound
from shared.kernel.ids import Uid, is_safe_id
from shared.payments.owner_view import OLD_SCHEMA, owner_view, renewed
from shared.payments.payment import DUE_SHARDS, Payment
from shared.payments.payment_documents import from_data, to_data
from shared.payments.ports import ProviderName
from shared.payments.providers import PROVIDER_NAMES

DUE_PAYMENTS = DueList(collection="payment_sagas", shards=DUE_SHARDS)
SAME_ID_MAX = 20
"""Most payments that may share one id of their provider. More than one is a fault that operators should see."""


class PaymentNotFound(NotFound):
    """Error for a payment that does not exist or belongs to another user."""

    code = "payment_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such payment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentPage:
    """Page of payments as their owners see them, newest first. `after` continues behind the last; None at the end."""

    items: tuple[Document, ...]
    after: tuple[Value, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Ids of payments, newest first. `after` continues behind the last; None at the end."""

    ids: tuple[str, ...]
    after: tuple[Value, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Conditions of an operator's search for payments. All conditions hold at once; None: any value.

    `first` and `last` bound the time at which the payment was begun, inclusive and exclusive.
    """

    uid: str | None = None
    provider: str | None = None
    status: str | None = None
    is_under_review: bool | None = None
    first: Millis | None = None
    last: Millis | None = None

    @property
    def conditions(self) -> tuple[Where, ...]:
        """Return the conditions as parts of a query. Both forms of a payment have these fields."""
        equal: Mapping[str, Value] = {
            "uid": self.uid,
            "provider": self.provider,
            "status": self.status,
            "is_under_review": self.is_under_review,
        }
        bounds: list[Where] = [Where(name, "==", value) for name, value in equal.items() if value is not None]
        if self.first is not None:
            bounds.append(Where("created_at", ">=", to_datetime(self.first)))
        if self.last is not None:
            bounds.append(Where("created_at", "<", to_datetime(self.last)))
        return tuple(bounds)

    def fits(self, payment: Payment) -> bool:
        """Return True if the payment meets all conditions."""
        told: Mapping[str, Value] = to_data(payment)
        equal = all(told.get(each.field) == each.value for each in self.conditions if each.operator == "==")
        at = payment.created_at
        return equal and (self.first is None or at >= self.first) and (self.last is None or at < self.last)


class Payments:
    """Reader of payments. Only a lease (`shared.sagas.payments.settlement`) writes them."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def read(self, payment_id: str) -> Document | None:
        """Return the saga's document of a payment; None if there is no such payment."""
        return self._documents.get(saga_path(payment_id))

    def find(self, payment_id: str) -> Payment | None:
        """Return the payment with this id; None if there is none."""
        document = self.read(payment_id)
        return None if document is None else from_data(payment_id, document.data)

    def get(self, payment_id: str) -> Payment:
        """Return the payment. Raises PaymentNotFound."""
        payment = self.find(payment_id)
        if payment is None:
            raise PaymentNotFound
        return payment

    def view(self, payment_id: str, uid: Uid | None) -> Data:
        """Return the payment's document for its owner.

        Raises PaymentNotFound, also if `uid` is set and not the owner's.
        """
        document = self._documents.get(view_path(payment_id))
        if document is None or (uid is not None and document.data["uid"] != uid):
            raise PaymentNotFound
        return renewed(payment_id, document.data)

    def history(self, uid: Uid, *, limit: int, after: tuple[Value, ...] | None) -> PaymentPage:
        """Return a user's payments, newest first."""
        return self._page((Where("uid", "==", uid),), limit, after)

    def listed(self, wanted: PaymentFilter, *, limit: int, after: tuple[Value, ...] | None) -> PaymentPage:
        """Return the payments of all users that meet all conditions, newest first."""
        return self._page(wanted.conditions, limit, after)

    def with_provider_id(self, provider_id: str, wanted: PaymentFilter) -> PaymentPage:
        """Return the payments that a provider knows by this id: of a checkout, of money, a refund or a dispute.

        A payment that was stored before `provider_ids` existed is found by the id of its money only.
        """
        query = Query(
            collection="payment_sagas",
            where=(Where("provider_ids", "array_contains", provider_id),),
            limit=SAME_ID_MAX,
        )
        ids = {document.id for document in self._documents.query(query)}
        paths = [effect_path(name, provider_id) for name in PROVIDER_NAMES] if is_safe_id(provider_id) else []
        ids |= {str(each.data["payment"]) for each in self._documents.get_all(paths) if each is not None}
        fitting = [each for each in self.among(sorted(ids)).values() if wanted.fits(each)]
        newest_first = sorted(fitting, key=lambda each: (each.created_at, each.id), reverse=True)
        return PaymentPage(items=self._views([each.id for each in newest_first]), after=None)

    def among(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        """Return the payments with these ids, by id; an id without a payment is left out."""
        documents = self._documents.get_all([saga_path(each) for each in payment_ids]) if payment_ids else []
        return {each.id: payment_in(each) for each in documents if each is not None}

    def since(
        self, first: Millis, *, limit: int, after: tuple[Value, ...] | None
    ) -> tuple[list[Payment], tuple[Value, ...] | None]:
        """Return a page of the payments that were begun at `first` or later, newest first, and the position behind the
        page.

        The position, for `after`, is None on the last page.
        """
        found = self._found((Where("created_at", ">=", to_datetime(first)),), limit, after)
        known = self.among(found.ids)
        return [known[each] for each in found.ids if each in known], found.after

    def due(self, now: Millis, limit: int, after: DuePlace | None = None) -> list[Document]:
        """Return the working documents of payments that are due at `now`, behind `after`, the most overdue first."""
        return DUE_PAYMENTS.page(self._documents, now, limit, after)

    def payment_with_money(self, provider: ProviderName, money: str) -> str | None:
        """Return the payment that this money became credits for, None if there is none."""
        document = self._documents.get(effect_path(provider, money))
        return None if document is None else str(document.data["payment"])

    def _page(self, where: tuple[Where, ...], limit: int, after: tuple[Value, ...] | None) -> PaymentPage:
        found = self._found(where, limit, after)
        return PaymentPage(items=self._views(found.ids), after=found.after)

    def _found(self, where: tuple[Where, ...], limit: int, after: tuple[Value, ...] | None) -> _Found:
        """Find the payments that meet `where`, newest first.

        Payments are found by their working documents. A working document of the old form lacks `id`, so these payments
        are found by their owner's documents. The old form is asked first, so that a payment that moves in between is
        found at least once.
        """
        old = (Where("schema", "==", OLD_SCHEMA), *where)
        found = [*self._newest("payments", old, limit, after), *self._newest("payment_sagas", where, limit, after)]
        ages = {each.id: _age(each) for each in found}
        ids = sorted(ages, key=ages.__getitem__, reverse=True)
        last = ids[limit - 1] if len(ids) > limit else None
        more = None if last is None else (to_datetime(ages[last][0]), last)
        return _Found(ids=tuple(ids[:limit]), after=more)

    def _newest(
        self, collection: str, where: tuple[Where, ...], limit: int, after: tuple[Value, ...] | None
    ) -> list[Document]:
        order = (Order("created_at", descending=True), Order("id", descending=True))
        return self._documents.query(
            Query(collection=collection, where=where, order_by=order, limit=limit + 1, after=after)
        )

    def _views(self, ids: Sequence[str]) -> tuple[Document, ...]:
        found = self._documents.get_all([view_path(each) for each in ids]) if ids else []
        return tuple(replace(each, data=renewed(each.id, each.data)) for each in found if each is not None)


def _age(document: Document) -> tuple[Millis, str]:
    return from_datetime(cast("datetime", document.data["created_at"])), document.id


def saga_path(payment_id: str) -> str:
    """Return the path of the payment's internal document."""
    return f"payment_sagas/{payment_id}"


def view_path(payment_id: str) -> str:
    """Return the path of the payment's document for its owner."""
    return f"payments/{payment_id}"


def effect_path(provider: ProviderName, money: str) -> str:
    """Return the path of received money, by the provider's name for that money.

    The document is created once and names the payment and user for ever.
    """
    return f"effects/{provider}:{money}"


def refund_path(operation: str) -> str:
    """Return the path of a refund made here, by its operation. The document holds the request and any later refusal."""
    return f"payment_refunds/{operation}"


def effect(payment: Payment, money: str, now: Millis) -> Create:
    """Return the write that assigns this money to the payment."""
    data: Mapping[str, Value] = {
        "payment": payment.id,
        "uid": payment.uid,
        "at": to_datetime(now),
    }
    return Create(effect_path(payment.provider, money), data)


def fields_of(payment: Payment) -> dict[str, Value]:
    """Return the payment's own fields of the saga's document."""
    return to_data(payment)


def view_of(payment: Payment, now: Millis) -> Write:
    """Return the write of the owner's document, for every commit that changes the saga's document."""
    return Put(view_path(payment.id), owner_view(payment, now))


def without_slot(payment: Payment) -> tuple[Payment, tuple[Write, ...]]:
    """Return the payment without its place under the user's limit, and the writes that free the place."""
    return (replace(payment, slot=""), (Delete(payment.slot),)) if payment.slot else (payment, ())


def payment_in(document: Document) -> Payment:
    """Return the payment that a saga's document holds."""
    return from_data(document.id, document.data)
