"""Check that the credits of an address equal the level of the chain after each random reorg.

Method: payments in coins and tokens on two real EVM networks at once, reorgs of depth 1 to 10 that keep, move, replace
or drop their transactions, and a worker that is killed before and after each of its commits. Readers of events run
beside it and fail. `make chains` is the long form.
"""

import pytest

from tests.chains.node_shop import REPLACEMENT, node_shop
from tests.chains.reorgs import EventReader, History, Key, Tally, by_block, by_transaction

SEED = 3
REORGS = 6


def test_credits_equal_the_level_after_each_reorg_and_kill():
    tally = Tally()
    with node_shop(SEED) as shop:
        history = History(shop, tally)
        for _ in range(REORGS):
            history.step()
        history.finish()

    assert tally.seen["reorgs"] == REORGS
    assert tally.seen["kills"] > REORGS
    assert tally.seen["claims credited"] > 0


@pytest.mark.parametrize(("key", "fate"), [(by_block, "kept"), (by_transaction, "dropped")])
def test_effects_named_by_events_fail_the_same_check(key: Key, fate: str):
    with node_shop(SEED) as shop:
        order, reader = shop.order("first", "USDC"), EventReader(shop, key)
        assert order.quote is not None
        history = History(shop, Tally())
        history.orders = [order]
        shop.pay("first", "USDC", order.quote.address, order.quote.due)
        shop.mine("first", 3)
        reader(history)
        before = reader.wrong
        shop.reorg("first", 5, fate=fate)
        shop.mine("first", 1)

        reader(history)
        history.quiet()
        history.check()

    assert before == 0
    assert reader.most == order.quote.due


def test_a_replaced_payment_counts_with_its_new_amount():
    with node_shop(SEED) as shop:
        order = shop.order("first", "USDC")
        assert order.quote is not None
        history = History(shop, Tally())
        history.orders = [order]
        shop.pay("first", "USDC", order.quote.address, order.quote.due)
        shop.mine("first", 3)
        history.quiet()
        shop.reorg("first", 5, fate="replaced")
        shop.mine("first", 3)
        history.quiet()

        level = shop.record(order).levels["first", "USDC"]
        history.check()

    assert (level.standing, level.missing) == (REPLACEMENT, order.quote.due - REPLACEMENT)
