"""Places of purchases: a user's checkouts within an hour, and purchases of a limited package.

`checkout_places/{…}` has a user's checkouts of an hour: when each ends, and what was agreed before the provider was
asked. So a repeated request opens the same checkout at the provider, also if the first worker died before the payment
was stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from shared.kernel.clock import Clock, Millis
from shared.kernel.documents import (
    Create,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Value,
    Version,
    Write,
)
from shared.kernel.errors import Conflict, IdempotencyMismatch
from shared.kernel.ids import Uid, derived_id
from shared.ledger.errors import AccountClosed, AccountFrozen
from shared.ledger.ledger import Ledger
from shared.payments.packages import Package
from shared.payments.payment import Payment
from shared.payments.payment_documents import terms_data, terms_of
from shared.sagas.payments.cancellations import Cancellations
from shared.sagas.payments.payment_claims import PaymentBusy

OPEN_CHECKOUTS_MAX = 20
"""Most checkouts that one user may begin within a checkout's lifetime. Each is an order to poll for that long."""

TAKE_ATTEMPTS_MAX = 10


class TooManyCheckouts(Conflict):
    """The user has begun too many checkouts within the lifetime of a checkout."""

    code = "too_many_checkouts"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            f"You have begun {OPEN_CHECKOUTS_MAX} checkouts within an hour; pay one of those, or come back later.",
            limit=OPEN_CHECKOUTS_MAX,
            retry_after_ms=retry_after_ms,
        )


class PackageLimitReached(Conflict):
    """The user has bought this package as often as one user may."""

    code = "package_limit_reached"

    def __init__(self, package: str, limit: int) -> None:
        super().__init__("You have bought this package as often as is allowed.", package=package, limit=limit)


class PurchasePlaces:
    """Places of purchases, held by documents, so that limits are exact among all instances."""

    def __init__(self, documents: Documents, clock: Clock, cancellations: Cancellations) -> None:
        self._documents = documents
        self._clock = clock
        self._cancellations = cancellations

    def checkout_place(self, payment: Payment) -> Write:
        """Build the write that takes one of a user's places for checkouts. Places whose time is over are given up.

        Raises TooManyCheckouts. Two checkouts cannot take the same place: the write requires the version that was read.
        """
        return self._places(payment.uid).with_payment(payment, self._clock.now()).write()

    def begin(self, payment: Payment) -> Payment:
        """Take a place for the payment's checkout, and return the payment as first begun under that id.

        If an earlier request took the place, its terms, times and key count, so that the provider is asked the same
        again. Raises TooManyCheckouts, IdempotencyMismatch, and PaymentBusy if others keep taking places meanwhile.
        """
        for _ in range(TAKE_ATTEMPTS_MAX):
            places = self._places(payment.uid)
            begun = places.begun.get(payment.id)
            if begun is not None:
                return _as_begun(payment, begun)
            try:
                self._documents.commit([places.with_begun(payment, self._clock.now()).write()])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            return payment
        raise PaymentBusy

    def _places(self, uid: Uid) -> "_CheckoutPlaces":
        """Return the user's places whose time is not over."""
        path, now = places_path(uid), self._clock.now()
        return _places_in(path, self._documents.get(path), now)

    def package_slot(self, package: Package, payment: Payment) -> str:
        """Return a free place among this user's purchases of a package; empty for a package without a limit.

        The limit is exact, since a place's document is created once. A cancelled checkout gives its place up. Raises
        PackageLimitReached, and the errors of `Cancellations.give_up`.
        """
        if package.per_user_limit is None:
            return ""
        paths = [slot_path(package.id, payment.uid, n) for n in range(package.per_user_limit)]
        found = self._documents.get_all(paths)
        free = next((path for path, slot in zip(paths, found, strict=True) if slot is None), None)
        if free is not None:
            return free
        for slot in found:
            if slot is not None and self._cancellations.give_up(str(slot.data["payment"])):
                return slot.path
        raise PackageLimitReached(package.id, package.per_user_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckoutPlaces:
    """A user's places for checkouts: when each ends (ms), and what was agreed, by payment.

    `begun` lacks payments with coins, and those of an earlier release. `version` is None if there is no document.
    """

    path: str
    ends: Mapping[str, Millis] = field(default_factory=dict)
    begun: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    version: Version | None = None

    def with_payment(self, payment: Payment, now: Millis) -> "_CheckoutPlaces":
        """Return the places with one for this payment. Raises TooManyCheckouts."""
        if len(self.ends) >= OPEN_CHECKOUTS_MAX and payment.id not in self.ends:
            raise TooManyCheckouts(retry_after_ms=min(self.ends.values()) - now)
        return replace(self, ends={**self.ends, payment.id: payment.expires_at})

    def with_begun(self, payment: Payment, now: Millis) -> "_CheckoutPlaces":
        """Return the places with one for this payment and what was agreed. Raises TooManyCheckouts."""
        agreed: Mapping[str, Value] = {
            "fingerprint": payment.fingerprint,
            "created_at": payment.created_at,
            "expires_at": payment.expires_at,
            "back_key": payment.back_key,
            "terms": terms_data(payment.terms),
        }
        return replace(self.with_payment(payment, now), begun={**self.begun, payment.id: agreed})

    def write(self) -> Write:
        """Return the write of these places. The commit fails if the document has changed since the read."""
        data: dict[str, Value] = {"places": dict(self.ends), "begun": dict(self.begun)}
        return Create(self.path, data) if self.version is None else Put(self.path, data, self.version)


def _places_in(path: str, document: Document | None, now: Millis) -> _CheckoutPlaces:
    """Return the places of a stored document whose time is not over at `now`."""
    if document is None:
        return _CheckoutPlaces(path=path)
    stored = cast("Mapping[str, Any]", document.data)
    ends = {name: ends_at for name, ends_at in stored["places"].items() if ends_at > now}
    begun = {name: agreed for name, agreed in stored.get("begun", {}).items() if name in ends}
    return _CheckoutPlaces(path=path, ends=ends, begun=begun, version=document.version)


def _as_begun(payment: Payment, begun: Mapping[str, Any]) -> Payment:
    """Return the payment as an earlier request of the same operation began it. Raises IdempotencyMismatch."""
    if begun["fingerprint"] != payment.fingerprint:
        raise IdempotencyMismatch
    return replace(
        payment,
        created_at=begun["created_at"],
        expires_at=begun["expires_at"],
        back_key=begun["back_key"],
        terms=terms_of(begun["terms"]),
    )


def require_open_account(ledger: Ledger, uid: Uid) -> None:
    """Raise AccountFrozen or AccountClosed for a user who may not buy: the credits could not be spent."""
    status = ledger.shown_status(uid)
    if status == "frozen":
        raise AccountFrozen
    if status == "closed":
        raise AccountClosed


def slot_path(package: str, uid: Uid, number: int) -> str:
    """Return the path of a user's n-th place among the purchases of a limited package."""
    return f"package_slots/{derived_id('slot', package, uid, str(number))}"


def places_path(uid: Uid) -> str:
    """Return the path of a user's places for checkouts. The path names no user."""
    return f"checkout_places/{derived_id('places', uid)}"
