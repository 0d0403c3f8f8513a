"""A checkout that nobody pays costs little, and money that comes late for such a checkout is credited all the same."""

import contextlib

import pytest

from shared.kernel.clock import DAY, HOUR, MINUTE
from shared.kernel.documents import Delete
from shared.kernel.errors import DomainError
from shared.payments.ports import UnknownAtProvider
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.payment_claims import LEASE_SECONDS
from tests.support.faults import Crash, FaultyDocuments, Interrupted
from tests.support.ledgers import UID
from tests.support.shop import BONUS, CREDITS, Shop, ShownDocuments

ALL = CREDITS + BONUS
CALLS_MAX, WRITES_MAX = 8, 12
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


class CountingStore(ShownDocuments):
    """A store that counts the documents that are written for payments."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def commit(self, writes, **options):
        versions = super().commit(writes, **options)
        kinds = ("payment", "checkout", "customers", "inbox", "effects")
        self.written += [each.path for each in writes if each.path.startswith(kinds) and not isinstance(each, Delete)]
        return versions


@pytest.fixture
def shop():
    return Shop(documents=CountingStore())


def hours(shop: Shop, count: int, step: int = 10 * MINUTE) -> None:
    for _ in range(max(1, count * HOUR // step)):
        shop.clock.advance(step)
        shop.every_minute()


def calls(shop: Shop, provider: str) -> int:
    made = shop.providers[provider].calls
    return made.total() - made["notices"]


def asked_at(shop: Shop, provider: str, count: int) -> list[int]:
    """Ages in hours at which the provider was asked."""
    found, begun = [], shop.clock.now()
    for _ in range(count):
        before = shop.providers[provider].calls["truth"]
        shop.clock.advance(HOUR)
        shop.every_minute()
        if shop.providers[provider].calls["truth"] > before:
            found.append((shop.clock.now() - begun) // HOUR)
    return found


def expire(shop: Shop, payment, provider: str, *, is_told: bool) -> None:
    hands = shop.providers[provider]
    known = len(hands.events)
    hands.expire(payment.id)
    for event in hands.events[known:]:
        if is_told:
            shop.instance().receive(event)
    if not is_told:
        del hands.events[known:]


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("ends", [30 * MINUTE, 59 * MINUTE, 61 * MINUTE, 3 * HOUR])
@BOTH
def test_abandoned_checkout_takes_few_calls_and_writes(shop, provider, ends, is_told):
    payment = shop.begin(provider)
    for part in (ends - 2 * MINUTE, MINUTE, MINUTE):
        shop.clock.advance(part)
        shop.every_minute()
    expire(shop, payment, provider, is_told=is_told)

    hours(shop, 100, 2 * HOUR)

    assert shop.status(payment) == "expired"
    assert calls(shop, provider) <= CALLS_MAX
    assert len(shop.documents.written) <= WRITES_MAX
    [stored] = shop.all("payment_sagas")
    assert stored.data["due_at"] is None


@BOTH
def test_checkout_that_stays_open_is_asked_about_at_doubling_ages(shop, provider):
    shop.begin(provider)

    ages = asked_at(shop, provider, 4 * 24)

    assert ages == [1, 2, 4, 8, 16, 32, 64]
    assert calls(shop, provider) <= CALLS_MAX
    assert len(shop.documents.written) <= WRITES_MAX + (provider == "stripe")  # a new customer is one more


def test_silent_provider_is_asked_at_doubling_ages(shop):
    shop.begin()
    shop.stripe.fail_next("truth", 1_000)

    ages = asked_at(shop, "stripe", 140)

    assert ages == [1, 2, 4, 8, 16, 32, 64, 128]


def test_money_on_its_way_is_polled_for_weeks(shop):
    payment = shop.begin()
    shop.stripe.approve(payment.id, "pending")
    shop.stripe.events.clear()
    hours(shop, 20 * 24, 12 * HOUR)
    assert shop.status(payment) == "confirming"
    shop.stripe.pay(payment.id)
    shop.stripe.events.clear()

    hours(shop, 2 * 24, 12 * HOUR)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("days", [1, 7, 20])
@BOTH
def test_expired_checkout_that_is_paid_after_all_is_credited(shop, provider, days, is_told):
    payment = shop.begin(provider)
    hours(shop, 2)
    expire(shop, payment, provider, is_told=True)
    hours(shop, days * 24, 12 * HOUR)
    assert shop.status(payment) == "expired"
    shop.providers[provider].pay(payment.id)
    if is_told:
        shop.instance().receive(shop.providers[provider].events[-1])
    else:
        hours(shop, 1)  # the listing has the event

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


class Lagging(MemoryProvider):
    """A provider whose answers are older than its events, or deny a payment that exists."""

    lag = 0

    def truth(self, refs, disputes=()):
        if self.lag:
            self.lag -= 1
            raise UnknownAtProvider(self.name)
        return super().truth(refs, disputes)


@BOTH
def test_event_that_its_provider_does_not_show_yet_is_asked_about_again(shop, provider):
    shop.providers[provider] = Lagging(shop.clock, provider)
    payment = shop.begin(provider)
    hours(shop, 2)
    expire(shop, payment, provider, is_told=True)
    hours(shop, 3)
    shop.providers[provider].pay(payment.id)
    shop.providers[provider].lag = 1
    shop.instance().receive(shop.providers[provider].events[-1])
    assert shop.status(payment) == "expired"

    hours(shop, 2)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_checkout_denied_before_its_end_is_asked_about_again(shop, provider):
    shop.providers[provider] = Lagging(shop.clock, provider)
    payment = shop.begin(provider)
    shop.providers[provider].lag = 1
    shop.instance().settlement.look(payment.id)
    assert shop.status(payment) == "expired"
    shop.providers[provider].approve(payment.id)
    shop.providers[provider].events.clear()

    hours(shop, 1)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_look_without_news_writes_nothing(shop, provider):
    payment = shop.begin(provider)
    counted = FaultyDocuments(shop.documents)

    for _ in range(5):
        shop.instance(counted).settlement.look(payment.id)

    assert (counted.commits, shop.providers[provider].calls["truth"]) == (0, 5)


@BOTH
def test_second_notice_of_a_credited_payment_writes_only_itself(shop, provider):
    payment = shop.bought(provider)
    for event in shop.providers[provider].events:
        shop.instance().inbox.store(event)
    counted = FaultyDocuments(shop.documents)

    for event in shop.providers[provider].events:
        shop.instance(counted).handler.handle(f"{provider}:{event.id}")

    assert counted.commits == len(shop.providers[provider].events)
    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
def test_poll_killed_at_any_commit_is_done_by_the_next(shop, provider, at, when):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.providers[provider].events.clear()
    shop.clock.advance(HOUR)
    dying = shop.instance(FaultyDocuments(shop.documents, at=at, when=when))
    with contextlib.suppress(Crash):
        dying.settlement.settle(payment.id, patience=0)

    for _ in range(3):
        shop.clock.advance(LEASE_SECONDS * 1_000)
        shop.every_minute()

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert shop.providers[provider].captures[payment.id] == 1


@BOTH
@pytest.mark.parametrize("at", range(1, 5))
def test_two_that_ask_at_once_credit_once(shop, provider, at):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)

    def other() -> None:
        with contextlib.suppress(DomainError):
            shop.instance().settlement.settle(payment.id, patience=0)

    first = shop.instance(Interrupted(shop.documents, at, "before", other))
    first.settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert shop.providers[provider].captures[payment.id] == 1
    assert len([each for each in shop.all("effects") if each.data["uid"] == UID]) == 1


def test_checkout_of_an_earlier_release_is_polled_to_its_end(shop):
    """Its next poll is at most an hour away, and its provider was asked already."""
    payment = shop.begin()
    shop.clock.advance(3 * DAY)
    shop.stripe.expire(payment.id)
    shop.stripe.events.clear()

    shop.every_minute()

    assert shop.status(payment) == "expired"
