"""Check that every saga of a payment ends as if undisturbed if a worker is killed, overtaken or paused.

Method: the saga runs once to count its steps, and then once for each fate at each step.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.errors import DomainError
from shared.kernel.ids import OperationId
from shared.ledger.commands import Close
from shared.payments.fiat import Fiat
from shared.payments.ports import ProviderName
from shared.payments.store import effect
from shared.sagas.payments.payment_claims import LEASE_SECONDS
from tests.support.faults import Crash, FaultyDocuments, Interrupted
from tests.support.ledgers import UID
from tests.support.shop import BONUS, CREDITS, Instance, Shop

ALL = CREDITS + BONUS
BOUNDARIES_MAX = 40
PORT = frozenset({"open", "truth", "capture", "refund", "cancel", "locate", "notices"})


@dataclass(frozen=True)
class Story:
    """What has happened (`before`), what one worker is then asked to do, and what must be true in the end."""

    before: Callable[[Shop, ProviderName], str]
    act: Callable[[Instance, str], object]
    status: str
    money: tuple[int, int, int]
    refunds: int = 0


def paid(shop: Shop, provider: ProviderName) -> str:
    payment = shop.begin(provider)
    shop.providers[provider].approve(payment.id)
    return payment.id


def recorded(shop: Shop, provider: ProviderName) -> str:
    """An earlier release has assigned the money, and died before the credits."""
    payment = paid(shop, provider)
    found = shop.instance().payments.get(payment)
    shop.providers[provider].capture(found.refs, f"capture:{payment}")
    truth = shop.providers[provider].truth(found.refs)
    shop.documents.commit([effect(found, str(truth.money), shop.clock.now())])
    return payment


def begun(shop: Shop, provider: ProviderName) -> str:
    """An earlier release has begun the saga that credits in steps, and died before the credits."""
    payment = paid(shop, provider)
    earlier = shop.instance(FaultyDocuments(shop.documents, at=1, when="after"))
    earlier.settlement._crediting = InSteps()  # type: ignore[assignment]  # all that is asked of it
    with suppress(Crash):
        earlier.settlement.settle(payment)
    shop.clock.advance(LEASE_SECONDS * SECOND)
    progress = earlier.settlement.progress(payment)
    assert progress is not None
    assert progress.phase == "doing"
    return payment


class InSteps:
    """Crediting that leaves everything to the saga."""

    def credit_at_once(self, *_):
        return False


def settled(shop: Shop, provider: ProviderName) -> str:
    return shop.bought(provider).id


def left(shop: Shop, provider: ProviderName) -> str:
    payment = paid(shop, provider)
    shop.instance().ledger.execute(UID, Close(operation=OperationId("bye")))
    return payment


def refunded_by_hand(shop: Shop, provider: ProviderName) -> str:
    payment = settled(shop, provider)
    shop.providers[provider].refund_by_hand(payment, Fiat(500, "USD"))
    return payment


def refund_that_failed(shop: Shop, provider: ProviderName) -> str:
    payment = settled(shop, provider)
    refund = shop.providers[provider].refund_by_hand(payment, status="pending")
    shop.instance().settlement.settle(payment)
    shop.providers[provider].end_refund(refund, "failed")
    return payment


def disputed(shop: Shop, provider: ProviderName) -> str:
    payment = settled(shop, provider)
    shop.providers[provider].dispute(payment)
    return payment


def dispute_ended(how: str) -> Callable[[Shop, ProviderName], str]:
    def before(shop: Shop, provider: ProviderName) -> str:
        payment = settled(shop, provider)
        dispute = shop.providers[provider].dispute(payment)
        shop.instance().settlement.settle(payment)
        shop.providers[provider].end_dispute(dispute, how)  # type: ignore[arg-type]  # named in the table below
        return payment

    return before


def settle(instance: Instance, payment: str) -> object:
    return instance.settlement.settle(payment)


def refund(instance: Instance, payment: str) -> object:
    return instance.refund(payment, 250)


STORIES = {
    "top_up": Story(paid, settle, "settled", (ALL, 0, 0)),
    "top_up of recorded money": Story(recorded, settle, "settled", (ALL, 0, 0)),
    "top_up of an earlier release": Story(begun, settle, "settled", (ALL, 0, 0)),
    "refund in the dashboard": Story(refunded_by_hand, settle, "partially_refunded", (ALL // 2, 0, 0), 1),
    "refund that failed": Story(refund_that_failed, settle, "settled", (ALL, 0, 0), 1),
    "dispute": Story(disputed, settle, "disputed", (0, ALL, 0)),
    "dispute won": Story(dispute_ended("won"), settle, "won", (ALL, 0, 0)),
    "dispute lost": Story(dispute_ended("lost"), settle, "lost", (0, 0, 0)),
    "whose user left": Story(left, settle, "refunded", (0, 0, 0), 1),
    "refund by us": Story(settled, refund, "partially_refunded", (ALL * 3 // 4, 0, 0), 1),
}


class Deadly:
    """A provider during whose n-th call this process dies: before it acted, or after."""

    def __init__(self, inner, at: int, when: str) -> None:
        self.inner, self.at, self.when = inner, at, when
        self.count = 0

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in PORT:
            return value

        def call(*args, **kwargs):
            self.count += 1
            is_here = self.count == self.at
            if is_here and self.when == "before":
                raise Crash
            answer = value(*args, **kwargs)
            if is_here:
                raise Crash
            return answer

        return call


def everybody_tries_again(shop: Shop, payment: str, *, times: int = 4) -> None:
    """Time passes, leases end, sweeps and webhooks come by."""
    for _ in range(times):
        shop.clock.advance(max(LEASE_SECONDS * SECOND, 2 * MINUTE))
        try:
            shop.instance().settlement.settle(payment)
        except DomainError:
            continue


def check(shop: Shop, provider: ProviderName, payment: str, story: Story) -> None:
    found = shop.instance().payments.get(payment)
    truth = shop.providers[provider].truth(found.refs)
    assert (shop.status(found), shop.money()) == (story.status, story.money)
    assert shop.providers[provider].captures[payment] == 1
    assert len(truth.refunds) == story.refunds
    assert [alert.event for alert in shop.alerts.raised if alert.event == "saga_dead"] == []


def boundaries(story: Story, provider: ProviderName) -> tuple[int, int]:
    """How many commits and calls of the provider the undisturbed story takes."""
    shop = Shop()
    payment = story.before(shop, provider)
    counted = FaultyDocuments(shop.documents)
    calls = sum(shop.providers[provider].calls.values())
    story.act(shop.instance(counted), payment)
    made = sum(shop.providers[provider].calls.values()) - calls
    check(shop, provider, payment, story)
    return counted.commits, made


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_killed_at_any_commit_another_worker_ends_it(name, provider):
    story = STORIES[name]
    commits, _ = boundaries(story, provider)
    assert 1 <= commits <= BOUNDARIES_MAX
    for at in range(1, commits + 1):
        for when in ("before", "after"):
            shop = Shop()
            payment = story.before(shop, provider)
            with pytest.raises(Crash):
                story.act(shop.instance(FaultyDocuments(shop.documents, at=at, when=when)), payment)

            everybody_tries_again(shop, payment)
            again(shop, story, payment)

            check(shop, provider, payment, story)


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_killed_during_any_call_of_the_provider_another_worker_ends_it(name, provider):
    story = STORIES[name]
    _, calls = boundaries(story, provider)
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            shop = Shop()
            payment = story.before(shop, provider)
            real = shop.providers[provider]
            shop.providers[provider] = Deadly(real, at, when)  # type: ignore[assignment]  # it forwards all of it
            with pytest.raises(Crash):
                story.act(shop.instance(), payment)
            shop.providers[provider] = real
            real.forget_keys()

            everybody_tries_again(shop, payment)
            again(shop, story, payment)

            check(shop, provider, payment, story)


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_paused_at_any_commit_and_overtaken_a_worker_changes_nothing_more(name, provider):
    story = STORIES[name]
    commits, _ = boundaries(story, provider)
    for at in range(1, commits + 1):
        for when in ("before", "after"):
            shop = Shop()
            payment = story.before(shop, provider)

            def overtaken(shop=shop, payment=payment):
                everybody_tries_again(shop, payment, times=2)

            with suppress(DomainError):
                story.act(shop.instance(Interrupted(shop.documents, at, when, overtaken)), payment)
            everybody_tries_again(shop, payment)
            again(shop, story, payment)

            check(shop, provider, payment, story)


@pytest.mark.parametrize("name", STORIES)
def test_a_zombie_that_wakes_after_the_next_chapter_changes_nothing(name):
    """While it slept, the payment went on: the money went back, and the credits with it."""
    story = STORIES[name]
    if story.status in {"disputed", "lost", "refunded"}:
        pytest.skip("nothing can be refunded then")
    commits, _ = boundaries(story, "stripe")
    for at in range(1, commits + 1):
        shop = Shop()
        payment = story.before(shop, "stripe")

        def next_chapter(shop=shop, payment=payment):
            everybody_tries_again(shop, payment, times=2)
            left = 1_000 - sum(
                one.amount.minor
                for one in shop.stripe.truth(shop.instance().payments.get(payment).refs).refunds
                if one.status != "failed"
            )
            shop.stripe.refund_by_hand(payment, Fiat(left, "USD"))
            everybody_tries_again(shop, payment, times=2)

        with suppress(DomainError):
            story.act(shop.instance(Interrupted(shop.documents, at, "before", next_chapter)), payment)
        everybody_tries_again(shop, payment)

        assert (shop.status(shop.instance().payments.get(payment)), shop.money()) == ("refunded", (0, 0, 0))


def again(shop: Shop, story: Story, payment: str) -> None:
    """Whoever asked for a refund and heard nothing asks again, under the same key."""
    if story.act is refund:
        shop.instance().refund(payment, 250)
