"""Crypto payments in memory: chains, prices, one user, and as many instances of our side as a test likes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from shared.bootstrap import Services
from shared.bootstrap.schemas import versioned
from shared.kernel.clock import MINUTE
from shared.kernel.documents import Create, Documents
from shared.kernel.ids import Uid, derived_id
from shared.kernel.money import Micro
from shared.payments.chains.addresses import AddressRecord, address_created, address_path, from_data
from shared.payments.chains.amounts import atomic_of, rate_text
from shared.payments.chains.levels import states
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import Chain
from shared.payments.chains.quote import Quote
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment, Terms, status_of
from shared.payments.store import fields_of, saga_path, view_of
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.chain import MemoryChain
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.prices import MemoryPrices
from shared.sagas.engine.jobs import JobRun
from shared.sagas.engine.leases import FREE
from shared.sagas.payments.sweep import PaymentJobs
from tests.support.backend import services_on
from tests.support.shop import ShownDocuments

PAYER = Uid("payer")
NETWORKS = {
    "CRYPTO_NETWORKS": "base,polygon,ethereum,bitcoin",
    "BASE_RPC_URLS": "https://base.example",
    "POLYGON_RPC_URLS": "https://polygon.example",
    "ETHEREUM_RPC_URLS": "https://ethereum.example",
    "BITCOIN_API_URLS": "https://bitcoin.example/api",
}
RUN_SECONDS = 60.0
LOCK = 15 * MINUTE
GRACE = 60 * MINUTE
FEE_CREDITS, FEE_BONUS = 1_000_000_000, 100_000_000


class CoinShop:
    """The world that instances share."""

    settings: ClassVar[Mapping[str, str]] = NETWORKS

    def __init__(self, documents: Documents | None = None, clock: Any = None, uid: Uid = PAYER) -> None:
        self.documents = documents or ShownDocuments()
        self.clock = clock or ManualClock()
        self.alerts = MemoryAlerts()
        self.uid = uid
        self.spot = MemoryPrices(self.clock, "one")
        first = services_on(self.documents, self.clock, self.settings, alerts=self.alerts, price_sources=[self.spot])
        self.networks = dict(first.crypto.networks)
        self.chains = {name: MemoryChain(network, self.clock) for name, network in self.networks.items()}
        self.served: dict[str, Chain] = {}
        self.count = 0
        for chain in self.chains.values():
            chain.mine(12)

    def services(self, documents: Documents | None = None) -> Services:
        """Our side as one process has it: everything built anew, nothing remembered."""
        return services_on(
            documents or self.documents,
            self.clock,
            self.settings,
            alerts=self.alerts,
            price_sources=[self.spot],
            chains={**self.chains, **self.served},
        )

    def price(self, asset: str, rate: str) -> None:
        """Let all sources tell this rate."""
        self.spot.set_rate(asset, rate)
        for chain in self.chains.values():
            chain.rates[asset] = rate

    def order(self, network: str = "base", asset: str = "USDC", minor: int = 1_000) -> Payment:
        """A payment with a quote and an address of its own, as a checkout stores it."""
        self.count += 1
        quoted = self.services().crypto.quotes.quote(network, asset, Fiat(minor, "USD"))
        now, known = self.clock.now(), self.networks[network]
        quote = Quote(
            network=network,
            asset=asset,
            decimals=known.assets[asset].decimals,
            address=self.address(known, self.count),
            index=self.count,
            due=quoted.due,
            rate=rate_text(quoted.rate.rate),
            sources=quoted.rate.sources,
            quoted_at=now,
            locked_until=now + LOCK,
            network_title=known.title,
        )
        payment = Payment(
            id=derived_id("pay", str(self.count)),
            uid=self.uid,
            provider=known.family,
            flow="redirect",
            terms=Terms(
                package="small",
                title="1,000 credits",
                price=Fiat(minor, "USD"),
                credits=Micro(FEE_CREDITS),
                bonus=Micro(FEE_BONUS),
                bonus_days=30,
            ),
            fingerprint="f",
            created_at=now,
            expires_at=now + LOCK + GRACE,
            refs={"address": quote.address, "index": str(quote.index), "network": network, "asset": asset},
            checkout_url="https://api.example/pay",
            is_opened=True,
            quote=quote,
            page_key="key",
        )
        data = {**fields_of(payment), "saga": None, "due_at": None, "lease": FREE}
        creation = [view_of(payment, now), address_created(payment)]
        versioned(self.documents).commit([Create(saga_path(payment.id), data), *creation])
        return payment

    def address(self, network: Network, index: int) -> str:
        """The address with an index."""
        return f"{network.family}-address-{index}"

    def send(self, payment: Payment, amount: int, network: str | None = None, asset: str | None = None) -> str:
        """Send coins to the payment's address, into the pool of the network."""
        quote = payment.quote
        assert quote is not None
        return self.chains[network or quote.network].send(quote.address, asset or quote.asset, amount)

    def follow(self, payment: Payment, documents: Documents | None = None) -> Payment:
        """Look at the address of a payment, and return the payment after that."""
        assert payment.quote is not None
        self.services(documents).crypto.follower.follow(payment.provider, payment.quote.index)
        return self.now(payment)

    def deep(self, payment: Payment, blocks: int = 40) -> Payment:
        """Mine until everything is final on all networks, and follow."""
        for chain in self.chains.values():
            chain.mine(blocks)
        return self.follow(payment)

    def now(self, payment: Payment) -> Payment:
        return self.services().payments.store.get(payment.id)

    def view(self, payment: Payment) -> Any:
        """What the owner reads of a payment on a chain."""
        shown = self.services().payments.store.view(payment.id, self.uid)
        assert shown["status"] == status_of(self.now(payment))
        return shown

    def record(self, payment: Payment) -> AddressRecord:
        assert payment.quote is not None
        document = self.services().ports.documents().get(address_path(payment.provider, payment.quote.index))
        assert document is not None
        return from_data(document.data)

    def deposits(self, payment: Payment) -> list[Payment]:
        """The payments for what nobody ordered, that came to the payment's address."""
        claims = [claim for _, claim in self.record(payment).claims() if claim.payment != payment.id]
        return [self.services().payments.store.get(claim.payment) for claim in claims]

    def money(self) -> tuple[int, int, int]:
        """Available, held and owed, in µcr; the chain of entries behind them is valid."""
        ledger = self.services().credits.ledger
        assert ledger.verify(self.uid) == []
        balance = ledger.balance(self.uid)
        return balance.available, balance.held, balance.debt

    def every_minute(self) -> None:
        """What the schedule does: addresses that are due, then payments that are due."""
        services = self.services()
        services.crypto.follower.resume(JobRun("", self.clock, RUN_SECONDS))
        jobs = PaymentJobs(
            services.payments.store,
            services.payments.settlement,
            services.payments.inbox,
            services.payments.notices,
            self.clock,
        )
        jobs.resume(JobRun("", self.clock, RUN_SECONDS))

    def check_conserved(self, payment: Payment) -> None:
        """Every unit of every level is credited, set aside, lost, or not claimed yet."""
        for level in self.record(payment).levels.values():
            parts = [state for _, state in states(level)]
            assert sum(each.credited + each.open + each.lost for each in parts) == level.end
            assert level.end + level.rest - level.missing == level.standing


def atomic(network: Network, asset: str, whole: str) -> int:
    """Return whole coins in atomic units."""
    return atomic_of(whole, network.assets[asset].decimals)
