"""Following of addresses: look at the chain, then bring the payments whose claims moved in step with their accounts."""

from collections.abc import Collection, Sequence
from typing import Protocol

from shared.kernel.clock import Clock
from shared.kernel.documents import Document, Documents, OutcomeUnknown, PreconditionFailed
from shared.kernel.due import DueList, DuePlace
from shared.kernel.errors import Conflict, DomainError, NotFound, Unavailable
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.payments.chains.addresses import (
    COLLECTION,
    AddressRecord,
    address_path,
    from_data,
    order_taken,
    review_ended,
)
from shared.payments.chains.claims import arrived
from shared.payments.chains.ports import NetworkName
from shared.payments.chains.seen import AddressView
from shared.payments.payment import Payment
from shared.payments.ports import UnknownAtProvider
from shared.payments.store import PaymentNotFound, Payments
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.address_looks import AddressLooks

TAKE_ATTEMPTS_MAX = 5
DUE_ADDRESSES = DueList(collection=COLLECTION)
"""Most addresses that one run of the job follows again."""


class Settles(Protocol):
    """Part of the settlement that following needs."""

    def settle(self, payment_id: str) -> Payment:
        """Bring a payment and the account in step with the provider."""
        ...

    def revive(self, payment_id: str) -> Payment:
        """Settle a payment again that is parked."""
        ...


class NothingToTake(Conflict):
    """No coins have come that the user could take before grace ends."""

    code = "nothing_to_take"

    def __init__(self) -> None:
        super().__init__("Nothing has come yet that could be taken, or all has become credits already.")


class AddressBusy(Unavailable):
    """Another worker is following this address right now."""

    code = "address_busy"

    def __init__(self) -> None:
        super().__init__("This payment is being worked on; ask again shortly.")


class AddressFollower:
    """Follower of addresses. All nudges call `follow`; each call may come twice, late, and at once."""

    def __init__(self, documents: Documents, looks: AddressLooks, settlement: Settles, clock: Clock) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._looks = looks
        self._settlement = settlement
        self._clock = clock

    def follow(self, family: str, index: int, networks: Collection[NetworkName] | None = None) -> AddressView:
        """Look at the address on these networks (None: on all of the family), and settle the payments that moved.

        Raises UnknownAtProvider for an address that was never given out, and StoreUnavailable. A network that cannot be
        asked is named in the answer. A payment that cannot be settled now is settled by the next call.
        """
        seen = self._looks.look(family, index, networks)
        record = seen.record
        is_watched = record.is_order_open and record.has_coins
        wanted = record.unsettled | ({record.payment} if is_watched else set())
        done = [payment for payment in sorted(wanted) if self._settle(payment, seen)]
        if record.unsettled:
            self._looks.settled(record, done)
        return seen

    def follow_payment(self, payment_id: str) -> None:
        """Follow the address of a payment. Raises PaymentNotFound, also for a payment that is not on a chain."""
        payment = self._payments.get(payment_id)
        if payment.quote is None:
            raise PaymentNotFound
        self.follow(payment.provider, payment.quote.index)

    def take(self, payment_id: str, uid: Uid) -> None:
        """Grant the part that came of a payment, without waiting for the rest.

        Coins in blocks that are not deep enough are waited for. Raises PaymentNotFound, NothingToTake, AddressBusy.
        """
        payment = self._payments.get(payment_id)
        if payment.uid != uid or payment.quote is None or "begin" in payment.refs:
            raise PaymentNotFound
        family, index = payment.provider, payment.quote.index
        self.follow(family, index)
        for _ in range(TAKE_ATTEMPTS_MAX):
            document = self._documents.get(address_path(family, index))
            if document is None or not has_part_to_take(from_data(document.data)):
                raise NothingToTake
            try:
                self._documents.commit([order_taken(document)])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            self.follow(family, index)
            return
        raise AddressBusy

    def accept(self, payment_id: str) -> Payment:
        """End the review of a payment's coins for an operator, grant the credits, and return the payment.

        Raises PaymentNotFound, AddressBusy, and the errors of `Settlement.revive`.
        """
        payment = self._payments.get(payment_id)
        if payment.quote is None:
            raise PaymentNotFound
        for _ in range(TAKE_ATTEMPTS_MAX):
            document = self._documents.get(address_path(payment.provider, payment.quote.index))
            if document is None:
                raise PaymentNotFound
            try:
                self._documents.commit([review_ended(document, payment_id)])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            return self._settlement.revive(payment_id)
        raise AddressBusy

    def due(self, limit: int, after: DuePlace | None = None) -> Sequence[Document]:
        """Return documents of addresses whose next look is due, behind `after`, at most `limit`."""
        return DUE_ADDRESSES.page(self._documents, self._clock.now(), limit, after)

    def resume(self, run: JobRun) -> None:
        """Follow the addresses at which something is under way: coins not deep enough, or payments not settled."""
        attempt_due(run, "crypto_addresses", [self.due], lambda address, _: self._resume_one(address))

    def _resume_one(self, address: Document) -> None:
        record = from_data(address.data)
        self.follow(record.family, record.index)

    def _settle(self, payment_id: str, seen: AddressView) -> bool:
        """Settle one payment from the look just made. Return False after a failure: the next call settles it again."""
        try:
            with self._looks.remembered(seen):
                self._settlement.settle(payment_id)
        except (NotFound, UnknownAtProvider) as error:
            log("claimed_payment_unknown", "ERROR", payment=payment_id, code=error.code)
            return False
        except DomainError as error:
            log("claimed_payment_not_settled", "WARNING", payment=payment_id, code=error.code)
            return False
        return True


def has_part_to_take(record: AddressRecord) -> bool:
    """Return True if coins have come for an order that is open, and the user has not taken the part yet."""
    order = record.order
    if order is None or order.is_taken or not record.is_order_open:
        return False
    return arrived(record.level((order.network, order.asset))) > 0
