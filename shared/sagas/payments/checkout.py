"""Checkout of a package: agree the terms, open a checkout at the provider, and return the address for the payment."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.kernel.clock import MINUTE, Clock, Millis, to_datetime
from shared.kernel.documents import Create, Documents, OutcomeUnknown, PreconditionFailed, Put, Value, Write
from shared.kernel.errors import DomainError, IdempotencyMismatch
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, derived_id, random_token
from shared.kernel.measured import PAYMENTS
from shared.ledger.ledger import Ledger
from shared.payments.lifecycle import next_poll
from shared.payments.packages import Package, Packages
from shared.payments.payment import Payment, ProviderReport, agreed_terms
from shared.payments.ports import Checkout, Flow, PaymentProvider, ProviderName, ProviderRefused
from shared.payments.store import Payments, fields_of, saga_path, view_of, without_slot
from shared.sagas.engine.leases import FREE, LeasedDocument, Leases
from shared.sagas.payments.cancellations import Cancellations
from shared.sagas.payments.leased_payment import RETRY, payment_of
from shared.sagas.payments.payment_claims import LEASE_SECONDS, PATIENCE_PAUSE_SECONDS, PATIENCE_SECONDS, PaymentBusy
from shared.sagas.payments.purchase_places import PurchasePlaces, require_open_account
from shared.sagas.payments.settlement import ProviderNotConfigured

CHECKOUT_LIFETIME: Millis = 60 * MINUTE
CREATE_ATTEMPTS_MAX = 10
SECOND_PATIENCE_SECONDS = 5.0
"""Seconds for which a repeated request waits, if the provider does not answer, for the payment of the first request."""
BACK_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOrder:
    """A user's order of a package. The addresses must be checked against the allowed ones before."""

    uid: Uid
    package: str
    provider: ProviderName
    flow: Flow
    success_url: str
    cancel_url: str


CANCELLED = "&cancelled=true"
"""Query parameter of the address to which a user returns without paying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCustomer:
    """A payer as the provider knows them. A field is None if unknown.

    `id` is the customer's id; `session_secret` shows the saved means of payment once.
    """

    id: str | None = None
    session_secret: str | None = None


class Checkouts:
    """Begins payments. The same operation always returns the same payment.

    `landing` is the address of the API under which users land who leave the provider's page without paying.
    """

    def __init__(
        self,
        documents: Documents,
        packages: Packages,
        providers: Mapping[ProviderName, PaymentProvider],
        clock: Clock,
        ledger: Ledger,
        cancellations: Cancellations,
        landing: str,
    ) -> None:
        self._documents = documents
        self._ledger = ledger
        self._payments = Payments(documents)
        self._packages = packages
        self._providers = providers
        self._leases = Leases(documents, clock)
        self._clock = clock
        self._places = PurchasePlaces(documents, clock, cancellations)
        self._landing = landing

    def begin_checkout(
        self, wanted: PackageOrder, operation: OperationId, fingerprint: str, *, has_key: bool = True
    ) -> Payment:
        """Return the payment, open at the provider. Without a key, no earlier call can have begun the payment.

        Raises AccountFrozen, AccountClosed, PackageNotFound, PackageLimitReached, TooManyCheckouts,
        ProviderNotConfigured, IdempotencyMismatch, ProviderRefused (the payment has failed), ProviderUnavailable and
        PaymentBusy (retry with the same key).
        """
        payment_id = derived_id("pay", operation)
        known = self._payments.find(payment_id) if has_key else None
        if known is not None:
            return self._resume(known, fingerprint)
        if wanted.provider not in self._providers:
            raise ProviderNotConfigured(wanted.provider)
        require_open_account(self._ledger, wanted.uid)
        package = self._packages.get(wanted.package)
        agreed = self._agreed(payment_id, wanted, package, fingerprint)
        slot = self._places.package_slot(package, agreed)
        payment = self._places.begin(agreed)
        try:
            answer = self._asked(payment)
        except ProviderRefused as refusal:
            answer = _Answer(payment=_failed(payment, refusal))
        except DomainError:
            known = None if payment is agreed else self._stored_by_another(payment_id)
            if known is None:
                raise
            return self._resume(known, fingerprint)
        return self._stored(replace(answer, payment=replace(answer.payment, slot=slot)), package)

    def _agreed(self, payment_id: str, wanted: PackageOrder, package: Package, fingerprint: str) -> Payment:
        """Return a new payment on the package's present terms, with a random key for the way back from the provider."""
        now = self._clock.now()
        return Payment(
            id=payment_id,
            uid=wanted.uid,
            provider=wanted.provider,
            flow=wanted.flow,
            terms=agreed_terms(package),
            fingerprint=fingerprint,
            created_at=now,
            expires_at=now + CHECKOUT_LIFETIME,
            success_url=named_return(wanted.success_url, payment_id),
            cancel_url=named_return(wanted.cancel_url, payment_id, CANCELLED),
            back_key=random_token(BACK_KEY_BYTES),
        )

    def _resume(self, known: Payment, fingerprint: str) -> Payment:
        """Return the open payment of a repeated request. If no worker has opened the payment, open the payment here.

        Raises IdempotencyMismatch, ProviderNotConfigured, ProviderRefused, ProviderUnavailable, PaymentBusy.
        """
        if known.fingerprint != fingerprint:
            raise IdempotencyMismatch
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while not (known.is_opened or known.seen.stage):
            if known.provider not in self._providers:
                raise ProviderNotConfigured(known.provider)
            leased = self._leases.claim(saga_path(known.id), LEASE_SECONDS)
            if leased is not None:
                return self._opened_once(leased)
            if self._clock.monotonic() >= until:
                raise PaymentBusy
            self._clock.wait(PATIENCE_PAUSE_SECONDS)
            known = self._payments.get(known.id)
        return _answer(known)

    def _opened_once(self, leased: LeasedDocument) -> Payment:
        payment = payment_of(leased)
        if not (payment.is_opened or payment.seen.stage):
            return self._open(leased, payment)
        leased.free({})
        return _answer(payment)

    def _stored_by_another(self, payment_id: str) -> Payment | None:
        """Return the payment after another worker has stored the payment, None if that takes long.

        A provider refuses a second request under one key while the first is under way.
        """
        until = self._clock.monotonic() + SECOND_PATIENCE_SECONDS
        while (known := self._payments.find(payment_id)) is None and self._clock.monotonic() < until:
            self._clock.wait(PATIENCE_PAUSE_SECONDS)
        return known

    def _stored(self, answer: "_Answer", package: Package) -> Payment:
        """Store the payment with the provider's answer, and return the payment.

        The payment is stored first here, so nobody can have been given an address for a payment that is not stored.
        Raises ProviderRefused if the provider refused, PackageLimitReached, PaymentBusy.
        """
        payment = answer.payment
        for _ in range(CREATE_ATTEMPTS_MAX):
            try:
                self._documents.commit([*_creation(payment, self._clock.now()), *answer.beside])
            except (PreconditionFailed, OutcomeUnknown) as failure:
                known = self._payments.find(payment.id)
                if known is not None:
                    return self._resume(known, payment.fingerprint)
                if isinstance(failure, PreconditionFailed):  # somebody took the place that we had chosen
                    payment = replace(payment, slot=self._places.package_slot(package, payment))
            else:
                return self._told(payment)
        raise PaymentBusy

    def _told(self, payment: Payment) -> Payment:
        """Log how the checkout began, and return the payment. Raises ProviderRefused if the provider refused."""
        if payment.is_opened:
            PAYMENTS.add(payment.provider, "opened")
            log("checkout_opened", payment=payment.id, provider=payment.provider, package=payment.terms.package)
        else:
            log(
                "checkout_refused",
                "WARNING",
                payment=payment.id,
                provider=payment.provider,
                reason=payment.seen.failure,
            )
        return _answer(payment)

    def app_customer(self, payment: Payment) -> AppCustomer:
        """Return the payer as the provider knows them, for an app's own form; empty if the provider cannot tell now.

        The form accepts payments without a customer. So a failure here is logged and does not refuse an open payment.
        """
        known = self._documents.get(customer_path(payment.provider, payment.uid))
        if known is None:
            return AppCustomer()
        customer = str(known.data["customer"])
        try:
            session = self._providers[payment.provider].customer_session(customer)
        except DomainError as error:
            log("customer_session_not_made", "WARNING", payment=payment.id, code=error.code)
            session = None
        return AppCustomer(id=customer, session_secret=session)

    def _open(self, leased: LeasedDocument, payment: Payment) -> Payment:
        """Open a payment that an earlier release stored unopened, and store the checkout's address.

        If the provider refuses, the payment fails and ProviderRefused is raised. After any other error the payment is
        due again and the error is raised.
        """
        try:
            answer = self._asked(payment)
        except ProviderRefused as refusal:
            failed, freed = without_slot(_failed(payment, refusal))
            answer = _Answer(payment=failed, beside=freed)
        except DomainError:
            leased.free({"due_at": to_datetime(self._clock.now() + RETRY)})
            raise
        now = self._clock.now()
        leased.free(_fields(answer.payment, now), view_of(answer.payment, now), *answer.beside)
        return self._told(answer.payment)

    def _asked(self, payment: Payment) -> "_Answer":
        """Open the payment at the provider, and return the payment with the provider's ids and checkout address.

        If the provider names another customer than is known, the customer is stored beside the payment. Raises
        ProviderRefused, ProviderUnavailable.
        """
        known = self._documents.get(customer_path(payment.provider, payment.uid))
        customer = None if known is None else str(known.data["customer"])
        opened = self._providers[payment.provider].open(
            Checkout(
                payment=payment.id,
                uid=payment.uid,
                amount=payment.terms.price,
                title=payment.terms.title,
                flow=payment.flow,
                success_url=payment.success_url,
                cancel_url=self._way_back(payment),
                expires_at=payment.expires_at,
                customer=customer,
            )
        )
        open_ = replace(
            payment,
            refs={**payment.refs, **opened.refs},
            checkout_url=opened.checkout_url,
            client_secret=opened.client_secret,
            is_opened=True,
            seen=ProviderReport(stage="open", movements={}),
        )
        if opened.customer in {None, customer}:
            return _Answer(payment=open_)
        named: dict[str, Value] = {"uid": payment.uid, "customer": opened.customer}
        return _Answer(payment=open_, beside=(Put(customer_path(payment.provider, payment.uid), named),))

    def _way_back(self, payment: Payment) -> str:
        """Return the address to which the provider sends a user who turns back. From there, the app's page follows."""
        if not payment.back_key:
            return payment.cancel_url
        return f"{self._landing}/{payment.id}/cancelled/{payment.back_key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """Payment after the provider's answer, open or failed, with the writes beside the payment."""

    payment: Payment
    beside: tuple[Write, ...] = ()


def _failed(payment: Payment, refusal: ProviderRefused) -> Payment:
    return replace(payment, seen=ProviderReport(stage="failed", failure=str(refusal.params["reason"])))


def _creation(payment: Payment, now: Millis) -> list[Write]:
    """Return the writes of a new payment. A payment that has failed takes no place of a limited package."""
    new = payment if payment.is_opened else replace(payment, slot="")
    data: dict[str, Value] = {**_fields(new, now), "saga": None, "lease": FREE}
    slot = [Create(new.slot, {"uid": new.uid, "payment": new.id})] if new.slot else []
    return [Create(saga_path(new.id), data), view_of(new, now), *slot]


def _fields(payment: Payment, now: Millis) -> dict[str, Value]:
    """Return the payment's fields with the time of the next poll."""
    due_at = next_poll(payment, now) if payment.is_opened else None
    return {**fields_of(payment), "due_at": None if due_at is None else to_datetime(due_at)}


def _answer(payment: Payment) -> Payment:
    """Return the payment as for the first caller. Raises ProviderRefused if the provider refused the payment."""
    if not payment.is_opened and payment.seen.stage == "failed":
        raise ProviderRefused(payment.provider, payment.seen.failure or "")
    return payment


def customer_path(provider: ProviderName, uid: Uid) -> str:
    """Return the path of the document with the provider's name for this user."""
    return f"customers/{provider}:{uid}"


def named_return(url: str, payment_id: str, more: str = "") -> str:
    """Return the address with the payment's id, so that the page there can look the payment up.

    `more` is a further parameter: the user has turned back.
    """
    head, mark, tail = url.partition("#")
    return f"{head}{'&' if '?' in head else '?'}payment_id={payment_id}{more}{mark}{tail}"
