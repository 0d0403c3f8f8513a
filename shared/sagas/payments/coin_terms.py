"""Terms of a payment with coins: the amount due at a quoted rate, locked for a time, and an address of its own."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.errors import Rejected
from shared.payments.chains.address_book import AddressBook
from shared.payments.chains.amounts import CENTS_PER_DOLLAR, DOLLARS
from shared.payments.chains.availability import CoinAvailability
from shared.payments.chains.indices import Indices
from shared.payments.chains.networks import Family, Network
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.quote import Quote
from shared.payments.chains.quotes import QuotedAmount, Quotes
from shared.payments.chains.tiers import tier_for, usual_wait_seconds
from shared.payments.chains.uris import payment_uri
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment

LOCK: Millis = 15 * MINUTE
"""Time for which the quoted rate holds for coins that arrive."""
GRACE: Millis = 60 * MINUTE
"""Time after the lock in which coins still count for the package."""


class BelowNetworkMinimum(Rejected):
    """Error for a price that is too small to be paid on a network: the network's fees would eat the coins."""

    code = "below_network_minimum"

    def __init__(self, network: Network) -> None:
        minimum = Fiat(network.minimum_usd_cents, DOLLARS).decimal
        super().__init__(
            f"On {network.title} a payment must be at least {minimum} USD. Choose another network or package.",
            network=network.name,
            minimum=minimum,
        )


class PriceNotInDollars(Rejected):
    """Error for a package whose price has no value in coins: prices of coins are known in USD only."""

    code = "price_not_in_dollars"

    def __init__(self, price: Fiat) -> None:
        super().__init__(
            f"This package has a price in {price.currency}. Coins buy packages with a price in USD.",
            currency=price.currency,
        )


class CoinTerms:
    """Quotes and addresses for payments on the networks in use."""

    def __init__(
        self,
        networks: Mapping[NetworkName, Network],
        availability: CoinAvailability,
        quotes: Quotes,
        address_book: AddressBook,
        indices: Indices,
        clock: Clock,
    ) -> None:
        self._networks = networks
        self._availability = availability
        self._quotes = quotes
        self._address_book = address_book
        self._indices = indices
        self._clock = clock

    def family(self, network: NetworkName) -> Family:
        """Return the family of a network in use."""
        return self._networks[network].family

    def quoted(self, network: NetworkName, asset: AssetName, price: Fiat) -> QuotedAmount:
        """Return the amount due for a price, if the network can take the price now.

        Raises PayingUnavailable, PriceUnavailable, BelowNetworkMinimum, PriceNotInDollars and InvalidValue.
        """
        self._availability.require(network, asset)
        if price.currency != DOLLARS:
            raise PriceNotInDollars(price)
        if price.minor < self._networks[network].minimum_usd_cents:
            raise BelowNetworkMinimum(self._networks[network])
        return self._quotes.quote(network, asset, price)

    def new_address(self, family: Family) -> tuple[int, str]:
        """Take an index that no other payment ever gets, and return the index and its address."""
        index = self._indices.take(family)
        return index, self._address_book.address(family, index)

    def give_back(self, family: Family, index: int) -> None:
        """Give back an index whose address was certainly not stored, and seen by nobody."""
        self._indices.give_back(family, index)

    def without_address(self, payment: Payment) -> Payment:
        """Return a payment that was certainly not stored without quote and address. The index is given back."""
        if payment.quote is not None:
            self._indices.give_back(self.family(payment.quote.network), payment.quote.index)
        return replace(payment, quote=None, refs={})

    def addressed(
        self, payment: Payment, network: NetworkName, asset: AssetName, quoted: QuotedAmount, place: tuple[int, str]
    ) -> Payment:
        """Return the payment with a quote for this address: an index and the address itself. The rate locks now."""
        index, address = place
        known, now = self._networks[network], self._clock.now()
        tier = tier_for(known, Fraction(payment.terms.price.minor, CENTS_PER_DOLLAR))
        quote = Quote(
            network=network,
            asset=asset,
            decimals=known.assets[asset].decimals,
            address=address,
            index=index,
            due=quoted.due,
            rate=quoted.rate.text,
            sources=quoted.rate.sources,
            quoted_at=now,
            locked_until=now + LOCK,
            network_title=known.title,
            uri=payment_uri(known, asset, address, quoted.due),
            confirmations=tier.depth if isinstance(tier.depth, int) else None,
            wait_seconds=usual_wait_seconds(known, tier),
        )
        refs = {"address": address, "index": str(index), "network": network, "asset": asset}
        return replace(
            payment,
            provider=known.family,
            quote=quote,
            refs={**payment.refs, **refs},
            expires_at=quote.locked_until + GRACE,
        )
