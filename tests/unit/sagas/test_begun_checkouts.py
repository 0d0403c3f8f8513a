"""A payment is stored once its checkout is open: whatever dies before, nobody has its address, and a key names one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.kernel.documents import OutcomeUnknown, Put
from shared.kernel.errors import DomainError, IdempotencyMismatch
from shared.kernel.ids import OperationId
from shared.payments.ports import ProviderRefused, ProviderUnavailable
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.checkout import CHECKOUT_LIFETIME
from shared.sagas.payments.purchase_places import OPEN_CHECKOUTS_MAX, PackageLimitReached
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import UID
from tests.support.shop import BONUS, CREDITS, PACKAGE, Shop

ALL = CREDITS + BONUS
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])
COMMITS = 2
"""Commits of a checkout: the place, then the payment."""


@pytest.fixture
def shop():
    return Shop()


def begin_on(shop: Shop, documents, provider="stripe", key="k"):
    return shop.instance(documents).checkouts.begin_checkout(
        shop.wanted(provider), OperationId(f"op_{provider}_{key}"), "f"
    )


def disturbed(shop: Shop, provider, at: int, when, error) -> None:
    """Begin a checkout whose commit `at` goes wrong."""
    try:
        begin_on(shop, FaultyDocuments(shop.documents, at=at, when=when, error=error), provider)
    except (Crash, DomainError):
        return


@BOTH
@pytest.mark.parametrize("at", range(1, COMMITS + 1))
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [None, OutcomeUnknown()])
def test_disturbed_checkout_is_one_payment_when_repeated(shop, provider, at, when, error):
    disturbed(shop, provider, at, when, error)

    payment = shop.begin(provider)
    again = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert payment.checkout_url == again.checkout_url
    assert [each.id for each in shop.all("payment_sagas")] == [payment.id]
    assert len(shop.providers[provider]._opened) == 1
    assert shop.money() == (ALL, 0, 0)
    [places] = shop.all("checkout_places")
    assert list(places.data["places"]) == [payment.id]


@BOTH
def test_dead_checkout_is_shown_to_nobody(shop, provider):
    disturbed(shop, provider, 2, "before", None)
    for _ in range(3):
        shop.clock.advance(CHECKOUT_LIFETIME)
        shop.every_minute()

    assert (shop.all("payment_sagas"), shop.all("payments")) == ([], [])


def test_end_of_a_dead_checkout_alerts_nobody(shop):
    disturbed(shop, "stripe", 2, "before", None)
    [payment] = shop.stripe._held

    shop.stripe.expire(payment)
    for notice in shop.stripe.events:
        shop.instance().receive(notice)

    assert {each.data["reason"] for each in shop.all("inbox")} == {"never_begun"}
    assert shop.alerts.raised == []


def test_money_of_an_unknown_payment_waits_for_an_operator(shop):
    disturbed(shop, "stripe", 2, "before", None)
    [payment] = shop.stripe._held

    shop.stripe.approve(payment)
    for notice in shop.stripe.events:
        shop.instance().receive(notice)

    assert {each.data["reason"] for each in shop.all("inbox")} == {"payment_unknown"}
    assert {alert.event for alert in shop.alerts.raised} == {"notice_parked"}


def test_notice_of_an_unknown_payment_waits_while_its_provider_is_down(shop):
    disturbed(shop, "stripe", 2, "before", None)
    [payment] = shop.stripe._held
    shop.stripe.expire(payment)
    shop.stripe.fail_next("truth")
    [notice] = shop.stripe.events

    shop.instance().receive(notice)

    [stored] = shop.all("inbox")
    assert (stored.data["status"], stored.data["attempts"]) == ("new", 1)


def test_terms_of_the_first_request_count_when_the_price_has_changed(shop):
    disturbed(shop, "stripe", 2, "before", None)
    shop.instance().packages.put("small", {**PACKAGE, "price_minor": 100, "credits": 1, "bonus": 0})

    payment = shop.begin("stripe")

    assert (payment.terms.price.minor, payment.terms.credits) == (PACKAGE["price_minor"], CREDITS)


def test_another_wish_under_a_begun_key_is_a_conflict(shop):
    disturbed(shop, "stripe", 2, "before", None)
    asked = shop.stripe.calls["open"]

    with pytest.raises(IdempotencyMismatch):
        shop.instance().checkouts.begin_checkout(shop.wanted(), OperationId("op_stripe_k"), "other")

    assert shop.stripe.calls["open"] == asked


@BOTH
def test_key_opens_another_checkout_when_the_first_time_is_over(shop, provider):
    shop.providers[provider].fail_next("open", is_done=True)
    with pytest.raises(ProviderUnavailable):
        shop.begin(provider)
    shop.clock.advance(CHECKOUT_LIFETIME)

    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert payment.expires_at == shop.clock.now() + CHECKOUT_LIFETIME
    assert shop.money() == (ALL, 0, 0)


def test_provider_is_asked_for_no_more_checkouts_than_places_at_once(shop):
    with ThreadPoolExecutor(8) as pool:
        begun = [pool.submit(shop.begin, "stripe", str(number)) for number in range(2 * OPEN_CHECKOUTS_MAX)]
        refused = [each.exception() for each in begun if each.exception() is not None]

    assert shop.stripe.calls["open"] == OPEN_CHECKOUTS_MAX
    assert {type(each).__name__ for each in refused} <= {"TooManyCheckouts", "PaymentBusy"}


def test_limited_package_is_sold_once_when_two_begin_at_once(shop):
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})

    class Racing(FaultyDocuments):
        """A store in which another checkout is stored just before this one's payment."""

        def commit(self, writes, **options):
            if any(write.path.startswith("payment_sagas/") for write in writes):
                shop.begin(key="other", package="once")
            return super().commit(writes, **options)

    wanted = replace(shop.wanted(), package="once")
    with pytest.raises(PackageLimitReached):
        shop.instance(Racing(shop.documents)).checkouts.begin_checkout(wanted, OperationId("op_a"), "f")

    [payment] = shop.all("payment_sagas")
    assert payment.data["slot"] == shop.all("package_slots")[0].path


@BOTH
def test_unopened_payment_of_an_earlier_release_is_opened_by_a_repetition(shop, provider):
    unopened = shop.unopened(provider)

    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert (payment.id, payment.expires_at) == (unopened.id, unopened.expires_at)
    assert shop.money() == (ALL, 0, 0)


def test_places_of_an_earlier_release_count(shop):
    for number in range(OPEN_CHECKOUTS_MAX):
        shop.begin(key=str(number))
    [places] = shop.all("checkout_places")
    shop.documents.commit([Put(places.path, {"places": places.data["places"]})])

    with pytest.raises(DomainError):
        shop.begin(key="one more")
    shop.clock.advance(CHECKOUT_LIFETIME)
    assert shop.begin(key="later").uid == UID


def test_refused_checkout_is_stored_and_takes_no_slot(shop):
    class Strict(MemoryProvider):
        def open(self, checkout):
            raise ProviderRefused(self.name, "amount_too_small")

    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    shop.providers["stripe"] = Strict(shop.clock, "stripe")
    for _ in range(2):
        with pytest.raises(ProviderRefused):
            shop.begin(package="once")

    [payment] = shop.all("payment_sagas")
    assert (payment.data["status"], payment.data["slot"], payment.data["due_at"]) == ("failed", "", None)
    assert (shop.all("package_slots"), len(shop.all("payments"))) == ([], 1)
