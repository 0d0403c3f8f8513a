"""Parts for crypto payments: networks, addresses, quotes, and the watch over the chains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.parts import part
from shared.bootstrap.payments import PaymentServices
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.payments.chains.address_book import AddressBook
    from shared.payments.chains.authorizations import Authorization
    from shared.payments.chains.availability import CoinAvailability
    from shared.payments.chains.balances import Balances
    from shared.payments.chains.index_table import IndexTables, WalletKey
    from shared.payments.chains.indices import Indices
    from shared.payments.chains.networks import Family, Network
    from shared.payments.chains.outages import Outage
    from shared.payments.chains.ports import NetworkName
    from shared.payments.chains.prices import PriceSource
    from shared.payments.chains.quotes import Quotes
    from shared.payments.chains.refund_addresses import RefundAddresses
    from shared.payments.chains.screening import Screening
    from shared.payments.chains.wallet_previews import WalletPreviews
    from shared.payments.payment import Payment
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.sagas.payments.address_looks import AddressLooks
    from shared.sagas.payments.agent_offers import AgentOffers
    from shared.sagas.payments.agent_payments import AgentPayments
    from shared.sagas.payments.agent_wallets import AgentWallets
    from shared.sagas.payments.authorization_capture import AuthorizationCapture
    from shared.sagas.payments.coin_terms import CoinTerms
    from shared.sagas.payments.cold_addresses import ColdAddresses
    from shared.sagas.payments.crypto_broadcasts import CryptoBroadcasts
    from shared.sagas.payments.crypto_checkout import CryptoCheckouts
    from shared.sagas.payments.crypto_desk import CryptoDesk
    from shared.sagas.payments.crypto_following import AddressFollower
    from shared.sagas.payments.crypto_places import CryptoPlaces
    from shared.sagas.payments.crypto_watcher import Watcher
    from shared.sagas.payments.payer_pages import PayerPages
    from shared.sagas.payments.payment_addresses import PaymentAddresses
    from shared.sagas.payments.payouts import Payouts


@dataclass(eq=False)
class CryptoServices:
    """Parts for crypto payments: networks, addresses, quotes, and the watch over the chains."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    users: UserServices
    payments: PaymentServices

    @part
    def networks(self) -> "Mapping[NetworkName, Network]":
        """Build the networks in use, by name."""
        from shared.payments.chains.configured import networks_of

        return networks_of(self.settings.crypto_networks)

    @part
    def price_sources(self) -> "Sequence[PriceSource]":
        """Build the sources of prices: Chainlink on the chains in use, and the exchanges."""
        from shared.payments.chains.chainlink import ChainlinkPrices

        return (ChainlinkPrices(self.networks, self.ports.chains, self.clock), *self.ports.price_sources())

    @part
    def quotes(self) -> "Quotes":
        """Build the quotes of amounts due in coins, and of the value of coins."""
        from shared.payments.chains.quotes import Quotes

        return Quotes(self.networks, lambda: self.price_sources, self.clock)

    @part
    def wallet_keys(self) -> "Mapping[Family, tuple[WalletKey, ...]]":
        """Build the keys of the operator's wallets, by family of chains."""
        from shared.payments.chains.wallet_keys import wallet_keys_of

        return wallet_keys_of(self.settings)

    @part
    def index_tables(self) -> "IndexTables":
        """Build the reader of the tables that say which key an index of an address belongs to."""
        from shared.payments.chains.index_table import IndexTables

        return IndexTables(self.ports.documents())

    @part
    def address_book(self) -> "AddressBook":
        """Build the book of addresses, derived from the operator's keys."""
        from shared.payments.chains.address_book import DerivedAddressBook

        return DerivedAddressBook(self.wallet_keys, self.ports.derivations, self.index_tables, self.ports.alerts())

    @part
    def indices(self) -> "Indices":
        """Build the taker of new indices of addresses."""
        from shared.payments.chains.indices import Indices

        return Indices(self.ports.documents(), self.index_tables, self.wallet_keys, self.clock)

    @part
    def places(self) -> "CryptoPlaces":
        """Build the places of users' open crypto payments."""
        from shared.sagas.payments.crypto_places import CryptoPlaces

        return CryptoPlaces(self.ports.documents(), self.clock)

    @part
    def terms(self) -> "CoinTerms":
        """Build the quotes and addresses for payments."""
        from shared.sagas.payments.coin_terms import CoinTerms

        return CoinTerms(self.networks, self.availability, self.quotes, self.address_book, self.indices, self.clock)

    @part
    def checkouts(self) -> "CryptoCheckouts":
        """Build the saga by which a user buys a package with coins."""
        from shared.sagas.payments.crypto_checkout import CryptoCheckouts
        from shared.sagas.payments.purchase_places import PurchasePlaces

        documents = self.ports.documents()
        return CryptoCheckouts(
            documents,
            self.payments.packages,
            self.credits.ledger,
            (PurchasePlaces(documents, self.clock, self.payments.cancellations), self.places),
            self.terms,
            self.clock,
            f"{self.settings.public_url}/v1/payments/crypto",
        )

    @part
    def wallet_previews(self) -> "WalletPreviews":
        """Build the reader of each key's first addresses, for operators."""
        from shared.payments.chains.wallet_previews import WalletPreviews

        return WalletPreviews(self.wallet_keys, self.ports.derivations, self.index_tables)

    @part
    def availability(self) -> "CoinAvailability":
        """Build the availability of networks and assets."""
        from shared.payments.chains.availability import CoinAvailability, NetworkCheck

        check = NetworkCheck(self.networks, self.ports.chains, self.quotes, self.address_book.has, self.clock)
        return CoinAvailability(self.ports.documents(), self.networks, check, self.ports.alerts(), self.clock)

    @part
    def payer_pages(self) -> "PayerPages":
        """Build the pages of payers."""
        from shared.sagas.payments.payer_pages import PayerPages

        return PayerPages(self.ports.documents(), self.networks, self.look, self.clock)

    @part
    def draw_code(self) -> Callable[[str], bytes]:
        """Load the drawing of QR codes as SVG."""
        from shared.platform.segno.codes import qr_svg

        return qr_svg

    def look(self, payment: "Payment") -> None:
        """Let the watch look at the network of a payment, unless anybody has just looked.

        The payment's page counts as open for some time. A failure is logged and not raised.
        """
        if payment.quote is not None:
            self.watcher.look(payment.quote.network, payment.quote.index)

    @part
    def screening(self) -> "Screening":
        """Build the screening of senders, if the settings ask for one."""
        from shared.payments.chains.screening import NoScreening, OracleScreening

        is_on = self.settings.crypto_screening != "off"
        return OracleScreening(self.ports.chains, self.networks) if is_on else NoScreening()

    @part
    def looks(self) -> "AddressLooks":
        """Build the looks at addresses."""
        from shared.payments.chains.quotes import PresentRates
        from shared.sagas.payments.address_looks import AddressLooks

        return AddressLooks(
            self.ports.documents(),
            self.ports.chains,
            self.networks,
            PresentRates(self.quotes),
            self.settings.credits_per_usd,
            self.clock,
            self.ports.alerts(),
            self._outages,
            self.screening,
        )

    @part
    def providers(self) -> "Mapping[ProviderName, PaymentProvider]":
        """Build the families of chains in use as providers of payments. Without networks there are none."""
        if not self.settings.crypto_networks:
            return {}
        from shared.payments.chains.coin_listing import CoinListing
        from shared.payments.chains.payouts import refunds_of
        from shared.payments.chains.provider import providers_of

        documents = self.ports.documents()
        return providers_of(
            {network.family for network in self.networks.values()},
            self.looks,
            is_live=all(each.is_live for each in self.networks.values()),
            refunds=lambda payment: refunds_of(self.payouts.of_payment(payment)),
            send=self.authorization_capture.capture,
            listing=lambda family: CoinListing(family, documents, self.ports.chains, self.networks),
        )

    @part
    def refund_addresses(self) -> "RefundAddresses":
        """Build the addresses that users name for refunds."""
        from shared.payments.chains.refund_addresses import RefundAddresses
        from shared.platform.addresses.written import written_address

        return RefundAddresses(self.ports.documents(), self.networks, written_address, self.clock)

    @part
    def desk(self) -> "CryptoDesk":
        """Build operators' desk for coins that came."""
        from shared.sagas.payments.crypto_desk import CryptoDesk
        from shared.users.operator_acts import AdminCheck

        check, audit = AdminCheck(self.ports.identity()), self.users.audit
        return CryptoDesk(self.ports.documents(), self.networks, self.follower, check, audit, self.clock)

    @part
    def balances(self) -> "Balances":
        """Build the reader of the coins at all addresses, for the operator's own sweep."""
        from shared.payments.chains.balances import Balances

        return Balances(self.ports.documents(), self.ports.chains, self.networks, self.index_tables)

    @part
    def payouts(self) -> "Payouts":
        """Build the payouts of refunds in coins."""
        from shared.sagas.payments.payouts import Payouts

        return Payouts(
            self.ports.documents(),
            self.ports.chains,
            self.networks,
            self.refund_addresses,
            self.quotes.rate,
            lambda: self.payments.settlement,
            self.clock,
            self.ports.alerts(),
        )

    @part
    def follower(self) -> "AddressFollower":
        """Build the saga that brings payments in step with the levels of their addresses."""
        from shared.sagas.payments.crypto_following import AddressFollower

        return AddressFollower(self.ports.documents(), self.looks, self.payments.settlement, self.clock)

    def _outages(self, network: "NetworkName") -> "Sequence[Outage]":
        from shared.payments.chains.watch_documents import look_in, look_path

        return look_in(self.ports.documents().get(look_path(network))).outages

    @part
    def payment_addresses(self) -> "PaymentAddresses":
        """Build the addresses that the watch looks for."""
        from shared.sagas.payments.payment_addresses import PaymentAddresses

        return PaymentAddresses(lambda: self.address_book)

    @part
    def watcher(self) -> "Watcher":
        """Build the watch over the chains."""
        from shared.sagas.payments.chain_follows import WatchFollows
        from shared.sagas.payments.crypto_watcher import Watcher

        return Watcher(
            documents=self.ports.documents(),
            networks=self.networks,
            chains=self.ports.chains,
            addresses=self.payment_addresses,
            indices=self.index_tables,
            follower=WatchFollows(self.follower),
            alerts=self.ports.alerts(),
            clock=self.clock,
        )

    @part
    def cold_addresses(self) -> "ColdAddresses":
        """Build the daily look at cold addresses."""
        from shared.sagas.payments.cold_addresses import ColdAddresses

        return ColdAddresses(
            documents=self.ports.documents(),
            networks=self.networks,
            chains=self.ports.chains,
            addresses=self.payment_addresses,
            indices=self.index_tables,
            clock=self.clock,
        )

    @part
    def broadcasts(self) -> "CryptoBroadcasts":
        """Build the service for transactions of payers' wallets."""
        from shared.payments.chains.quotes import PresentRates
        from shared.sagas.payments.crypto_broadcasts import CryptoBroadcasts

        return CryptoBroadcasts(
            documents=self.ports.documents(),
            networks=self.networks,
            chains=self.ports.chains,
            follow=self.follower.follow_payment,
            rates=PresentRates(self.quotes),
            clock=self.clock,
        )

    @part
    def authorization_capture(self) -> "AuthorizationCapture":
        """Build the capture of agents' payments by the facilitator."""
        from shared.sagas.payments.authorization_capture import AuthorizationCapture

        return AuthorizationCapture(self.ports.documents(), self.networks, self.ports.facilitator, self.clock)

    @part
    def agent_wallets(self) -> "AgentWallets":
        """Build the addresses to which users' agents pay."""
        from shared.sagas.payments.agent_wallets import AgentWallets

        return AgentWallets(self.ports.documents(), self.terms, self.follower, self.clock)

    @part
    def agent_offers(self) -> "AgentOffers":
        """Build the offers of credits to agents."""
        from shared.platform.addresses.authorizations import domain_separator
        from shared.sagas.payments.agent_offers import AgentOffers

        return AgentOffers(
            self.networks,
            self.ports.chains,
            self.terms,
            self.payments.packages,
            self.settings.credits_per_usd,
            domain_separator,
            self.ports.facilitator,
            self.clock,
        )

    @part
    def agent_payments(self) -> "AgentPayments | None":
        """Build the payments by agents; None if the settings name no facilitator, or no network."""
        if self.ports.facilitator() is None or not self.settings.crypto_networks:
            return None
        from shared.sagas.payments.agent_payments import AgentPayments
        from shared.sagas.payments.authorization_checks import AuthorizationChecks

        return AgentPayments(
            self.ports.documents(),
            self.credits.ledger,
            self.agent_wallets,
            self.agent_offers,
            AuthorizationChecks(self.networks, self.ports.chains, self._signer_of, self.screening),
            lambda: self.payments.settlement,
            self.clock,
        )

    def _signer_of(self, signed: "Authorization", separator: str) -> str | None:
        from shared.platform.addresses.authorizations import signer_of

        return signer_of(signed, separator)
