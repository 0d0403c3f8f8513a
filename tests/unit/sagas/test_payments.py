"""A payment from its checkout to whatever becomes of it, over both providers' manners."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import DAY, HOUR, MINUTE
from shared.kernel.errors import IdempotencyMismatch, InvalidValue
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.money import Micro
from shared.ledger.account import PRIORITY_PAID
from shared.ledger.commands import Close, Grant, PlaceHold
from shared.payments.fiat import Fiat
from shared.payments.packages import PackageNotFound
from shared.payments.ports import Notice, ProviderRefused, ProviderUnavailable
from shared.payments.store import PaymentFilter, PaymentNotFound
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.checkout import CHECKOUT_LIFETIME
from shared.sagas.payments.crediting import FRESH
from shared.sagas.payments.payment_claims import PaymentBusy
from shared.sagas.payments.purchase_places import OPEN_CHECKOUTS_MAX, PackageLimitReached, TooManyCheckouts
from shared.sagas.payments.refunds import NotRefundable
from shared.sagas.payments.settlement import ProviderNotConfigured
from tests.support.faults import FaultyDocuments, Interrupted
from tests.support.ledgers import UID, charge
from tests.support.shop import BONUS, CREDITS, PACKAGE, Shop

ALL = CREDITS + BONUS
SECONDS_MAX = 30
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


class Refusing(MemoryProvider):
    """A provider that gives nothing back until it `is_willing`."""

    is_willing = False

    def refund(self, refs, amount, key):
        if not self.is_willing:
            raise ProviderRefused(self.name, "balance_insufficient")
        return super().refund(refs, amount, key)


@pytest.fixture
def shop():
    return Shop()


# Begun ---------------------------------------------------------------------------------------------------------


@BOTH
def test_a_checkout_tells_where_to_pay(shop, provider):
    payment = shop.begin(provider)

    assert payment.checkout_url is not None
    assert payment.success_url == f"https://app.example/thanks?payment_id={payment.id}"
    assert shop.status(payment) == "pending"


@BOTH
def test_the_same_key_is_the_same_payment(shop, provider):
    assert shop.begin(provider) == shop.begin(provider)
    assert shop.providers[provider].calls["open"] == 1


def test_a_checkout_that_its_provider_refused_is_refused_again_under_the_same_key(shop):
    class Strict(MemoryProvider):
        def open(self, checkout):
            raise ProviderRefused(self.name, f"amount_too_small_{self.calls.total()}")

    shop.providers["stripe"] = shop.stripe = Strict(shop.clock, "stripe")
    with pytest.raises(ProviderRefused) as first:
        shop.begin()
    shop.stripe.calls["anything"] += 1

    with pytest.raises(ProviderRefused) as again:
        shop.begin()

    assert again.value.params == first.value.params


def test_the_same_key_twice_at_once_is_the_same_checkout():
    """The second comes while the first is still at its provider, which refuses the second, and waits for it."""
    is_asking, has_come = threading.Event(), threading.Event()

    class Waiting(ManualClock):
        def wait(self, seconds):
            has_come.set()
            threading.Event().wait(seconds)

    class Slow(MemoryProvider):
        def open(self, checkout):
            if is_asking.is_set():
                raise ProviderUnavailable(self.name)  # as a key that is in use
            is_asking.set()
            assert has_come.wait(SECONDS_MAX)
            return super().open(checkout)

    shop = Shop(clock=Waiting())
    shop.providers["stripe"] = shop.stripe = Slow(shop.clock, "stripe")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shop.begin)
        assert is_asking.wait(SECONDS_MAX)
        second = pool.submit(shop.begin)
        payments = [first.result(SECONDS_MAX), second.result(SECONDS_MAX)]

    assert payments[0] == payments[1]
    assert shop.stripe.calls["open"] == 1


def test_the_same_key_with_another_wish_is_a_conflict(shop):
    shop.begin()

    with pytest.raises(IdempotencyMismatch):
        shop.instance().checkouts.begin_checkout(shop.wanted("paypal"), OperationId("op_stripe_k"), "other")


@pytest.mark.parametrize("is_done", [False, True])
@BOTH
def test_a_provider_that_was_down_opens_the_same_checkout_when_asked_again(shop, provider, is_done):
    shop.providers[provider].fail_next("open", is_done=is_done)
    with pytest.raises(ProviderUnavailable):
        shop.begin(provider)

    payment = shop.begin(provider)

    assert shop.status(payment) == "pending"
    assert len(shop.all("payment_sagas")) == 1


def test_what_is_not_sold_or_not_set_up_is_refused(shop):
    with pytest.raises(PackageNotFound):
        shop.begin(package="none")
    del shop.providers["paypal"]
    with pytest.raises(ProviderNotConfigured):
        shop.begin("paypal")


def test_terms_are_what_they_were_when_the_payment_was_begun(shop):
    payment = shop.begin()
    shop.instance().packages.put("small", {**PACKAGE, "credits": 1, "bonus": 0})
    shop.stripe.approve(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert shop.money() == (ALL, 0, 0)


def test_a_limited_package_is_sold_so_often_and_a_purchase_that_came_to_nothing_does_not_count(shop):
    shop.instance().packages.put("once", {**PACKAGE, "per_user_limit": 1})
    first = shop.begin(key="1", package="once")
    with pytest.raises(PackageLimitReached):
        shop.begin(key="2", package="once")
    shop.begin(key="3", package="once", uid=Uid("grace"))

    shop.stripe.expire(first.id)
    shop.instance().settlement.settle(first.id)

    assert shop.status(shop.begin(key="4", package="once")) == "pending"


def test_checkouts_of_one_user_are_limited_until_their_time_is_up(shop):
    for number in range(OPEN_CHECKOUTS_MAX):
        shop.begin(key=str(number))

    with pytest.raises(TooManyCheckouts) as refused:
        shop.begin(key="one more")
    shop.begin(key="of another", uid=Uid("grace"))
    again = shop.begin(key="0")
    shop.clock.advance(CHECKOUT_LIFETIME)

    assert 0 < int(refused.value.params["retry_after_ms"]) <= CHECKOUT_LIFETIME
    assert shop.status(again) == "pending"
    assert shop.status(shop.begin(key="later")) == "pending"


# Paid ---------------------------------------------------------------------------------------------------------


@BOTH
def test_what_was_paid_becomes_credits_and_a_gift_with_an_end(shop, provider):
    payment = shop.bought(provider)

    assert shop.status(payment) == "settled"
    assert shop.money() == (ALL, 0, 0)
    lots = {lot.source: (lot.available, lot.is_paid, lot.expires_at) for lot in shop.balance().lots}
    assert lots == {
        f"world:{provider}": (CREDITS, True, None),
        "promo:package": (BONUS, False, shop.clock.now() + 30 * DAY),
    }


@BOTH
def test_a_provider_is_asked_once_before_it_is_credited_and_once_more_after_a_capture(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    counted = FaultyDocuments(shop.documents)

    shop.instance(counted).settlement.settle(payment.id)

    made = shop.providers[provider].calls
    assert (made["truth"], made["capture"]) == ((1, 0) if provider == "stripe" else (2, 1))
    assert counted.commits == 1


def test_an_answer_that_took_too_long_is_confirmed_before_anything_is_credited(shop):
    """Meanwhile the payer has complained: what is bought is credited out of reach, not spent and owed."""

    class Slow(MemoryProvider):
        def truth(self, refs, disputes=()):
            truth = super().truth(refs, disputes)
            if truth.stage == "paid" and not truth.disputes:
                self.dispute(str(truth.payment))
                shop.clock.advance(FRESH)
            return truth

    shop.providers["stripe"] = shop.stripe = Slow(shop.clock, "stripe")
    payment = shop.begin()
    shop.stripe.approve(payment.id)

    shop.instance().settlement.settle(payment.id)

    history = shop.instance().ledger.history(UID, before=None, limit=10)
    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))
    assert [entry.kind for entry in history.items] == ["grant", "grant"]


@BOTH
def test_settled_again_and_again_it_is_credited_once(shop, provider):
    payment = shop.bought(provider)
    for _ in range(5):
        shop.instance().settlement.settle(payment.id)

    assert shop.money() == (ALL, 0, 0)
    assert shop.providers[provider].captures[payment.id] == 1


@BOTH
def test_money_that_takes_its_time_is_confirmed_first(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, "pending")
    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), shop.money()) == ("confirming", (0, 0, 0))

    shop.providers[provider].pay(payment.id)
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_a_payment_that_fails_costs_and_brings_nothing(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, "failed")

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("failed", (0, 0, 0))


def test_what_was_approved_and_declined_waits_for_its_user_again(shop):
    payment = shop.begin("paypal")
    shop.paypal.approve(payment.id, "declined")
    for _ in range(2):
        shop.instance().settlement.settle(payment.id)
        declined = shop.instance().payments.view(payment.id, payment.uid)
        assert (shop.status(payment), shop.money()) == ("pending", (0, 0, 0))
        assert (declined["failure"], declined["checkout_url"]) == ("instrument_declined", payment.checkout_url)

    shop.paypal.approve(payment.id)
    shop.instance().settlement.settle(payment.id)

    settled = shop.instance().payments.view(payment.id, payment.uid)
    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert (settled["failure"], settled["checkout_url"]) == (None, None)


@BOTH
def test_money_that_comes_after_the_end_is_credited_all_the_same(shop, provider):
    payment = shop.begin(provider)
    if provider == "stripe":
        shop.stripe.expire(payment.id)
        shop.instance().settlement.settle(payment.id)
        assert shop.status(payment) == "expired"
    shop.providers[provider].pay(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (Fiat(999, "USD"), "wrong_amount"),
        (Fiat(1_001, "USD"), "wrong_amount"),
        (Fiat(1_000, "EUR"), "wrong_currency"),
    ],
)
@BOTH
def test_money_that_is_not_what_was_asked_for_waits_for_an_operator(shop, provider, received, problem):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, received=received)

    for _ in range(3):
        shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("confirming", (0, 0, 0))
    assert [(a.event, a.fields["problem"]) for a in shop.alerts.raised] == [("payment_parked", problem)]
    assert [
        d.id for d in shop.instance().payments.listed(PaymentFilter(is_under_review=True), limit=5, after=None).items
    ] == [payment.id]


@BOTH
def test_odd_money_that_has_gone_back_is_nobody_s_problem_any_more(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, received=Fiat(999, "USD"))
    shop.instance().settlement.settle(payment.id)
    shop.providers[provider].refund_by_hand(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, 0))
    assert shop.instance().payments.listed(PaymentFilter(is_under_review=True), limit=5, after=None).items == ()


def test_a_refund_that_still_runs_is_not_joined_by_another(shop):
    payment = shop.bought()
    shop.stripe.fail_next("refund", 2)
    shop.refund(payment, 100, key="1")

    with pytest.raises(PaymentBusy):
        shop.refund(payment, 100, key="2")


def test_who_looks_while_the_provider_is_down_sees_what_was_known(shop):
    payment = shop.begin()
    shop.stripe.fail_next("truth")

    shop.instance().settlement.look(payment.id)

    assert shop.status(payment) == "pending"


def test_money_of_another_mode_is_never_credited(shop):
    payment = shop.begin()
    shop.stripe.approve(payment.id)
    shop.stripe.switch_mode(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert shop.money() == (0, 0, 0)
    assert [a.fields["problem"] for a in shop.alerts.raised] == ["wrong_mode"]


def test_money_that_became_somebody_s_credits_never_becomes_another_s(shop):
    first = shop.bought(key="1")
    second = shop.begin(key="2", uid=Uid("grace"))
    shop.stripe.approve(second.id)
    held = shop.stripe._held[second.id]
    held.refs["intent"] = shop.stripe._held[first.id].refs["intent"]

    shop.instance().settlement.settle(second.id)

    assert shop.money(Uid("grace")) == (0, 0, 0)
    assert [a.fields["problem"] for a in shop.alerts.raised] == ["money_of_another"]


# Whose user left ----------------------------------------------------------------------------------------------------


def leave(shop):
    shop.instance().ledger.open(UID)
    shop.instance().ledger.execute(UID, Close(operation=OperationId("bye")))


def left(shop, provider="stripe"):
    """A payment that was paid, and whose user left before it was credited."""
    payment = shop.begin(provider)
    leave(shop)
    shop.providers[provider].approve(payment.id)
    return payment


def given_back(shop, payment):
    return sum(one.amount.minor for one in shop.providers[payment.provider].truth(payment.refs).refunds)


@BOTH
def test_who_left_before_it_was_credited_has_the_money_back(shop, provider):
    payment = left(shop, provider)

    for _ in range(3):
        shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money(), given_back(shop, payment)) == ("refunded", (0, 0, 0), 1_000)
    assert shop.instance().payments.view(payment.id, UID)["under_review"] is False
    assert shop.alerts.raised == []


def test_of_what_had_gone_back_already_only_the_rest_is_given_back(shop):
    payment = left(shop)
    shop.stripe.refund_by_hand(payment.id, Fiat(300, "USD"))

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), given_back(shop, payment)) == ("refunded", 1_000)


def test_money_that_its_provider_will_not_give_back_waits_for_an_operator_who_can(shop):
    shop.providers["stripe"] = shop.stripe = Refusing(shop.clock, "stripe")
    payment = left(shop)
    for _ in range(3):
        shop.instance().settlement.settle(payment.id)
        shop.clock.advance(HOUR)
        shop.every_minute()
    view = shop.instance().payments.view(payment.id, UID)
    assert (view["status"], view["under_review"]) == ("confirming", True)
    assert [(a.event, a.fields["problem"]) for a in shop.alerts.raised] == [("payment_parked", "not_returned")]
    with pytest.raises(ProviderRefused):
        shop.refund(payment, None, key="too early")
    shop.stripe.is_willing = True

    shop.refund(payment, None)

    assert (shop.status(payment), given_back(shop, payment)) == ("refunded", 1_000)
    assert shop.instance().payments.view(payment.id, UID)["under_review"] is False


def test_money_that_its_provider_would_not_give_back_is_tried_again_when_an_operator_replays_it(shop):
    shop.providers["stripe"] = shop.stripe = Refusing(shop.clock, "stripe")
    payment = left(shop)
    shop.instance().settlement.settle(payment.id)
    shop.stripe.is_willing = True

    shop.instance().settlement.revive(payment.id)

    assert (shop.status(payment), given_back(shop, payment)) == ("refunded", 1_000)


def test_money_that_came_back_from_whoever_left_is_not_sent_again_without_an_operator(shop):
    payment = left(shop)
    shop.instance().settlement.settle(payment.id)
    [refund] = shop.stripe.truth(payment.refs).refunds
    shop.stripe.end_refund(refund.id, "failed")
    for _ in range(3):
        shop.instance().settlement.settle(payment.id)
    assert shop.instance().payments.view(payment.id, UID)["under_review"] is True
    assert [a.fields["problem"] for a in shop.alerts.raised] == ["not_returned"]

    shop.refund(payment, None)

    refunds = shop.stripe.truth(payment.refs).refunds
    assert (shop.status(payment), [one.status for one in refunds]) == ("refunded", ["failed", "succeeded"])


@pytest.mark.parametrize(("ending", "status", "back"), [("won", "refunded", 1_000), ("lost", "lost", 0)])
def test_what_somebody_who_left_disputes_is_given_back_once_by_whoever_decides_it(shop, ending, status, back):
    payment = left(shop)
    dispute = shop.stripe.dispute(payment.id)
    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), given_back(shop, payment)) == ("disputed", 0)

    shop.stripe.end_dispute(dispute, ending)
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), given_back(shop, payment), shop.money()) == (status, back, (0, 0, 0))


def test_who_left_after_it_was_credited_has_had_it(shop):
    payment = shop.bought()
    leave(shop)

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), given_back(shop, payment)) == ("settled", 0)


def test_a_checkout_that_never_reached_its_user_ends(shop):
    unopened = shop.unopened()
    shop.clock.advance(HOUR)

    payment = shop.instance().settlement.settle(unopened.id)

    assert shop.status(payment) == "expired"


def test_nothing_is_settled_that_was_never_begun(shop):
    with pytest.raises(PaymentNotFound):
        shop.instance().settlement.settle("pay_none")


# Given back ---------------------------------------------------------------------------------------------------------


@BOTH
def test_refunds_in_parts_take_back_their_share_and_no_more(shop, provider):
    payment = shop.bought(provider)
    seen = []

    for part in (300, 300, 400):
        shop.providers[provider].refund_by_hand(payment.id, Fiat(part, "USD"))
        shop.instance().settlement.settle(payment.id)
        seen.append((shop.status(payment), shop.money()[0]))

    assert seen == [
        ("partially_refunded", ALL * 7 // 10),
        ("partially_refunded", ALL * 4 // 10),
        ("refunded", 0),
    ]


@BOTH
def test_a_refund_after_spending_leaves_a_debt_that_the_next_purchase_pays_first(shop, provider):
    payment = shop.bought(provider)
    shop.instance().ledger.execute(UID, charge("all", ALL))
    shop.providers[provider].refund_by_hand(payment.id)
    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, ALL))

    shop.bought(provider, "next")

    assert shop.money() == (0, 0, 0)


@BOTH
def test_a_refund_after_the_gift_expired_takes_what_is_left_and_the_rest_is_owed(shop, provider):
    payment = shop.bought(provider)
    shop.clock.advance(31 * DAY)
    shop.providers[provider].refund_by_hand(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert shop.money() == (0, 0, BONUS)


@BOTH
def test_a_refund_that_failed_after_all_gives_the_credits_back(shop, provider):
    payment = shop.bought(provider)
    refund = shop.providers[provider].refund_by_hand(payment.id)
    shop.instance().settlement.settle(payment.id)
    assert shop.money() == (0, 0, 0)

    shop.providers[provider].end_refund(refund, "failed")
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
@pytest.mark.parametrize(("end", "left"), [("failed", (ALL, 0, 0)), ("succeeded", (0, 0, 0))])
def test_a_pending_refund_sets_credits_aside_until_it_ends(shop, provider, end, left):
    payment = shop.bought(provider)
    refund = shop.providers[provider].refund_by_hand(payment.id, status="pending")
    shop.instance().settlement.settle(payment.id)
    assert shop.money() == (0, ALL, 0)

    shop.providers[provider].end_refund(refund, end)
    shop.instance().settlement.settle(payment.id)

    assert shop.money() == left


@BOTH
def test_what_was_refunded_before_it_was_credited_never_is(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    if provider == "paypal":
        shop.paypal.pay(payment.id)
    shop.providers[provider].refund_by_hand(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, 0))


@BOTH
def test_a_refund_of_ours_withdraws_the_credits_and_pays_once(shop, provider):
    payment = shop.bought(provider)

    for _ in range(3):
        shop.refund(payment, 250)

    assert (shop.status(payment), shop.money()[0]) == ("partially_refunded", ALL * 3 // 4)
    truth = shop.providers[provider].truth(payment.refs)
    assert [refund.amount.minor for refund in truth.refunds] == [250]


@BOTH
def test_a_refund_of_all_that_is_left(shop, provider):
    payment = shop.bought(provider)
    shop.refund(payment, 250, key="1")

    shop.refund(payment, key="2")

    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, 0))


def test_a_refund_that_the_provider_refuses_leaves_everything_as_it_was(shop):
    shop.providers["stripe"] = Refusing(shop.clock, "stripe")
    payment = shop.bought()

    with pytest.raises(ProviderRefused):
        shop.refund(payment)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    with pytest.raises(ProviderRefused):
        shop.refund(payment)


@pytest.mark.parametrize("is_done", [False, True])
@BOTH
def test_a_refund_whose_answer_was_lost_is_made_once(shop, provider, is_done):
    payment = shop.bought(provider)
    shop.providers[provider].fail_next("refund", is_done=is_done)
    shop.refund(payment)
    shop.clock.advance(MINUTE)

    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, 0))
    assert len(shop.providers[provider].truth(payment.refs).refunds) == 1


def test_what_is_not_there_cannot_be_refunded(shop):
    payment = shop.begin()
    with pytest.raises(NotRefundable):
        shop.refund(payment)
    shop.stripe.approve(payment.id)
    shop.instance().settlement.settle(payment.id)

    for minor in (0, -1, 1_001):
        with pytest.raises(InvalidValue):
            shop.refund(payment, minor, key=str(minor))

    assert shop.money() == (ALL, 0, 0)


# Disputed ---------------------------------------------------------------------------------------------------------


@BOTH
def test_disputed_credits_are_out_of_reach_and_come_back_when_it_is_won(shop, provider):
    payment = shop.bought(provider)
    dispute = shop.providers[provider].dispute(payment.id)
    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))

    shop.providers[provider].end_dispute(dispute, "won")
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("won", (ALL, 0, 0))


@BOTH
def test_a_dispute_that_is_withdrawn_ends_like_one_that_is_won(shop, provider):
    payment = shop.bought(provider)
    dispute = shop.providers[provider].dispute(payment.id)
    shop.instance().settlement.settle(payment.id)

    shop.providers[provider].end_dispute(dispute, "withdrawn")
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("won", (ALL, 0, 0))


@BOTH
def test_a_dispute_that_is_lost_takes_what_is_left_and_the_rest_is_owed(shop, provider):
    payment = shop.bought(provider)
    shop.instance().ledger.execute(UID, charge("some", 400_000_000))
    dispute = shop.providers[provider].dispute(payment.id)
    shop.instance().settlement.settle(payment.id)

    shop.providers[provider].end_dispute(dispute, "lost")
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("lost", (0, 0, 400_000_000))


def test_not_even_a_reservation_keeps_disputed_credits(shop):
    payment = shop.bought()
    place = PlaceHold(
        operation=OperationId("hold"),
        amount=Micro(ALL),
        hold=HoldId("mine"),
        purpose="reservation",
        lifetime=DAY,
        principal="user:ada",
        is_reservation=True,
    )
    shop.instance().ledger.execute(UID, place)
    shop.stripe.dispute(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert shop.instance().ledger.hold(UID, HoldId("mine")).status == "released"
    assert shop.money() == (0, ALL, 0)


def test_a_dispute_touches_only_what_its_payment_bought(shop):
    grant = Grant(
        operation=OperationId("other"),
        amount=Micro(5),
        lot=LotId("other"),
        source="world:stripe",
        priority=PRIORITY_PAID,
        is_paid=True,
    )
    shop.instance().ledger.execute(UID, grant)
    payment = shop.bought()
    shop.stripe.dispute(payment.id)

    shop.instance().settlement.settle(payment.id)

    assert shop.money() == (5, ALL, 0)


def test_what_was_disputed_before_it_was_credited_is_credited_out_of_reach(shop):
    payment = shop.begin()
    shop.stripe.approve(payment.id)
    dispute = shop.stripe.dispute(payment.id)
    shop.instance().settlement.settle(payment.id)
    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))

    shop.stripe.end_dispute(dispute, "won")
    shop.instance().settlement.settle(payment.id)

    assert (shop.status(payment), shop.money()) == ("won", (ALL, 0, 0))


def test_a_disputed_payment_cannot_be_refunded_as_well(shop):
    payment = shop.bought()
    shop.stripe.dispute(payment.id)

    with pytest.raises(NotRefundable):
        shop.refund(payment)


def test_a_refund_and_a_loss_together_never_take_more_than_was_paid(shop):
    payment = shop.bought()
    shop.stripe.refund_by_hand(payment.id, Fiat(600, "USD"))
    dispute = shop.stripe.dispute(payment.id)
    shop.instance().settlement.settle(payment.id)
    shop.stripe.end_dispute(dispute, "lost")

    shop.instance().settlement.settle(payment.id)

    assert shop.money() == (0, 0, 0)


def test_a_warning_of_fraud_is_an_alert_once(shop):
    payment = shop.bought()
    shop.stripe.warn(payment.id)

    for _ in range(3):
        shop.instance().settlement.settle(payment.id)

    assert [a.event for a in shop.alerts.raised] == ["early_fraud_warning"]


# Noticed ---------------------------------------------------------------------------------------------------------


@BOTH
def test_each_event_is_an_occasion_to_ask_and_no_more(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)

    for notice in [*shop.providers[provider].events, *shop.providers[provider].events]:
        shop.instance().receive(notice)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert {d.data["status"] for d in shop.all("inbox")} == {"done"}


def test_a_notice_that_was_handled_since_its_event_stays_done(shop):
    payment = shop.begin()
    shop.stripe.approve(payment.id)
    notice = shop.stripe.events[-1]
    shop.instance().inbox.store(notice)
    name = f"stripe:{notice.id}"
    told = shop.instance().inbox.get(name)
    shop.instance().handler.handle(name)
    done = shop.instance().inbox.get(name)

    shop.instance().handler.handle(name, told)

    assert done is not None
    assert (done.data["status"], shop.instance().inbox.get(name)) == ("done", done)
    assert shop.money() == (ALL, 0, 0)


def test_a_checkout_without_a_key_meets_an_earlier_one_all_the_same(shop):
    first = shop.begin()

    again = shop.instance().checkouts.begin_checkout(shop.wanted(), OperationId("op_stripe_k"), "f", has_key=False)

    assert again == first


@BOTH
@pytest.mark.parametrize("at", range(1, 6))
def test_a_notice_that_two_deal_with_at_once_is_done(shop, provider, at):
    shop.begin(provider, key="other")
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    notice = shop.providers[provider].events[-1]
    shop.instance().inbox.store(notice)
    name = f"{provider}:{notice.id}"

    first = shop.instance(Interrupted(shop.documents, at, "before", lambda: shop.instance().handler.handle(name)))
    first.handler.handle(name)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert [(one.data["status"], one.data["due_at"]) for one in shop.all("inbox")] == [("done", None)]


@BOTH
def test_events_that_never_came_are_listed_and_dealt_with(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.clock.advance(10 * MINUTE)

    shop.every_minute()

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


@BOTH
def test_a_payment_that_nobody_speaks_of_is_asked_about(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    shop.providers[provider].events.clear()
    shop.clock.advance(HOUR)

    shop.every_minute()

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


def test_a_notice_about_nothing_of_ours_is_ignored(shop):
    unknown = Notice(
        provider="stripe", id="evt_1", type="charge.succeeded", at=shop.clock.now(), is_live=False, refs={"intent": "x"}
    )

    shop.instance().receive(unknown)

    [document] = shop.all("inbox")
    assert (document.data["status"], document.data["reason"]) == ("ignored", "unknown_at_provider")


def test_while_the_provider_is_down_notices_wait_and_are_dealt_with_later(shop):
    payment = shop.begin()
    shop.stripe.approve(payment.id)
    shop.stripe.fail_next("truth", 2)
    shop.instance().receive(shop.stripe.events[-1])
    assert shop.money() == (0, 0, 0)

    for _ in range(3):
        shop.clock.advance(2 * MINUTE)
        shop.every_minute()

    assert shop.money() == (ALL, 0, 0)
    assert {d.data["status"] for d in shop.all("inbox")} == {"done"}
