"""Places of a user's open crypto payments: at most three, so that nobody uses up a wallet's addresses."""

from typing import cast
from zlib import crc32

from shared.kernel.clock import Clock, Millis
from shared.kernel.documents import Create, Document, Documents, Put, Value, Write
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid, derived_id
from shared.payments.payment import Payment
from shared.payments.payment_documents import from_data
from shared.payments.store import saga_path

OPEN_CRYPTO_PAYMENTS_MAX = 3
"""Most crypto payments of one user that wait for coins. Each one takes an address that no other payment ever gets."""


class TooManyCryptoPayments(Conflict):
    """The user has too many crypto payments that wait for coins."""

    code = "too_many_crypto_payments"

    def __init__(self, retry_after_ms: Millis) -> None:
        super().__init__(
            f"You have {OPEN_CRYPTO_PAYMENTS_MAX} open crypto payments. Pay one of them with any coin that is offered, "
            "or come back later.",
            limit=OPEN_CRYPTO_PAYMENTS_MAX,
            retry_after_ms=retry_after_ms,
        )


class CryptoPlaces:
    """Places of open crypto payments, in `checkout_places`.

    A place is free again when its payment was credited, or its time is over. To cancel a payment frees no place, since
    the payment keeps its address.
    """

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def place(self, payment: Payment) -> Write:
        """Build the write that takes a place for a new payment. The write belongs into the commit of the payment.

        Ask for the place before an index is taken, so that a refusal takes no index. The commit fails with
        PreconditionFailed if another payment takes the place first: then ask again. Raises TooManyCryptoPayments.
        """
        data: dict[str, Value] = {"payment": payment.id, "ends_at": payment.expires_at}
        paths = _paths(payment)
        found = self._documents.get_all(paths)
        for path, place in zip(paths, found, strict=True):
            if place is None:
                return Create(path, data)
        taken = [place for place in found if place is not None]
        now = self._clock.now()
        free = next((place for place in taken if _ends_at(place) <= now), None) or self._credited(taken)
        if free is None:
            raise TooManyCryptoPayments(retry_after_ms=min(map(_ends_at, taken)) - now)
        return Put(free.path, data, free.version)

    def renewed(self, payment: Payment) -> list[Write]:
        """Build the write that keeps a payment's place until the payment's new end; none if the place was lost."""
        data: dict[str, Value] = {"payment": payment.id, "ends_at": payment.expires_at}
        found = self._documents.get_all(_paths(payment))
        own = [each for each in found if each is not None and each.data["payment"] == payment.id]
        return [Put(each.path, data, each.version) for each in own]

    def _credited(self, taken: list[Document]) -> Document | None:
        """Return a place whose payment waits for nothing more; None if there is none."""
        payments = self._documents.get_all([saga_path(str(place.data["payment"])) for place in taken])
        for place, payment in zip(taken, payments, strict=True):
            if payment is None or from_data(payment.id, payment.data).applied.is_granted:
                return place
        return None


def place_path(uid: Uid, number: int) -> str:
    """Return the path of a user's n-th place for crypto payments. The path names no user."""
    return f"checkout_places/{derived_id('place', uid, 'crypto', str(number))}"


def _paths(payment: Payment) -> list[str]:
    """Return the paths of a user's places, from another one on for each payment, so that few try the same at once."""
    start = crc32(payment.id.encode())
    numbers = ((start + number) % OPEN_CRYPTO_PAYMENTS_MAX for number in range(OPEN_CRYPTO_PAYMENTS_MAX))
    return [place_path(payment.uid, number) for number in numbers]


def _ends_at(place: Document) -> Millis:
    return cast("Millis", place.data.get("ends_at", 0))
