"""Checkout of a package with coins: an address, the amount due at a quoted rate, and a change of network or asset."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.kernel.clock import DAY, Clock, Millis, to_datetime
from shared.kernel.documents import Create, Document, Documents, Patch, PreconditionFailed, Value, Write
from shared.kernel.errors import Conflict, IdempotencyMismatch
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, derived_id, random_token
from shared.kernel.measured import PAYMENTS
from shared.ledger.ledger import Ledger
from shared.payments.chains.addresses import CoinsHaveCome, address_created, address_path, from_data, order_changed
from shared.payments.chains.authorized_claims import is_by_authorization
from shared.payments.chains.networks import Family
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.quotes import QuotedAmount
from shared.payments.lifecycle import next_poll
from shared.payments.packages import Package, Packages
from shared.payments.payment import DEPOSIT, Payment, agreed_terms, status_of
from shared.payments.store import PaymentNotFound, Payments, fields_of, saga_path, view_of
from shared.sagas.engine.leases import FREE, LeasedDocument, LeaseLost, Leases
from shared.sagas.payments.checkout import CANCELLED, named_return
from shared.sagas.payments.coin_terms import GRACE, LOCK, CoinTerms
from shared.sagas.payments.crypto_places import CryptoPlaces
from shared.sagas.payments.leased_payment import freed_after_error, payment_of
from shared.sagas.payments.payment_claims import LEASE_SECONDS, PATIENCE_PAUSE_SECONDS, PATIENCE_SECONDS, PaymentBusy
from shared.sagas.payments.purchase_places import PurchasePlaces, require_open_account

CREATE_ATTEMPTS_MAX = 5
CHANGE_ATTEMPTS_MAX = 3
CHANGEABLE: Millis = DAY
"""Time after the beginning of a payment in which network and asset can be changed: a price is not held for ever."""
PAGE_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinOrderRequest:
    """A user's order of a package, to be paid in an asset on a network.

    The payer's page leads back to the addresses, which must be checked against the allowed ones before.
    """

    uid: Uid
    package: str
    network: NetworkName
    asset: AssetName
    success_url: str = ""
    cancel_url: str = ""


class PaymentNotChangeable(Conflict):
    """Error for a change of network or asset of a payment that is over."""

    code = "payment_not_changeable"

    def __init__(self) -> None:
        super().__init__("This payment does not wait for coins any more. Begin a new payment.")


class CryptoCheckouts:
    """Begins payments with coins, and changes their network and asset. The same operation always returns one payment.

    `pages` is the address of the API below which the payers' pages stand.
    """

    def __init__(
        self,
        documents: Documents,
        packages: Packages,
        ledger: Ledger,
        places: tuple[PurchasePlaces, CryptoPlaces],
        terms: CoinTerms,
        clock: Clock,
        pages: str,
    ) -> None:
        self._documents = documents
        self._payments = Payments(documents)
        self._packages = packages
        self._ledger = ledger
        self._purchase_places, self._crypto_places = places
        self._terms = terms
        self._leases = Leases(documents, clock)
        self._clock = clock
        self._pages = pages

    def begin(self, order: CoinOrderRequest, operation: OperationId, fingerprint: str) -> Payment:
        """Return the payment, with a quote and an address of its own.

        Raises AccountFrozen, AccountClosed, PackageNotFound, PackageLimitReached, TooManyCheckouts,
        TooManyCryptoPayments, the errors of `CoinTerms.quoted`, IdempotencyMismatch, AddressesDisagree, IndicesBusy and
        PaymentBusy (retry with the same key).
        """
        payment_id = derived_id("pay", operation)
        known = self._payments.find(payment_id)
        if known is not None:
            return _same(known, fingerprint)
        require_open_account(self._ledger, order.uid)
        package = self._packages.get(order.package)
        quoted = self._terms.quoted(order.network, order.asset, package.price)
        payment = self._agreed(payment_id, order, package, fingerprint)
        for _ in range(CREATE_ATTEMPTS_MAX):
            payment = replace(payment, slot=self._purchase_places.package_slot(package, payment))
            places = (self._purchase_places.checkout_place(payment), self._crypto_places.place(payment))
            if payment.quote is None:  # last, and once: an index that was taken is never used again
                place = self._terms.new_address(self._terms.family(order.network))
                payment = self._terms.addressed(payment, order.network, order.asset, quoted, place)
            try:
                return self._created(payment, places)
            except PreconditionFailed:
                payment = self._terms.without_address(payment)
                known = self._payments.find(payment_id)
                if known is not None:
                    return _same(known, fingerprint)
        raise PaymentBusy

    def change(self, payment_id: str, uid: Uid | None, network: NetworkName, asset: AssetName) -> Payment:
        """Return the payment with another network or asset, at a new quote, while nothing has come.

        Between EVM networks the address stays. `uid` is the owner, None if the caller has the key of the payer's page.
        Raises PaymentNotFound, CoinsHaveCome, PaymentNotChangeable, the errors of a quote as `begin`, and PaymentBusy.
        """
        known = self._payments.get(payment_id)
        if uid is not None and known.uid != uid:
            raise PaymentNotFound
        if self._is_quoted(known, network, asset):
            return known
        self._require_changeable(known)
        quoted = self._terms.quoted(network, asset, known.terms.price)
        for _ in range(CHANGE_ATTEMPTS_MAX):
            leased = self._claimed(payment_id)
            try:
                with freed_after_error(leased, self._clock):
                    return self._changed(leased, network, asset, quoted)
            except LeaseLost:
                continue  # the address has changed meanwhile: coins may have come
        raise PaymentBusy

    def _agreed(self, payment_id: str, order: CoinOrderRequest, package: Package, fingerprint: str) -> Payment:
        """Return a new payment on the package's present terms, without a quote."""
        now, key = self._clock.now(), random_token(PAGE_KEY_BYTES)
        return Payment(
            id=payment_id,
            uid=order.uid,
            provider=self._terms.family(order.network),
            flow="redirect",
            terms=agreed_terms(package),
            fingerprint=fingerprint,
            created_at=now,
            expires_at=now + LOCK + GRACE,
            checkout_url=f"{self._pages}/{payment_id}/page/{key}",
            success_url=named_return(order.success_url, payment_id) if order.success_url else "",
            cancel_url=named_return(order.cancel_url, payment_id, CANCELLED) if order.cancel_url else "",
            page_key=key,
            is_opened=True,
        )

    def _created(self, payment: Payment, places: Sequence[Write]) -> Payment:
        """Store the payment and the address in one commit. Raises PreconditionFailed if a place or the id is taken."""
        also: list[Write] = [view_of(payment, self._clock.now()), address_created(payment), *places]
        if payment.slot:
            also.append(Create(payment.slot, {"uid": payment.uid, "payment": payment.id}))
        data = {**fields_of(payment), "saga": None, "due_at": self._due_at(payment), "lease": FREE}
        self._documents.commit([Create(saga_path(payment.id), data), *also])
        PAYMENTS.add(payment.provider, "opened")
        log("crypto_checkout_opened", payment=payment.id, network=payment.refs["network"], asset=payment.refs["asset"])
        return payment

    def _due_at(self, payment: Payment) -> Value:
        at = next_poll(payment, self._clock.now())
        return None if at is None else to_datetime(at)

    def _is_quoted(self, payment: Payment, network: NetworkName, asset: AssetName) -> bool:
        """Return True if the payment has a locked quote for this network and asset already."""
        quote = payment.quote
        if quote is None or (quote.network, quote.asset) != (network, asset):
            return False
        return self._clock.now() < quote.locked_until

    def _require_changeable(self, payment: Payment) -> None:
        if payment.quote is None or payment.terms.package == DEPOSIT or is_by_authorization(payment):
            raise PaymentNotFound
        if payment.chain is not None and payment.chain.received:
            raise CoinsHaveCome
        ends_at = min(payment.expires_at, payment.created_at + CHANGEABLE)
        if status_of(payment) != "pending" or self._clock.now() >= ends_at:
            raise PaymentNotChangeable

    def _claimed(self, payment_id: str) -> LeasedDocument:
        """Claim the payment, once no other worker has it. Raises PaymentBusy."""
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while (leased := self._leases.claim(saga_path(payment_id), LEASE_SECONDS)) is None:
            if self._clock.monotonic() >= until:
                raise PaymentBusy
            self._clock.wait(PATIENCE_PAUSE_SECONDS)
        return leased

    def _changed(self, leased: LeasedDocument, network: NetworkName, asset: AssetName, quoted: QuotedAmount) -> Payment:
        """Store the other quote with the address's document in one commit, and free the payment."""
        payment = payment_of(leased)
        self._require_changeable(payment)
        quote, family = payment.quote, self._terms.family(network)
        assert quote is not None, "a payment that can be changed has a quote"
        now_at = self._documents.get(address_path(payment.provider, quote.index))
        if now_at is None or from_data(now_at.data).has_coins:
            raise CoinsHaveCome
        if family == payment.provider:
            changed = self._terms.addressed(payment, network, asset, quoted, (quote.index, quote.address))
            writes: list[Write] = [order_changed(now_at, changed)]
        else:
            kept = replace(payment, refs={**payment.refs, _index_ref(payment.provider): str(quote.index)})
            changed, arrival = self._moved(kept, network, asset, quoted)
            writes = [Patch(now_at.path, {"order": None}, now_at.version), arrival]
        writes += [view_of(changed, self._clock.now()), *self._crypto_places.renewed(changed)]
        leased.free({**fields_of(changed), "due_at": self._due_at(changed)}, *writes)
        log("crypto_checkout_changed", payment=payment.id, network=network, asset=asset)
        return changed

    def _moved(
        self, payment: Payment, network: NetworkName, asset: AssetName, quoted: QuotedAmount
    ) -> tuple[Payment, Write]:
        """Return the payment at an address of another family of chains, and the write of that address.

        An address that the payment had there before is used again, so that changing to and fro takes no addresses.
        """
        family = self._terms.family(network)
        before = self._address_before(payment, family)
        if before is None:
            moved = self._terms.addressed(payment, network, asset, quoted, self._terms.new_address(family))
            return moved, address_created(moved)
        record = from_data(before.data)
        moved = self._terms.addressed(payment, network, asset, quoted, (record.index, record.address))
        return moved, order_changed(before, moved)

    def _address_before(self, payment: Payment, family: Family) -> Document | None:
        index = payment.refs.get(_index_ref(family))
        return None if index is None else self._documents.get(address_path(family, int(index)))


def _index_ref(family: str) -> str:
    return f"{family}_index"


def _same(known: Payment, fingerprint: str) -> Payment:
    if known.fingerprint != fingerprint:
        raise IdempotencyMismatch
    return known
