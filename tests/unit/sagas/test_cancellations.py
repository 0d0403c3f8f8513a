"""A checkout that its user turned back from: it says so, is tried again, and money that comes all the same counts."""

import threading

import pytest

from shared.kernel.clock import DAY, HOUR
from shared.kernel.ids import Uid
from shared.payments.ports import ProviderUnavailable
from shared.sagas.engine.leases import Leases
from shared.sagas.payments.checkout import CHECKOUT_LIFETIME
from shared.sagas.payments.payment_claims import LEASE_SECONDS, PaymentBusy
from shared.sagas.payments.purchase_places import PackageLimitReached
from tests.support.shop import BONUS, CREDITS, LANDING, PACKAGE, Shop

ALL = CREDITS + BONUS
NOTHING = (0, 0, 0)
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def limited(shop):
    """A shop with a package that one user may buy once."""
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    return shop


def turned_back(shop: Shop, provider: str = "stripe", key: str = "k", **more):
    payment = shop.begin(provider, key, **more)
    shop.instance().cancellations.cancel(payment.id)
    return payment


@BOTH
def test_provider_is_told_an_address_that_says_who_turned_back(shop, provider):
    payment = shop.begin(provider)

    checkout, _ = shop.providers[provider]._opened[payment.id, payment.expires_at]  # as the provider was told

    assert checkout.cancel_url == f"{LANDING}/{payment.id}/cancelled/{payment.back_key}"
    assert checkout.success_url == payment.success_url
    assert shop.instance().cancellations.way_back(payment.id, payment.back_key) == payment.cancel_url


@BOTH
def test_cancelled_checkout_says_so_and_can_still_be_paid(shop, provider):
    payment = turned_back(shop, provider)

    shown = shop.instance().payments.view(payment.id, payment.uid)

    assert (shop.status(payment), shop.money()) == ("cancelled", NOTHING)
    assert shown["checkout_url"] == payment.checkout_url


@BOTH
def test_money_after_a_cancellation_is_credited(shop, provider):
    payment = turned_back(shop, provider)
    shop.providers[provider].approve(payment.id)

    shop.instance().receive(shop.providers[provider].events[-1])

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_cancellation_after_the_money_takes_nothing_back(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)

    shop.instance().cancellations.cancel(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_cancellation_while_money_is_on_its_way_says_confirming(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, "pending")

    shop.instance().cancellations.cancel(payment.id)
    assert (shop.status(payment), shop.money()) == ("confirming", NOTHING)
    shop.providers[provider].pay(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_payment_on_its_way_after_a_cancellation_says_confirming(shop, provider):
    payment = turned_back(shop, provider)
    shop.providers[provider].approve(payment.id, "pending")

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("confirming", NOTHING)


@BOTH
def test_cancelled_checkout_stays_cancelled_once_its_time_is_up(shop, provider):
    payment = turned_back(shop, provider)
    shop.providers[provider].expire(payment.id)
    shop.clock.advance(CHECKOUT_LIFETIME)

    shop.every_minute()
    shop.instance().settlement.settle(payment.id)

    shown = shop.instance().payments.view(payment.id, payment.uid)
    assert (shop.status(payment), shown["checkout_url"]) == ("cancelled", None)
    shop.providers[provider].pay(payment.id)
    if provider == "stripe":
        shop.instance().settlement.settle(payment.id)
        assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_cancelling_twice_or_late_is_once(shop, provider):
    payment = turned_back(shop, provider)
    shop.instance().cancellations.cancel(payment.id)
    shop.clock.advance(30 * DAY)
    shop.instance().cancellations.cancel(payment.id)

    assert (shop.status(payment), shop.money()) == ("cancelled", NOTHING)


def test_declined_attempt_after_a_cancellation_is_told(shop):
    payment = turned_back(shop, "paypal")
    shop.paypal.approve(payment.id, "declined")

    shop.instance().settlement.settle(payment.id)
    assert shop.status(payment) == "pending"
    shop.instance().cancellations.cancel(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert shop.status(payment) == "cancelled"


@BOTH
def test_cancellation_counts_while_the_provider_is_down(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].fail_next("truth")

    shop.instance().cancellations.cancel(payment.id)

    assert shop.status(payment) == "cancelled"


def test_cancellation_waits_for_the_worker_that_settles(shop):
    payment = shop.begin()
    leased = Leases(shop.documents, shop.clock).claim(f"payment_sagas/{payment.id}", LEASE_SECONDS)
    assert leased is not None

    with pytest.raises(PaymentBusy):
        shop.instance().cancellations.cancel(payment.id)
    leased.free({})
    shop.instance().cancellations.cancel(payment.id)

    assert shop.status(payment) == "cancelled"


@BOTH
def test_limited_package_is_tried_again_after_a_cancellation(limited, provider):
    first = turned_back(limited, provider, "1", package="once")

    second = limited.begin("paypal", "2", package="once")

    first_now = limited.instance().payments.view(first.id, first.uid)
    assert (limited.status(second), limited.status(first)) == ("pending", "cancelled")
    assert first_now["checkout_url"] is None
    with pytest.raises(PackageLimitReached):
        limited.begin("stripe", "3", package="once")


def test_given_up_order_is_not_taken_when_it_is_approved(limited):
    first = turned_back(limited, "paypal", "1", package="once")
    second = limited.begin("stripe", "2", package="once")
    limited.paypal.approve(first.id)
    limited.stripe.approve(second.id)

    for payment in (first, second):
        limited.instance().settlement.settle(payment.id)

    assert (limited.status(first), limited.status(second)) == ("cancelled", "settled")
    assert (limited.paypal.captures[first.id], limited.money()) == (0, (ALL, 0, 0))


@BOTH
def test_true_money_of_a_given_up_checkout_is_credited(limited, provider):
    first = turned_back(limited, provider, "1", package="once")
    limited.begin("stripe", "2", package="once")
    limited.providers[provider].pay(first.id)

    limited.instance().settlement.settle(first.id)

    assert (limited.status(first), limited.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_cancelled_checkout_that_was_paid_meanwhile_keeps_its_place(limited, provider):
    first = turned_back(limited, provider, "1", package="once")
    limited.providers[provider].approve(first.id)

    with pytest.raises(PackageLimitReached):
        limited.begin("stripe", "2", package="once")

    assert (limited.status(first), limited.money()) == ("settled", (ALL, 0, 0))


def test_checkout_that_was_not_cancelled_keeps_its_place(limited):
    limited.begin(key="1", package="once")

    with pytest.raises(PackageLimitReached):
        limited.begin(key="2", package="once")


def test_place_is_kept_while_its_checkout_cannot_be_closed(limited):
    first = turned_back(limited, "stripe", "1", package="once")
    limited.stripe.fail_next("cancel")

    with pytest.raises(ProviderUnavailable):
        limited.begin("stripe", "2", package="once")
    limited.begin("stripe", "2", package="once")

    assert limited.status(first) == "cancelled"


def test_many_that_try_again_at_once_share_one_place(limited):
    turned_back(limited, "stripe", "0", package="once")
    ended = list[str]()

    def begin(number: int) -> None:
        try:
            ended.append(limited.status(limited.begin("stripe", str(number + 1), package="once")))
        except (PackageLimitReached, PaymentBusy) as refusal:
            ended.append(refusal.code)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ended.count("pending") == 1
    assert len(ended) == len(threads)


def test_another_user_s_cancellation_frees_no_place(limited):
    turned_back(limited, "stripe", "1", package="once")
    limited.begin("stripe", "2", package="once", uid=Uid("grace"))

    with pytest.raises(PackageLimitReached):
        limited.begin("stripe", "3", package="once", uid=Uid("grace"))


def test_cancelled_checkout_is_polled_like_an_open_one(shop):
    payment = turned_back(shop)
    shop.stripe.approve(payment.id)
    shop.stripe.events.clear()

    shop.clock.advance(HOUR)
    shop.every_minute()

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
