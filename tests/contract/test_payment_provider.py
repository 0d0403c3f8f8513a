"""One contract for every payment provider, held by the memory twin in both manners and by the real adapters."""

from collections.abc import Iterator

import pytest

from shared.kernel.clock import HOUR
from shared.kernel.ids import Uid
from shared.payments.fiat import Fiat
from shared.payments.ports import Checkout, Notice, ProviderRefused, ProviderUnavailable, UnknownAtProvider
from tests.support import payment_benches

PRICE = Fiat(1250, "USD")


@pytest.fixture(params=payment_benches.BENCHES)
def bench(request):
    with payment_benches.bench(request.param) as made:
        yield made


@pytest.fixture
def provider(bench):
    return bench.provider


@pytest.fixture
def hands(bench):
    return bench.hands


def checkout(bench, payment="pay_1", **changes):
    asked = {
        "payment": payment,
        "uid": Uid("ann"),
        "amount": PRICE,
        "title": "1,250 credits",
        "flow": "redirect",
        "success_url": "https://app.example.com/paid",
        "cancel_url": "https://app.example.com/cancelled",
        "expires_at": bench.clock.now() + HOUR,
    }
    return Checkout(**{**asked, **changes})


def opened(bench, payment="pay_1", **changes):
    return bench.open(checkout(bench, payment, **changes))


def paid(bench, payment="pay_1"):
    """A payment that went well; its objects."""
    refs = opened(bench, payment).refs
    bench.hands.approve(payment)
    bench.provider.capture(refs, f"{payment}-capture")
    return bench.provider.truth(refs).refs


def every_notice(provider, since) -> Iterator[Notice]:
    cursor = None
    while True:
        page = provider.notices(since, cursor)
        yield from page.items
        if (cursor := page.cursor) is None:
            return


def test_a_checkout_is_open_until_its_user_pays(bench, provider):
    refs = opened(bench).refs

    truth = provider.truth(refs)

    assert (truth.stage, truth.payment, truth.money, truth.paid) == ("open", "pay_1", None, None)
    assert truth.is_live is provider.is_live is False


def test_the_same_payment_with_the_same_end_gets_the_same_checkout(bench):
    end = bench.clock.now() + HOUR

    assert opened(bench, expires_at=end) == opened(bench, expires_at=end)


def test_the_same_payment_with_the_same_end_never_gets_another_price(bench):
    end = bench.clock.now() + HOUR
    opened(bench, expires_at=end)

    with pytest.raises(ProviderRefused):
        opened(bench, expires_at=end, amount=Fiat(1, "USD"))


def test_the_user_goes_to_a_page_or_the_app_gets_a_secret(bench):
    page = opened(bench, "pay_1")
    app = opened(bench, "pay_2", flow="intent")

    assert page.checkout_url is not None
    assert page.checkout_url.startswith("http")
    assert page.client_secret is None
    assert app.checkout_url is None
    assert app.client_secret


def test_a_payment_is_paid_once_however_often_it_is_captured(bench, provider, hands):
    refs = opened(bench).refs
    hands.approve("pay_1")

    provider.capture(refs, "k1")
    provider.capture(refs, "k1")
    hands.forget_keys()
    provider.capture(refs, "k2")

    truth = provider.truth(refs)
    assert (truth.stage, truth.paid, truth.failure) == ("paid", PRICE, None)
    assert truth.money
    assert hands.captures["pay_1"] == 1


def test_what_nobody_approved_is_not_captured(bench, provider, hands):
    refs = opened(bench).refs

    with pytest.raises(ProviderRefused):
        provider.capture(refs, "k1")

    assert provider.truth(refs).stage == "open"
    assert hands.captures["pay_1"] == 0


@pytest.mark.parametrize("received", [Fiat(100, "USD"), Fiat(1250, "EUR")])
def test_what_was_received_is_told_not_what_was_asked(bench, provider, hands, received):
    refs = opened(bench).refs
    hands.approve("pay_1", received=received)
    provider.capture(refs, "k1")

    assert provider.truth(refs).paid == received


def test_a_refused_card_leaves_the_checkout_open_for_another(bench, provider, hands):
    refs = opened(bench).refs
    hands.decline("pay_1")
    assert provider.truth(refs).stage == "open"

    hands.approve("pay_1")
    provider.capture(refs, "k1")

    assert provider.truth(refs).stage == "paid"


def test_pending_money_arrives(bench, provider, hands):
    refs = opened(bench).refs
    hands.approve("pay_1", "pending")
    provider.capture(refs, "k1")
    assert (provider.truth(refs).stage, provider.truth(refs).paid) == ("pending", None)

    hands.pay("pay_1")

    assert (provider.truth(refs).stage, provider.truth(refs).paid) == ("paid", PRICE)


def test_pending_money_does_not_arrive(bench, provider, hands):
    refs = opened(bench).refs
    hands.approve("pay_1", "pending")
    provider.capture(refs, "k1")

    hands.fail("pay_1")

    assert (provider.truth(refs).stage, provider.truth(refs).paid) == ("failed", None)
    assert provider.truth(refs).failure


def test_a_refund_with_the_same_key_is_the_same_refund(bench, provider):
    refs = paid(bench)

    refund = provider.refund(refs, Fiat(250, "USD"), "r1")
    again = provider.refund(refs, Fiat(250, "USD"), "r1")

    assert refund.id == again.id
    assert (refund.amount, refund.status) == (Fiat(250, "USD"), "succeeded")
    assert provider.truth(refs).refunds == (refund,)


def test_no_more_is_refunded_than_was_paid(bench, provider):
    refs = paid(bench)
    provider.refund(refs, Fiat(1000, "USD"), "r1")

    with pytest.raises(ProviderRefused):
        provider.refund(refs, Fiat(251, "USD"), "r2")

    assert [refund.amount for refund in provider.truth(refs).refunds] == [Fiat(1000, "USD")]


def test_refunds_from_the_dashboard_are_told_all_of_them(bench, provider, hands):
    refs = paid(bench)
    made = {hands.refund_by_hand("pay_1", Fiat(10, "USD")) for _ in range(12)}

    assert {refund.id for refund in provider.truth(refs).refunds} == made
    assert len(made) == 12


def test_a_refund_may_fail_after_all(bench, provider, hands):
    refs = paid(bench)
    refund = hands.refund_by_hand("pay_1", Fiat(250, "USD"), "pending")
    assert [each.status for each in provider.truth(refs).refunds] == ["pending"]

    hands.end_refund(refund, "failed")

    assert [each.status for each in provider.truth(refs).refunds] == ["failed"]
    assert provider.truth(refs).stage == "paid"


@pytest.mark.parametrize("end", ["won", "lost", "withdrawn"])
def test_a_dispute_opens_and_ends(bench, provider, hands, end):
    refs = paid(bench)
    dispute = hands.dispute("pay_1")
    assert [(each.id, each.amount, each.status) for each in provider.truth(refs).disputes] == [(dispute, PRICE, "open")]

    hands.end_dispute(dispute, end)

    # Stripe says that a dispute was won when the payer took it back.
    ended = {"withdrawn": {"withdrawn", "won"}}.get(end, {end})
    assert {each.status for each in provider.truth(refs).disputes} <= ended
    assert len(provider.truth(refs).disputes) == 1


def test_any_object_of_a_payment_leads_to_it(bench, provider):
    refs = paid(bench)
    refund = provider.refund(refs, Fiat(250, "USD"), "r1")

    located = {kind: provider.locate({kind: ref}) for kind, ref in {**refs, "refund": refund.id}.items()}
    told = {kind: provider.truth({kind: ref}).payment for kind, ref in refs.items()}

    assert set(located.values()) == set(told.values()) == {"pay_1"}


def test_a_dispute_leads_to_its_payment(bench, provider, hands):
    paid(bench)

    assert provider.locate({"dispute": hands.dispute("pay_1")}) == "pay_1"


@pytest.mark.parametrize("kind", ["session", "intent", "charge", "order", "capture", "refund", "dispute"])
def test_what_the_provider_does_not_know_is_said_so(provider, kind):
    with pytest.raises(UnknownAtProvider):
        provider.truth({kind: "nothing_0"})
    with pytest.raises(UnknownAtProvider):
        provider.locate({kind: "nothing_0"})


def test_everything_that_happened_is_listed_also_what_was_never_delivered(bench, provider, hands):
    since = bench.clock.now() // 1_000 * 1_000  # Stripe's events tell their second
    for number in range(4):
        paid(bench, f"pay_{number}")
    dispute = hands.dispute("pay_1")

    notices = list(every_notice(provider, since))

    assert len({notice.id for notice in notices}) == len(notices) >= 5
    assert {notice.payment for notice in notices} >= {f"pay_{number}" for number in range(4)}
    assert dispute in {notice.refs.get("dispute") for notice in notices}
    assert {notice.is_live for notice in notices} == {False}
    assert all(notice.at >= since for notice in notices)


def test_nothing_is_listed_from_before(bench, provider):
    paid(bench)

    assert list(every_notice(provider, bench.clock.now() + HOUR)) == []


def test_nothing_is_listed_from_after_the_given_end(bench, provider):
    since = bench.clock.now() - 2 * HOUR
    paid(bench)

    assert provider.notices(since, None, bench.clock.now() - HOUR).items == []
    assert provider.notices(since, None, bench.clock.now() + HOUR).items != []


def test_who_is_forgotten_is_forgotten_again(bench, provider):
    customer = opened(bench).customer

    for _ in range(2):
        provider.forget_customer(customer or "nobody")

    again = opened(bench, "pay_2", customer=customer)
    assert provider.truth(again.refs).stage == "open"


@pytest.mark.parametrize("is_done", [False, True])
def test_a_provider_that_fails_is_asked_again(bench, provider, hands, is_done):
    asked = checkout(bench)  # once: asking again for another time to pay would be another request
    hands.fail_next("open", is_done=is_done)
    with pytest.raises(ProviderUnavailable):
        bench.open(asked)

    refs = bench.open(asked).refs

    assert provider.truth(refs).payment == "pay_1"
