"""Try to lose money, or a user's notice of money, between the backend and a payment provider.

Method: each test plays one sequence that was once wrong or is easily broken.
"""

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.documents import Put, StoreUnavailable
from shared.kernel.errors import Conflict, DomainError, IdempotencyMismatch
from shared.kernel.ids import Uid
from shared.ledger.commands import Reverse
from shared.payments.fiat import Fiat
from shared.payments.payment import status_of
from shared.payments.ports import Notice, ProviderRefused, UnknownAtProvider
from shared.payments.store import PaymentFilter, saga_path
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.payment_claims import LEASE_SECONDS, PaymentBusy
from shared.sagas.payments.settlement import ProviderNotConfigured
from tests.support.faults import Crash, FaultyDocuments
from tests.support.shop import BONUS, CREDITS, Shop

ALL = CREDITS + BONUS
HALF = Fiat(500, "USD")
BOTH = pytest.mark.parametrize("provider", ["stripe", "paypal"])


class Manner(MemoryProvider):
    """A provider with something wrong about one of its calls, for as long as `trouble` says."""

    trouble: BaseException | None = None
    where = "refund"

    def refund(self, refs, amount, key):
        if self.trouble is not None and self.where == "refund":
            raise self.trouble
        made = super().refund(refs, amount, key)
        if self.trouble is not None and self.where == "after refund":
            self.where = "truth"
        return made

    def truth(self, refs, disputes=()):
        if self.trouble is not None and self.where == "truth":
            self.where = ""
            raise self.trouble
        return super().truth(refs, disputes)


@pytest.fixture
def shop():
    return Shop()


def minutes(shop: Shop, count: int = 5) -> None:
    """Nobody but the schedule comes by."""
    for _ in range(count):
        shop.clock.advance(max(MINUTE, LEASE_SECONDS * SECOND))
        shop.every_minute()


def with_manner(shop: Shop, name: str = "stripe") -> Manner:
    manner = Manner(shop.clock, name)
    shop.providers[name] = manner
    return manner


# Refunds of ours -------------------------------------------------------------------------------------------------


@BOTH
def test_a_refund_whose_worker_died_anywhere_is_ended_by_the_schedule_alone(provider):
    """Whoever asked never asks again: what was withdrawn was paid back, or is there again."""
    at, is_over = 0, False
    while not is_over:
        at += 1
        shop = Shop()
        payment = shop.bought(provider)
        minutes(shop)
        dying = FaultyDocuments(shop.documents, at=at, when="after")
        try:
            shop.instance(dying).refund(payment.id, 250)
            is_over = True
        except Crash:
            pass

        minutes(shop)

        given_back = len(shop.providers[provider].truth(payment.refs).refunds)
        assert given_back in {0, 1}
        assert shop.money() == (ALL * 3 // 4 if given_back else ALL, 0, 0), f"died after commit {at}"
    assert at > 5


@BOTH
def test_a_second_refund_while_the_first_waits_for_its_provider_is_told_to_come_again(shop, provider):
    payment = shop.bought(provider)
    shop.providers[provider].fail_next("refund", 2)
    shop.refund(payment, 250, key="first")

    with pytest.raises(PaymentBusy):
        shop.refund(payment, 250, key="second")

    minutes(shop)
    shop.refund(payment, 250, key="second")
    assert shop.money() == (ALL // 2, 0, 0)


def test_the_same_refund_asked_for_twice_at_once_is_one_refund_and_both_are_told(shop):
    """The second had looked before the first had begun."""
    payment = shop.bought()
    second = shop.instance()
    look = second.refunds._documents.get

    class Late:
        def __init__(self, inner):
            self.inner, self.is_first = inner, True

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def get(self, path):
            found = look(path)
            if path.startswith("payment_refunds/") and self.is_first:
                self.is_first = False
                shop.refund(payment)
            return found

    second.refunds._documents = Late(shop.documents)

    assert status_of(second.refund(payment.id, None)) == "refunded"
    assert len(shop.stripe.truth(payment.refs).refunds) == 1


def test_a_refund_that_was_refused_stays_refused_whatever_happens_to_the_payment_afterwards(shop):
    manner = with_manner(shop)
    payment = shop.bought()
    manner.trouble = ProviderRefused("stripe", "balance_insufficient")
    with pytest.raises(ProviderRefused):
        shop.refund(payment, 250)
    manner.trouble = None
    manner.refund_by_hand(payment.id, HALF)
    shop.instance().settlement.settle(payment.id)

    with pytest.raises(ProviderRefused):
        shop.refund(payment, 250)

    assert shop.money() == (ALL // 2, 0, 0)


def test_money_that_went_back_is_not_undone_because_the_provider_was_asked_about_it_in_vain(shop):
    manner = with_manner(shop)
    payment = shop.bought()
    manner.trouble, manner.where = UnknownAtProvider("stripe"), "after refund"

    shop.refund(payment, 250)

    assert shop.money() == (ALL * 3 // 4, 0, 0)
    assert len(manner.truth(payment.refs).refunds) == 1


def test_a_withdrawal_that_was_half_done_is_undone_by_whoever_revives_it(shop, monkeypatch):
    """The second lot could not be withdrawn for an hour, the first not be given back for another."""
    payment = shop.bought()
    instance = shop.instance()
    real, is_down = type(instance.ledger).execute_all, [True]

    def execute(self, uid, commands):
        is_first = [isinstance(command, Reverse) and command.lot == payment.paid_lot for command in commands]
        if not is_down[0]:
            return real(self, uid, commands)
        real(self, uid, [command for command, is_ in zip(commands, is_first, strict=True) if is_])
        raise StoreUnavailable

    monkeypatch.setattr(type(instance.ledger), "execute_all", execute)
    shop.refund(payment, 500)
    for _ in range(4):
        shop.clock.advance(2 * HOUR)
        shop.every_minute()
    assert [alert.event for alert in shop.alerts.raised] == ["saga_dead"]
    is_down[0] = False

    shop.instance().settlement.revive(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))


def test_a_refund_of_another_payment_under_the_same_key_is_a_conflict(shop):
    first, second = shop.bought(key="1"), shop.bought(key="2")
    shop.refund(first, 250)

    with pytest.raises((IdempotencyMismatch, Conflict)):
        shop.refund(second, 300)

    assert shop.money() == (2 * ALL - ALL // 4, 0, 0)


# A saga whose definition is gone -----------------------------------------------------------------------------------


def test_a_definition_that_comes_back_goes_on_undoing_what_was_being_undone(shop, monkeypatch):
    manner = with_manner(shop)
    payment = shop.bought()
    instance = shop.instance()
    real, is_down = type(instance.ledger).execute_all, [False]

    def execute(self, uid, commands):
        if is_down[0] and not all(isinstance(command, Reverse) for command in commands):
            raise StoreUnavailable
        return real(self, uid, commands)

    monkeypatch.setattr(type(instance.ledger), "execute_all", execute)
    manner.trouble, is_down[0] = ProviderRefused("stripe", "no"), True
    with_no_answer = shop.instance().refund(payment.id, 500)
    assert status_of(with_no_answer) == "partially_refunded"
    is_down[0], manner.trouble = False, None
    older = shop.instance()
    older.settlement._runner._sagas = {}
    shop.clock.advance(2 * MINUTE)
    older.settlement.settle(payment.id)
    assert [alert.fields["code"] for alert in shop.alerts.raised] == ["definition_unknown"]

    shop.instance().settlement.revive(payment.id)

    assert (shop.status(payment), shop.money()) == ("settled", (ALL, 0, 0))
    assert manner.truth(payment.refs).refunds == ()


# The schedule ----------------------------------------------------------------------------------------------------


def test_a_provider_that_cannot_be_listed_hides_no_event_of_the_other(shop):
    payment = shop.bought("paypal")
    shop.paypal.dispute(payment.id)
    shop.stripe.fail_next("notices", 100)

    minutes(shop, 8)

    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))


def test_what_one_provider_missed_while_it_could_not_be_listed_is_listed_later(shop):
    payment = shop.bought("stripe")
    shop.stripe.fail_next("notices", 30)
    shop.stripe.dispute(payment.id)
    for _ in range(30):
        shop.clock.advance(6 * MINUTE)
        shop.every_minute()

    minutes(shop, 8)

    assert (shop.status(payment), shop.money()) == ("disputed", (0, ALL, 0))


def test_a_payment_that_cannot_be_understood_keeps_nobody_waiting(shop):
    """Its document, or what its provider says of it, is a fault of ours to mend."""
    broken = [shop.begin(key=f"broken {n}") for n in range(20)]
    others = [shop.begin("paypal", key=f"other {n}", uid=Uid(f"u{n}")) for n in range(10)]
    for payment in broken:
        document = shop.documents.get(saga_path(payment.id))
        shop.documents.commit([Put(document.path, {**document.data, "terms": {}})])
    for payment in others:
        shop.paypal.approve(payment.id)
    shop.paypal.events.clear()
    shop.clock.advance(HOUR)

    minutes(shop, 3)

    assert {shop.status(payment) for payment in others} == {"settled"}


def test_a_notice_that_cannot_be_understood_keeps_nobody_waiting_and_ends_with_a_person(shop):
    for n in range(30):
        notice = Notice(provider="stripe", id=f"evt_{n}", type="x", at=shop.clock.now(), is_live=False, refs={"a": "b"})
        shop.instance().inbox.store(notice)
        document = shop.documents.get(f"inbox/stripe:evt_{n}")
        shop.documents.commit([Put(document.path, {**document.data, "refs": None})])
    payment = shop.begin()
    shop.stripe.approve(payment.id)
    shop.instance().inbox.store(shop.stripe.events[-1])

    minutes(shop, 3)
    assert shop.status(payment) == "settled"

    for _ in range(60):
        shop.clock.advance(2 * HOUR)
        shop.every_minute()
    ends = [d.data["status"] for d in shop.all("inbox") if d.data["refs"] is None]
    assert ends == ["dead"] * 30
    assert sum(alert.event == "notice_dead" for alert in shop.alerts.raised) == 30


# Parked ----------------------------------------------------------------------------------------------------------


def test_money_of_another_is_told_once(shop):
    first, second = shop.bought(key="1"), shop.begin(key="2", uid=Uid("grace"))
    shop.stripe.approve(second.id)
    shop.stripe._held[second.id].refs["intent"] = shop.stripe._held[first.id].refs["intent"]

    for _ in range(4):
        shop.instance().settlement.settle(second.id)

    assert [a.fields["problem"] for a in shop.alerts.raised] == ["money_of_another"]
    assert shop.money(Uid("grace")) == (0, 0, 0)


@BOTH
def test_what_was_under_review_and_went_back_waits_for_nobody(shop, provider):
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id, received=Fiat(999, "USD"))
    shop.instance().settlement.settle(payment.id)
    shop.providers[provider].refund_by_hand(payment.id)

    for notice in shop.providers[provider].events:
        shop.instance().receive(notice)

    assert (shop.status(payment), shop.money()) == ("refunded", (0, 0, 0))
    assert shop.instance().payments.listed(PaymentFilter(is_under_review=True), limit=5, after=None).items == ()


# Notices ---------------------------------------------------------------------------------------------------------


def test_a_notice_of_one_provider_says_nothing_of_the_other_s_payment(shop):
    saga = shop.unopened("paypal")
    other = shop.begin("stripe")
    shop.stripe.approve(other.id)
    notice = Notice(
        provider="stripe",
        id="evt_x",
        type="charge.refunded",
        at=shop.clock.now(),
        is_live=False,
        payment=saga.id,
        refs=shop.stripe.events[-1].refs,
    )

    shop.instance().receive(notice)

    found = shop.instance().payments.get(saga.id)
    assert (found.refs, status_of(found)) == ({}, "created")
    assert shop.documents.get("inbox/stripe:evt_x").data["status"] == "ignored"


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", "__x__", "x" * 2_000, "a/b/c/d", "ü"])
def test_a_notice_with_a_name_that_is_none_of_ours_is_dealt_with_at_once(shop, name):
    notice = Notice(
        provider="stripe", id="evt_x", type="charge.refunded", at=shop.clock.now(), is_live=False, payment=name
    )
    shop.instance().inbox.store(notice)

    shop.instance().handler.handle("stripe:evt_x")

    assert shop.documents.get("inbox/stripe:evt_x").data["status"] in {"ignored", "parked"}


# Begun -----------------------------------------------------------------------------------------------------------


def test_asked_again_after_the_provider_was_taken_away_a_checkout_is_refused_in_words(shop):
    shop.stripe.fail_next("open")
    with pytest.raises(DomainError):
        shop.begin()
    stripe = shop.providers.pop("stripe")

    with pytest.raises(ProviderNotConfigured):
        shop.begin()

    shop.providers["stripe"] = stripe
    assert shop.status(shop.begin()) == "pending"
