"""PayPal's money is captured without a claim: whoever captures at once, dies or is overtaken, it is credited once."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.kernel.clock import DAY, HOUR, MINUTE
from shared.kernel.errors import DomainError
from shared.payments.payment import Payment, status_of
from shared.payments.ports import CaptureInProgress, ProviderUnavailable
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.purchase_places import PackageLimitReached
from shared.sagas.payments.settlement import FOLLOWED_WITHIN
from tests.support.faults import Crash, FaultyDocuments
from tests.support.shop import BONUS, CREDITS, JOB_SECONDS, PACKAGE, Shop

ALL = CREDITS + BONUS
CALLS = 4
"""Calls of PayPal of a worker that captures and credits: the truth, the capture, the truth."""
ASKED_MAX = 15
"""Questions of a worker to a PayPal that captures for ever."""
STEPS = 10
"""Sweeps while a payment grows old."""
CALLED = frozenset({"truth", "capture"})


class Eventful:
    """A provider at whose n-th call something happens, before or after the call. Counts the calls."""

    def __init__(self, inner: MemoryProvider, happens: Callable[[], object], *, at: int, when: str) -> None:
        self.inner, self.happens, self.at, self.when = inner, happens, at, when
        self.count = 0

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in CALLED:
            return value

        def call(*args, **kwargs):
            self.count += 1
            is_here = self.count == self.at
            if is_here and self.when == "before":
                self.happens()
            answer = value(*args, **kwargs)
            if is_here and self.when == "after":
                self.happens()
            return answer

        return call


class CapturedElsewhere(MemoryProvider):
    """PayPal while another worker captures: every other capture is refused until that one has ended."""

    is_capturing = False

    def capture(self, refs, key):
        if self.is_capturing:
            raise CaptureInProgress(self.name)
        super().capture(refs, key)


class Eventual(ManualClock):
    """A clock at whose n-th wait something happens."""

    happens: Callable[[], object] | None = None

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()


@pytest.fixture
def shop():
    return Shop()


def approved(shop: Shop, **more) -> Payment:
    payment = shop.begin("paypal", **more)
    shop.paypal.approve(payment.id)
    return payment


def eventful(shop: Shop, happens: Callable[[], object], at: int, when: str) -> MemoryProvider:
    """Let something happen at a call of the next worker; return the provider for all others."""
    real = shop.providers["paypal"]

    def once() -> None:
        shop.providers["paypal"] = real
        happens()

    shop.providers["paypal"] = Eventful(real, once, at=at, when=when)  # type: ignore[assignment]  # forwards all
    return real


def swept(shop: Shop) -> None:
    """What the sweep of due payments does, without notices and listings."""
    shop.instance().jobs.resume(JobRun("", shop.clock, JOB_SECONDS))


def boundaries(test):
    """Run a test at each call of a worker that captures, before and after the call."""
    for name, values in (("at", range(1, CALLS)), ("when", ("before", "after"))):
        test = pytest.mark.parametrize(name, values)(test)
    return test


@boundaries
def test_page_and_notice_at_once_both_end_well(shop, at, when):
    payment, ends = approved(shop), []

    def page() -> None:
        ends.append(shop.instance().settlement.settle(payment.id))

    eventful(shop, page, at, when)
    ends.append(shop.instance().settlement.settle(payment.id))

    assert [status_of(each) for each in ends] == ["settled", "settled"]
    assert (shop.money(), shop.paypal.captures[payment.id]) == ((ALL, 0, 0), 1)


@boundaries
def test_cancel_amid_a_capture_leaves_a_credited_payment(shop, at, when):
    payment = approved(shop)

    eventful(shop, lambda: shop.instance().cancellations.cancel(payment.id), at, when)
    settled = shop.instance().settlement.settle(payment.id)

    assert (status_of(settled), shop.status(payment)) == ("settled", "settled")
    assert (shop.money(), shop.paypal.captures[payment.id]) == ((ALL, 0, 0), 1)


def test_cancel_between_truth_and_commit_is_asked_about_again(shop):
    """The cancelling worker asked before the user paid: joining that worker would leave the money without credits."""
    payment = shop.begin("stripe")
    shop.stripe.approve(payment.id)
    real = shop.stripe

    def cancelled() -> None:
        shop.providers["stripe"] = real
        found = shop.documents.get(f"payment_sagas/{payment.id}")
        leased = shop.instance().cancellations._leases.claim_read(found, 90)
        assert leased is not None
        leased.free({})

    shop.providers["stripe"] = Eventful(real, cancelled, at=1, when="after")

    assert status_of(shop.instance().settlement.settle(payment.id)) == "settled"
    assert shop.money() == (ALL, 0, 0)


@boundaries
@pytest.mark.parametrize("age", [10 * MINUTE, 90 * MINUTE, 5 * HOUR, 2 * DAY, 8 * DAY])
def test_sweep_alone_credits_when_the_worker_died(shop, at, when, age):
    """No notice comes, nobody looks: the payment is due by itself within an hour."""
    payment = shop.begin("paypal")
    for _ in range(STEPS):
        shop.clock.advance(age // STEPS)
        swept(shop)
    shop.paypal.approve(payment.id)
    shop.paypal.events.clear()

    def dies() -> None:
        raise Crash

    eventful(shop, dies, at, when)
    with pytest.raises(Crash):
        shop.instance().settlement.settle(payment.id)
    was_taken = shop.paypal.captures[payment.id] == 1
    for _ in range(FOLLOWED_WITHIN // (10 * MINUTE) + 1):
        shop.clock.advance(10 * MINUTE)
        swept(shop)

    assert shop.paypal.captures[payment.id] <= 1
    if was_taken:
        assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@pytest.mark.parametrize("is_done", [False, True])
def test_unclear_capture_is_due_soon(shop, is_done):
    payment = approved(shop)
    shop.paypal.events.clear()
    shop.paypal.fail_next("capture", is_done=is_done)

    with pytest.raises(ProviderUnavailable):
        shop.instance().settlement.settle(payment.id)
    shop.clock.advance(MINUTE)
    shop.every_minute()

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert shop.paypal.captures[payment.id] == 1


@boundaries
def test_limited_package_is_sold_once_amid_a_capture(shop, at, when):
    """The user turns back, and buys the same package again, while a worker captures the first order."""
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    first = shop.begin("paypal", package="once")
    shop.instance().cancellations.cancel(first.id)

    def again() -> None:
        with suppress(PackageLimitReached, DomainError):
            shop.begin("paypal", key="again", package="once")

    shop.paypal.approve(first.id)
    real = eventful(shop, again, at, when)
    with suppress(DomainError):
        shop.instance().settlement.settle(first.id)
    shop.providers["paypal"] = real
    for each in shop.all("payment_sagas"):
        if each.id != first.id:
            real.approve(each.id)
    for _ in range(3):
        shop.clock.advance(2 * HOUR)
        shop.every_minute()

    assert sum(real.captures.values()) == 1
    assert shop.money() == (ALL, 0, 0)


def test_given_up_order_is_not_captured_by_a_worker_that_read_it_before(shop):
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    first = shop.begin("paypal", package="once")
    shop.instance().cancellations.cancel(first.id)

    def given_up_then_approved() -> None:
        assert shop.instance().cancellations.give_up(first.id)
        shop.paypal.approve(first.id)

    eventful(shop, given_up_then_approved, 1, "before")
    shop.instance().settlement.settle(first.id)

    assert shop.paypal.captures[first.id] == 0


class Racing:
    """A shop in which another worker's capture of an approved payment is under way."""

    def __init__(self, ends: str) -> None:
        self.clock = Eventual()
        self.shop = Shop(clock=self.clock)
        self.paypal = CapturedElsewhere(self.clock, "paypal")
        self.shop.paypal = self.shop.providers["paypal"] = self.paypal
        self.payment = approved(self.shop)
        self.paypal.is_capturing = True
        self.ends = ends
        self.clock.happens = self._end

    def _end(self) -> None:
        """End the other worker: it credits, dies once the money is taken, or dies before."""
        self.paypal.is_capturing = False
        if self.ends == "credited":
            self.shop.instance().settlement.settle(self.payment.id)
        elif self.ends == "died after the capture":
            dead = self.shop.instance(FaultyDocuments(self.shop.documents, at=1))
            with suppress(Crash):
                dead.settlement.settle(self.payment.id)


@pytest.mark.parametrize("ends", ["credited", "died after the capture", "died before the capture"])
def test_second_capture_waits_for_the_end_of_the_first(ends):
    race = Racing(ends)

    settled = race.shop.instance().settlement.settle(race.payment.id)

    assert (status_of(settled), race.shop.money()) == ("settled", (ALL, 0, 0))
    assert race.paypal.captures[race.payment.id] == 1


def test_capture_that_never_ends_leaves_the_payment_to_the_sweep():
    race = Racing("")
    race.clock.happens = None
    asked = race.paypal.calls["truth"]
    before = race.shop.documents.get(f"payment_sagas/{race.payment.id}")

    with pytest.raises(CaptureInProgress):
        race.shop.instance().settlement.settle(race.payment.id)
    assert race.shop.documents.get(f"payment_sagas/{race.payment.id}") == before
    assert race.paypal.calls["truth"] - asked <= ASKED_MAX

    race.paypal.is_capturing = False
    race.clock.advance(FOLLOWED_WITHIN)
    race.shop.every_minute()
    assert (race.shop.status(race.payment), race.shop.money()) == ("settled", (ALL, 0, 0))
