"""Coins at an address on Firestore: credited, set aside, back, and a deposit, with two workers at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.clock import SECOND
from shared.payments.payment import status_of
from shared.platform.firestore.documents import connect
from tests.support.coins import FEE_BONUS, FEE_CREDITS, CoinShop

ALL = FEE_CREDITS + FEE_BONUS
WORKERS = 4
HUGE = 10**20
"""Atomic units beyond int64, as 100 ETH are."""


@pytest.fixture
def shop(firestore_emulator, project, monkeypatch) -> CoinShop:
    monkeypatch.setattr("shared.platform.memory.chain.FINAL_DEPTH", 30)
    return CoinShop(connect(project))


def test_coins_on_firestore_follow_the_chain_with_workers_at_once(shop):
    payment = shop.order()
    assert payment.quote is not None
    shop.send(payment, payment.quote.due * 2)
    shop.send(payment, HUGE, asset="ETH")
    shop.chains["base"].mine(31)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: shop.follow(payment), range(WORKERS)))
    for _ in range(2):
        shop.clock.advance(20 * SECOND)
        shop.every_minute()

    deposits = shop.deposits(payment)
    assert sorted(each.terms.price.minor for each in deposits) == [1_000, 25_000_000]
    assert {status_of(each) for each in [shop.now(payment), *deposits]} == {"settled"}
    credited = ALL + sum(each.terms.credits for each in deposits)
    assert shop.money() == (credited, 0, 0)
    shop.check_conserved(payment)


def test_a_reorg_on_firestore_sets_credits_aside_and_gives_them_back(shop):
    payment = shop.order()
    assert payment.quote is not None
    shop.send(payment, payment.quote.due)
    shop.chains["base"].mine(12)
    shop.follow(payment)
    shop.chains["base"].reorg(12, delay=12)
    for _ in range(2):
        shop.clock.advance(3 * SECOND)
        shop.follow(payment)
    suspended = shop.money()
    shop.chains["base"].mine(12)

    shop.follow(payment)

    assert suspended == (0, ALL, 0)
    assert shop.money() == (ALL, 0, 0)
    assert shop.view(payment)["status"] == "settled"
