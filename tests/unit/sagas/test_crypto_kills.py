"""A worker that dies at any commit while it follows an address changes nothing of the end."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.documents import OutcomeUnknown
from shared.payments.payment import Payment, status_of
from tests.support.coins import FEE_BONUS, FEE_CREDITS, GRACE, LOCK, CoinShop
from tests.support.faults import Crash, Dying, Interrupted

ALL = FEE_CREDITS + FEE_BONUS
ROUNDS = 2


@pytest.fixture(autouse=True)
def far_finality(monkeypatch):
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", 30)


@dataclass(frozen=True)
class Story:
    """What has happened before the worker begins, and what must be true in the end."""

    before: Callable[[CoinShop], Payment]
    status: str
    money: tuple[int, int, int]
    deposits: tuple[str, ...] = ()


def arrived(shop: CoinShop, part: Fraction = Fraction(1)) -> Payment:
    payment = shop.order()
    assert payment.quote is not None
    shop.send(payment, int(payment.quote.due * part))
    shop.chains["base"].mine(12)
    return payment


def over(shop: CoinShop) -> Payment:
    return arrived(shop, Fraction(3, 2))


def late(shop: CoinShop) -> Payment:
    payment = arrived(shop, Fraction(1, 2))
    shop.follow(payment)
    shop.clock.advance(LOCK + GRACE + SECOND)
    shop.chains["base"].mine(12)
    return payment


def gone(shop: CoinShop) -> Payment:
    payment = arrived(shop)
    shop.follow(payment)
    shop.chains["base"].reorg(12, keep=[])
    shop.follow(payment)
    shop.clock.advance(3 * SECOND)
    return payment


def back(shop: CoinShop) -> Payment:
    payment = gone(shop)
    shop.follow(payment)
    assert payment.quote is not None
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine(12)
    return payment


def lost(shop: CoinShop) -> Payment:
    payment = gone(shop)
    shop.follow(payment)
    shop.chains["base"].mine(40)
    return payment


STORIES = {
    "credited": Story(arrived, "settled", (ALL, 0, 0)),
    "more than due": Story(over, "settled", (ALL + FEE_CREDITS // 2, 0, 0), ("settled",)),
    "share after grace": Story(late, "settled", (FEE_CREDITS // 2, 0, 0)),
    "gone": Story(gone, "taken_back", (0, ALL, 0)),
    "back again": Story(back, "settled", (ALL, 0, 0)),
    "lost": Story(lost, "taken_back", (0, 0, 0)),
}


def commits_of(story: Story) -> int:
    shop = CoinShop()
    payment = story.before(shop)
    documents = Dying(shop.documents)
    shop.follow(payment, documents)
    return documents.commits


def end_of(shop: CoinShop, payment: Payment) -> tuple[str, tuple[int, int, int], tuple[str, ...]]:
    """The schedule comes by, after a nudge if the dead worker has written nothing at all."""
    if shop.record(payment).due_at is None:
        shop.follow(payment)
    for _ in range(ROUNDS):
        shop.clock.advance(2 * MINUTE)
        shop.every_minute()
    shop.check_conserved(payment)
    deposits = tuple(status_of(each) for each in shop.deposits(payment))
    return status_of(shop.now(payment)), shop.money(), deposits


@pytest.mark.parametrize(
    ("name", "error"), [*((name, Crash()) for name in STORIES), ("more than due", OutcomeUnknown())]
)
def test_a_worker_that_dies_at_any_commit_changes_nothing_of_the_end(name, error):
    story = STORIES[name]
    moments = commits_of(story)
    assert moments >= 2

    for number in range(1, moments + 1):
        for when in ("before", "after"):
            shop = CoinShop()
            payment = story.before(shop)
            documents = Dying(shop.documents, at=number, when=when, error=error)
            with suppress(Crash):
                shop.follow(payment, documents)

            assert end_of(shop, payment) == (story.status, story.money, story.deposits), (number, when)


def test_two_workers_at_once_grant_and_deposit_once():
    shop = CoinShop()
    payment = over(shop)

    def overtake() -> None:
        shop.follow(payment)

    documents = Interrupted(shop.documents, 1, "before", overtake)

    shop.services(documents).crypto.follower.follow_payment(payment.id)

    assert end_of(shop, payment) == ("settled", (ALL + FEE_CREDITS // 2, 0, 0), ("settled",))
