"""Places of purchases: a user's checkouts within an hour, and purchases of a limited package."""

from zlib import crc32

from shared.kernel.clock import Clock, Millis
from shared.kernel.documents import Create, Documents, Put, Value, Write
from shared.kernel.errors import Conflict
from shared.kernel.ids import Uid, derived_id
from shared.ledger.errors import AccountClosed, AccountFrozen
from shared.ledger.ledger import Ledger
from shared.payments.packages import Package
from shared.payments.payment import Payment
from shared.sagas.payments.cancellations import Cancellations

OPEN_CHECKOUTS_MAX = 20
"""Most checkouts that one user may begin within a checkout's lifetime. Each is an order to poll for that long."""


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
    """Places of purchases. Each place is a document, so that limits are exact among all instances."""

    def __init__(self, documents: Documents, clock: Clock, cancellations: Cancellations) -> None:
        self._documents = documents
        self._clock = clock
        self._cancellations = cancellations

    def checkout_place(self, payment: Payment) -> Write:
        """Build the write that takes one of a user's places for checkouts: an unused or an expired place.

        Raises TooManyCheckouts. Two checkouts cannot take the same place: the write requires the version that was read.
        """
        now, start = self._clock.now(), crc32(payment.id.encode())  # so that few try the same place at once
        paths = [counter_path(payment.uid, (start + n) % OPEN_CHECKOUTS_MAX) for n in range(OPEN_CHECKOUTS_MAX)]
        data: dict[str, Value] = {"payment": payment.id, "ends_at": payment.expires_at}
        ends = list[Millis]()
        for path, place in zip(paths, self._documents.get_all(paths), strict=True):
            if place is None:
                return Create(path, data)
            ends_at = place.data.get("ends_at")
            ends.append(ends_at if isinstance(ends_at, int) else 0)
            if ends[-1] <= now:
                return Put(path, data, place.version)
        raise TooManyCheckouts(retry_after_ms=min(ends) - now)

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


def require_open_account(ledger: Ledger, uid: Uid) -> None:
    """Raise AccountFrozen or AccountClosed for a user who may not buy: the credits could not be spent."""
    status = ledger.balance(uid).status
    if status == "frozen":
        raise AccountFrozen
    if status == "closed":
        raise AccountClosed


def slot_path(package: str, uid: Uid, number: int) -> str:
    """Return the path of a user's n-th place among the purchases of a limited package."""
    return f"package_slots/{derived_id('slot', package, uid, str(number))}"


def counter_path(uid: Uid, number: int) -> str:
    """Return the path of a user's n-th place for checkouts. The path names no user."""
    return f"checkout_places/{derived_id('place', uid, str(number))}"
