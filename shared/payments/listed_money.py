"""Port to a provider's own listing of the money that came in and went out, and the lines of such a listing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from shared.kernel.clock import Millis
from shared.kernel.errors import InvalidValue, Rejected
from shared.kernel.events import log
from shared.payments.fiat import Fiat

if TYPE_CHECKING:
    from shared.payments.payment import Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMoney:
    """Line of a provider's listing: money that came in, or went out (`is_out`), in the currency of the payment.

    `money` is the provider's name of the payment's money, `payment` our payment id as the provider tells; either may be
    "". `is_pending`: the money has not moved yet. `at` is the provider's time.
    """

    id: str
    amount: Fiat
    at: Millis
    is_out: bool = False
    money: str = ""
    payment: str = ""
    is_pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyPage:
    """Page of a listing. `cursor` names the next page, None on the last page.

    `unreadable` counts lines that cannot be read. `complete_to` is the time up to which the provider's listing is
    complete, None if the listing is always complete.
    """

    lines: Sequence[ListedMoney]
    cursor: str | None
    unreadable: int = 0
    complete_to: Millis | None = None


@runtime_checkable
class FindsMoney(Protocol):
    """Provider that tells the money of single payments which the listing leaves out."""

    def found_money(self, payments: "Sequence[Payment]", since: Millis) -> Sequence[ListedMoney]:
        """Return the lines of these payments that a listing from `since` (ms) leaves out. Raises StoreUnavailable."""
        ...


@runtime_checkable
class ListsMoney(Protocol):
    """Provider that lists the money of our account."""

    def listed_money(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the next page of the money from `since` up to, and without, `until` (ms), in any order.

        Raises ListingForbidden, ProviderRefused, ProviderUnavailable.
        """
        ...


class ListingForbidden(Rejected):
    """Our account at the provider may not read the listing. An operator must grant the permission there."""

    code = "provider_listing_forbidden"

    def __init__(self, provider: str, permission: str) -> None:
        super().__init__(
            f"The listing of {provider} cannot be compared: grant the permission '{permission}' to our key there.",
            provider=provider,
            permission=permission,
        )


def readable_money(
    provider: str, things: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], ListedMoney | None]
) -> tuple[list[ListedMoney], int]:
    """Return the lines of a page, and the number of lines that cannot be read. Such a line hides no other."""
    found, unreadable = list[ListedMoney](), 0
    for thing in things:
        try:
            line = read(thing)
        except (AttributeError, LookupError, TypeError, ValueError, InvalidValue) as error:
            log("provider_line_unreadable", "ERROR", provider=provider, kind=type(error).__name__)
            unreadable += 1
            continue
        found += [] if line is None else [line]
    return found, unreadable
