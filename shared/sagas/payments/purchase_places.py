"""Places of purchases: a user's checkouts within an hour, and purchases of a limited package."""

from collections.abc import Mapping
from typing import cast

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
    """Places of purchases, held by documents, so that limits are exact among all instances."""

    def __init__(self, documents: Documents, clock: Clock, cancellations: Cancellations) -> None:
        self._documents = documents
        self._clock = clock
        self._cancellations = cancellations

    def checkout_place(self, payment: Payment) -> Write:
        """Build the write that takes one of a user's places for checkouts. Places whose time is over are given up.

        Raises TooManyCheckouts. Two checkouts cannot take the same place: the write requires the version that was read.
        """
        now, path = self._clock.now(), places_path(payment.uid)
        known = self._documents.get(path)
        taken = {} if known is None else cast("Mapping[str, Millis]", known.data["places"])
        open_ = {each: ends_at for each, ends_at in taken.items() if ends_at > now}
        if len(open_) >= OPEN_CHECKOUTS_MAX:
            raise TooManyCheckouts(retry_after_ms=min(open_.values()) - now)
        data: dict[str, Value] = {"places": {**open_, payment.id: payment.expires_at}}
        return Create(path, data) if known is None else Put(path, data, known.version)

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
