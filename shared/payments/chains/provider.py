"""A kind of chain as a payment provider: the truth is the level of the payment's own address."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from shared.kernel.clock import Millis
from shared.payments.chains.authorized_claims import ORDER_REF
from shared.payments.chains.coin_listing import CoinListing
from shared.payments.chains.ports import NetworkName
from shared.payments.chains.seen import AddressView, truth_in
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney, MoneyPage
from shared.payments.payment import Payment
from shared.payments.ports import (
    Checkout,
    Notices,
    OpenedCheckout,
    ProviderName,
    ProviderRefused,
    Refs,
    Refund,
    Truth,
    UnknownAtProvider,
)


class AddressSight(Protocol):
    """Reader of addresses."""

    def seen(self, family: str, index: int, networks: Collection[NetworkName] | None = None) -> AddressView:
        """Return the look just made by this thread, or look at these networks now. Raises UnknownAtProvider."""
        ...


class ChainProvider:
    """Provider whose payments are coins at addresses of their own. The domain decides; the chain only tells levels.

    A checkout is opened by the commit that stores the payment with the address, so nothing is opened, captured or
    cancelled here, and nobody but a person can send coins back.
    """

    def __init__(
        self,
        name: ProviderName,
        sight: AddressSight,
        *,
        is_live: bool,
        refunds: Callable[[str], tuple[Refund, ...]] = lambda _payment: (),
        send: Callable[[Refs], None] = lambda _refs: None,
        listing: CoinListing,
    ) -> None:
        self._listing = listing
        self._name = name
        self._sight = sight
        self._is_live = is_live
        self._refunds = refunds
        self._send = send

    @property
    def name(self) -> ProviderName:
        """Return the name of the kind of chain."""
        return self._name

    @property
    def is_live(self) -> bool:
        """Return True if the coins of the configured networks have value."""
        return self._is_live

    def open(self, checkout: Checkout) -> OpenedCheckout:
        """Raise ProviderRefused: a crypto checkout is opened with a quote and an address."""
        raise ProviderRefused(self._name, "needs_a_quote")

    def truth(self, refs: Refs, disputes: Sequence[str] = ()) -> Truth:
        """Return the state of the payment from a look at the address now; see `PaymentProvider.truth`.

        If the chain cannot be asked, the answer is the last known state, and says so. Refunds are the payouts that
        operators planned, called off, or sent.
        """
        networks = [refs["network"]] if "network" in refs else None
        told = truth_in(self._sight.seen(self._name, _index_in(refs, self._name), networks), refs, disputes)
        return told if told.paid is None else replace(told, refunds=self._refunds(told.payment or ""))

    def capture(self, refs: Refs, key: str) -> None:
        """Have the payer's authorization brought to the chain. For other payments do nothing: their coins came."""
        if ORDER_REF in refs:
            self._send(refs)

    def refund(self, refs: Refs, amount: Fiat, key: str) -> Refund:
        """Raise ProviderRefused: only a person can send coins, so that a refund is a payout (`Payouts`)."""
        raise ProviderRefused(self._name, "sent_by_hand")

    def cancel(self, refs: Refs) -> None:
        """Do nothing: an address cannot be closed, and belongs to the payment for ever."""

    def locate(self, refs: Refs) -> str | None:
        """Return the ordered payment of the address. Raises UnknownAtProvider."""
        return self._sight.seen(self._name, _index_in(refs, self._name), []).record.payment

    def notices(self, since: Millis, cursor: str | None, until: Millis | None = None) -> Notices:
        """Return no events: a chain is looked at."""
        return Notices(items=(), cursor=None)

    def listed_money(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the coins that the chains show at final blocks; see `CoinListing.page`."""
        return self._listing.page(since, until, cursor)

    def found_money(self, payments: Sequence[Payment], since: Millis) -> Sequence[ListedMoney]:
        """Return the lines of payments that the pages leave out; see `CoinListing.found`."""
        return self._listing.found(payments, since)

    def customer_session(self, customer: str) -> str | None:
        """Return None: a chain knows no customers."""
        return None

    def forget_customer(self, customer: str) -> None:
        """Do nothing: a chain knows no customers."""


def _index_in(refs: Refs, name: ProviderName) -> int:
    index = refs.get("index", "")
    if not index.isdigit():
        raise UnknownAtProvider(name)
    return int(index)


def providers_of(
    families: Collection[ProviderName],
    sight: AddressSight,
    *,
    is_live: bool,
    refunds: Callable[[str], tuple[Refund, ...]],
    send: Callable[[Refs], None],
    listing: Callable[[str], CoinListing],
) -> dict[str, ChainProvider]:
    """Return a provider for each kind of chain.

    `refunds` returns the refunds of a payment in coins. `send` brings the payer's authorization to the chain. `listing`
    builds the listing of a family's coins.
    """
    return {
        name: ChainProvider(name, sight, is_live=is_live, refunds=refunds, send=send, listing=listing(name))
        for name in families
    }
