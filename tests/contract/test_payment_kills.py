"""Check that each saga of a payment ends right if a worker is killed, loses its lease or is paused.

Method: a worker process on Firestore with the real adapters meets one fate before or after one commit or one call of
the provider, which forgets all idempotency keys in between. Another worker finishes. `make payments` (KILLS=all) tries
every fate at every moment; otherwise each fate has one moment.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Protocol, cast

import pytest

from emulator.suite import Suite
from shared.bootstrap import Services
from shared.kernel.clock import to_datetime
from shared.kernel.documents import Patch
from shared.kernel.errors import Unavailable
from shared.kernel.ids import OperationId
from shared.ledger.commands import Close
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment, share, status_of
from shared.payments.ports import ProviderName
from shared.payments.store import saga_path
from shared.sagas.engine.leases import LeasedDocument, LeaseLost, Leases
from tests.support.killable_worker import Fate, KillableWorker, refund, settle
from tests.support.payment_backends import BOUGHT, ROUNDS_MAX, PaymentBackends, opened

IS_WHOLE = os.environ.get("KILLS") == "all"
AT_ONCE = 3
ROBBED_SECONDS = 1.0
MOMENTS_MIN = 2  # ask, and the one commit of credits, money and payment
LEASE_SECONDS = 90
BACK = Fiat(1_125, "USD")


class Act(Protocol):
    """What a process does about a payment."""

    def __call__(self, services: Services, payment: str) -> None: ...


Money = tuple[int, int, int]


@dataclass(frozen=True)
class Story:
    """What has happened (`before`), what a process is then asked to do, and what must be true in the end."""

    before: Callable[[PaymentBackends, Payment], None]
    act: Act
    status: str
    money: Callable[[Payment], Money]
    refunds: int = 0


def paid(backends: PaymentBackends, payment: Payment) -> None:
    backends.pay(payment)


def settled(backends: PaymentBackends, payment: Payment) -> None:
    backends.pay(payment)
    backends.first.payments.settlement.settle(payment.id)


def left(backends: PaymentBackends, payment: Payment) -> None:
    backends.pay(payment)
    backends.first.credits.ledger.execute(payment.uid, Close(operation=OperationId("bye")))


def refunded_by_hand(backends: PaymentBackends, payment: Payment) -> None:
    settled(backends, payment)
    backends.hands[payment.provider].refund_by_hand(payment.id, BACK)


def disputed(backends: PaymentBackends, payment: Payment) -> None:
    settled(backends, payment)
    backends.hands[payment.provider].dispute(payment.id)


def dispute_ended(how: str) -> Callable[[PaymentBackends, Payment], None]:
    def before(backends: PaymentBackends, payment: Payment) -> None:
        settled(backends, payment)
        hands = backends.hands[payment.provider]
        dispute = hands.dispute(payment.id)
        backends.first.payments.settlement.settle(payment.id)
        hands.end_dispute(dispute, how)

    return before


def all_of_it(_payment: Payment) -> Money:
    return BOUGHT, 0, 0


def out_of_reach(_payment: Payment) -> Money:
    return 0, BOUGHT, 0


def nothing(_payment: Payment) -> Money:
    return 0, 0, 0


def all_but_the_refund(payment: Payment) -> Money:
    price = payment.terms.price.minor
    return BOUGHT - sum(share(credits_, BACK.minor, price) for _, credits_ in payment.lots), 0, 0


def refunding(services: Services, payment: str) -> None:
    refund(services, payment, BACK.minor)


STORIES = {
    "top up": Story(paid, settle, "settled", all_of_it),
    "whose user left": Story(left, settle, "refunded", nothing, 1),
    "refund by us": Story(settled, refunding, "partially_refunded", all_but_the_refund, 1),
    "refund in the dashboard": Story(refunded_by_hand, settle, "partially_refunded", all_but_the_refund, 1),
    "dispute": Story(disputed, settle, "disputed", out_of_reach),
    "dispute won": Story(dispute_ended("won"), settle, "won", all_of_it),
    "dispute lost": Story(dispute_ended("lost"), settle, "lost", nothing),
}


@pytest.fixture
def backends(firestore_emulator: Suite, project: str, tmp_path: Path) -> Iterator[PaymentBackends]:
    with opened(firestore_emulator, project, tmp_path) as it:
        yield it


class Case:
    """One payment, and the process that is to act on it."""

    def __init__(self, backends: PaymentBackends, provider: ProviderName, story: Story) -> None:
        self.backends = backends
        self.story = story
        self.payment = backends.begin(provider)
        story.before(backends, self.payment)

    def process(self, fate: Fate | None = None) -> KillableWorker:
        return KillableWorker(self.backends.environment, partial(self.story.act, payment=self.payment.id), fate)

    def inherit(self) -> None:
        """Another instance ends it: what was asked is asked again, as a webhook, a sweep or an operator would."""
        services = self.backends.instances[1]
        self.backends.stand_in(self.payment.provider).expire_idempotency_keys()
        for _ in range(ROUNDS_MAX):
            try:
                services.payments.settlement.settle(self.payment.id)
                self.story.act(services, self.payment.id)
            except (Unavailable, LeaseLost):  # whoever was robbed may be at it again
                continue
            return
        raise AssertionError("nobody could end it")

    def let_the_lease_end(self) -> None:
        """Nobody renews it any more; a test does not wait for it."""
        documents = self.backends.first.ports.documents()
        document = documents.get(saga_path(self.payment.id))
        assert document is not None
        lease = {**cast("dict[str, object]", document.data["lease"]), "until": to_datetime(0)}
        documents.commit([Patch(document.path, {"lease": lease}, document.version)])  # type: ignore[dict-item]  # as read

    def steal(self) -> LeasedDocument:
        """The lease is another's, who has done nothing yet."""
        self.let_the_lease_end()
        stolen = Leases(self.backends.first.ports.documents(), self.backends.first.clock).claim(
            saga_path(self.payment.id), LEASE_SECONDS
        )
        assert stolen is not None
        return stolen

    def found(self) -> tuple[str, Money, int, int, list[object]]:
        """Where the payment is, what its user has, what the provider did, and what is wrong with the chain."""
        services, uid = self.backends.first, self.payment.uid
        now = services.payments.store.get(self.payment.id)
        balance = services.credits.ledger.balance(uid)
        truth = services.ports.payment_providers()[now.provider].truth(now.refs)
        reversals = {dispute.refund for dispute in truth.disputes}
        refunds = [refund for refund in truth.refunds if refund.id not in reversals]
        money = (balance.available, balance.held, balance.debt)
        return (
            status_of(now),
            money,
            self.backends.captures(now),
            len(refunds),
            list(services.credits.ledger.verify(uid)),
        )

    def expected(self) -> tuple[str, Money, int, int, list[object]]:
        return self.story.status, self.story.money(self.payment), 1, self.story.refunds, []


# The fates -----------------------------------------------------------------------------------------------------------


def restart(case: Case, number: int, when: str) -> None:
    """It is killed, its lease runs out, and another begins where it stood."""
    with closing(case.process(Fate(number, when, signal.SIGKILL))) as process:
        process.meets_its_fate()
        assert process.died() == -signal.SIGKILL
    case.let_the_lease_end()
    case.inherit()


def stolen_lease(case: Case, number: int, when: str) -> None:
    """It sleeps, another takes the lease, and it goes on while that one holds it."""
    with closing(case.process(Fate(number, when, signal.SIGSTOP))) as process:
        process.meets_its_fate()
        stolen = case.steal()
        process.goes_on()
        process.is_heard(ROBBED_SECONDS)  # it has lost, or waits until the lease is free
        assert stolen.rejoin(), "whoever was robbed writes nothing"
        stolen.free({})
        case.inherit()
        process.ended()


def paused_zombie(case: Case, number: int, when: str) -> None:
    """It sleeps until another has ended all that there was to do, and goes on then."""
    with closing(case.process(Fate(number, when, signal.SIGSTOP))) as process:
        process.meets_its_fate()
        case.let_the_lease_end()
        case.inherit()
        assert case.found() == case.expected()
        process.goes_on()
        process.ended()


FATES = (restart, stolen_lease, paused_zombie)


def chosen(moments: int) -> Iterator[tuple[Callable[[Case, int, str], None], int, str]]:
    """Every fate at every moment; or, in short, every moment with one of them, in turn."""
    every = list(product(range(1, moments + 1), ("before", "after")))
    if IS_WHOLE:
        yield from ((fate, *moment) for fate in FATES for moment in every)
    else:
        yield from ((fate, *moment) for fate, moment in zip(cycle(FATES), every, strict=False))


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_whatever_becomes_of_a_worker_and_when_the_payment_ends_the_same(
    backends: PaymentBackends, provider: ProviderName, name: str
):
    story = STORIES[name]
    with closing(Case(backends, provider, story).process()) as undisturbed:
        moments = cast("int", undisturbed.ended())
    assert moments >= MOMENTS_MIN

    def meet(fate: Callable[[Case, int, str], None], number: int, when: str) -> Case:
        case = Case(backends, provider, story)
        fate(case, number, when)
        return case

    with ThreadPoolExecutor(AT_ONCE) as pool:
        cases = list(pool.map(lambda one: meet(*one), chosen(moments)))

    assert [case.found() for case in cases] == [case.expected() for case in cases]
