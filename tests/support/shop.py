"""A shop in memory: packages, both providers, and as many instances of our side as a test likes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.bootstrap.schemas import versioned
from shared.kernel.clock import to_datetime
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Create, Delete, Document, Documents, Query, Version, Write
from shared.kernel.ids import OperationId, Uid, derived_id
from shared.ledger.views import Balance
from shared.payments.fiat import Fiat
from shared.payments.owner_view import owner_view, renewed
from shared.payments.packages import Packages
from shared.payments.payment import Payment, agreed_terms, status_of
from shared.payments.ports import Notice, ProviderName
from shared.payments.store import fields_of, payment_in, saga_path, view_of, view_path
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.engine.jobs import JobRun
from shared.sagas.engine.leases import FREE
from shared.sagas.payments.checkout import CHECKOUT_LIFETIME, PackageOrder
from shared.sagas.payments.leased_payment import RETRY
from shared.sagas.payments.refunds import RefundAsked
from shared.sagas.payments.sweep import PaymentJobs
from shared.sagas.payments.views import PaymentViews
from tests.support.backend import services_on
from tests.support.ledgers import UID
from tests.support.live import check_live

PRICE = Fiat(1_000, "USD")
LANDING = "https://api.example/v1/payments"
ENVIRONMENT = {
    "PUBLIC_URL": "https://api.example",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com",
    "PAYPAL_CLIENT_ID": "a",
    "PAYPAL_CLIENT_SECRET": "b",
}
"""Both providers, with test money."""
CREDITS, BONUS = 1_000_000_000, 100_000_000
PACKAGE: dict[str, Any] = {
    "title": "1,000 credits",
    "price_minor": PRICE.minor,
    "currency": PRICE.currency,
    "credits": CREDITS,
    "bonus": BONUS,
    "bonus_days": 30,
}


class ShownDocuments(MemoryDocuments):
    """A store that holds every commit to this: what a payment's owner sees is what the working document says."""

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        versions = super().commit(writes, timeout_seconds=timeout_seconds)
        changed = {write.path for write in writes if not isinstance(write, Delete)}
        for path in changed:
            if path.startswith("payment_sagas/"):
                self._check_shown(path, is_new=view_path(path.partition("/")[2]) in changed)
        return versions

    def _check_shown(self, path: str, *, is_new: bool) -> None:
        saga, shown = versioned(self).get_all([path, view_path(path.partition("/")[2])])
        assert saga is not None
        assert shown is not None
        if is_new:
            check_live("payments", shown.data)
        if not saga.data["terms"]:
            return  # a test broke it
        told = renewed(saga.id, shown.data)
        assert told == {**owner_view(payment_in(saga), 0), "updated_at": told["updated_at"]}


class Instance:
    """Our side as one process has it: everything built anew, nothing remembered."""

    def __init__(self, shop: "Shop", documents: Documents | None = None) -> None:
        stored = documents or shop.documents
        services = services_on(stored, shop.clock, ENVIRONMENT, payment_providers=shop.providers, alerts=shop.alerts)
        self.ledger = services.credits.ledger
        self.packages, self.payments = services.payments.packages, services.payments.store
        self.settlement, self.cancellations = services.payments.settlement, services.payments.cancellations
        self.checkouts, self.refunds = services.payments.checkouts, services.payments.refunds
        self.inbox, self.handler = services.payments.inbox, services.payments.notices
        self.views = PaymentViews(stored, shop.clock)
        self.event_listing = services.payments.event_listing
        self.jobs = PaymentJobs(self.payments, self.settlement, self.inbox, self.handler, shop.clock)

    def refund(self, payment: str, minor: int | None, key: str = "r") -> Payment:
        """A refund of ours; the same key is the same refund."""
        asked = RefundAsked(payment=payment, minor=minor, operation=OperationId(f"op_{key}"), fingerprint=str(minor))
        return self.refunds.refund(asked)

    def receive(self, notice: Notice) -> None:
        """A webhook and what its document triggers."""
        self.inbox.store(notice)
        self.handler.handle(f"{notice.provider}:{notice.id}")


JOB_SECONDS = 60.0


@dataclass
class Shop:
    """The world that instances share."""

    documents: MemoryDocuments = field(default_factory=ShownDocuments)
    clock: ManualClock = field(default_factory=ManualClock)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    cursors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stripe = MemoryProvider(self.clock, "stripe")
        self.paypal = MemoryProvider(self.clock, "paypal")
        self.providers: dict[ProviderName, MemoryProvider] = {"stripe": self.stripe, "paypal": self.paypal}
        Packages(self.documents, self.clock).put("small", PACKAGE)

    def instance(self, documents: Documents | None = None) -> Instance:
        return Instance(self, documents)

    def wanted(self, provider: ProviderName = "stripe", package: str = "small", uid: Uid = UID) -> PackageOrder:
        return PackageOrder(
            uid=uid,
            package=package,
            provider=provider,
            flow="redirect",
            success_url="https://app.example/thanks",
            cancel_url="https://app.example/",
        )

    def begin(self, provider: ProviderName = "stripe", key: str = "k", **more: Any) -> Payment:
        wanted = self.wanted(provider, **more)
        return self.instance().checkouts.begin_checkout(wanted, OperationId(f"op_{provider}_{key}"), "f")

    def unopened(self, provider: ProviderName = "stripe", key: str = "k") -> Payment:
        """A payment as an earlier release stored it before its provider was asked."""
        wanted, now = self.wanted(provider), self.clock.now()
        payment = Payment(
            id=derived_id("pay", f"op_{provider}_{key}"),
            uid=wanted.uid,
            provider=provider,
            flow=wanted.flow,
            terms=agreed_terms(self.instance().packages.get(wanted.package)),
            fingerprint="f",
            created_at=now,
            expires_at=now + CHECKOUT_LIFETIME,
            success_url=wanted.success_url,
            cancel_url=wanted.cancel_url,
        )
        data: dict[str, Any] = {**fields_of(payment), "saga": None, "lease": FREE, "due_at": to_datetime(now + RETRY)}
        versioned(self.documents).commit([Create(saga_path(payment.id), data), view_of(payment, now)])
        return payment

    def bought(self, provider: ProviderName = "stripe", key: str = "k") -> Payment:
        """A payment begun, paid and settled."""
        payment = self.begin(provider, key)
        self.providers[provider].approve(payment.id)
        return self.instance().settlement.settle(payment.id)

    def every_minute(self) -> None:
        """What the schedule does, each job from where it left off."""
        instance = self.instance()
        for work in (instance.jobs.notices, instance.jobs.resume, instance.event_listing.list_events):
            turn = JobRun(self.cursors.get(work.__name__, ""), self.clock, JOB_SECONDS)
            work(turn)
            self.cursors[work.__name__] = turn.cursor

    def all(self, collection: str) -> list[Document]:
        """Every document of a collection."""
        return self.documents.query(Query(collection=collection, limit=10_000))

    def status(self, payment: Payment) -> str:
        """What the owner's listener shows, which must be what the saga's document says."""
        instance = self.instance()
        shown = str(instance.payments.view(payment.id, payment.uid)["status"])
        assert shown == status_of(instance.payments.get(payment.id))
        return shown

    def balance(self, uid: Uid = UID) -> Balance:
        return self.instance().ledger.balance(uid)

    def money(self, uid: Uid = UID) -> tuple[int, int, int]:
        """Available, held and owed, in µcr; the chain behind it is valid."""
        instance = self.instance()
        assert instance.ledger.verify(uid) == []
        balance = instance.ledger.balance(uid)
        return balance.available, balance.held, balance.debt

    def refund(self, payment: Payment, minor: int | None = None, key: str = "r") -> Payment:
        return self.instance().refund(payment.id, minor, key)
