"""Check that faults of sources give nobody credits, take no credits, and leave no payment stuck.

Method: two sources of a real node. One has a fault, then both, while a payment is detected, credited, and met by a
reorg or by the operator's sweep. `make chains` is the long form.
"""

from contextlib import nullcontext

import pytest

from tests.chains.liars import NETWORK, Plan, liars
from tests.chains.reorgs import Tally

SEED = 5
PLANS = (
    Plan(("lying", "denying", "forked"), "dropped"),
    Plan(("stale", "empty", "backwards"), "reorg"),
    Plan(("forked", "lying", "lying"), "sweep"),
    Plan(("broken", "rate_limited", "denying"), "dropped"),
)


def test_faults_of_sources_give_and_take_no_credits():
    tally = Tally()
    with liars(SEED, tally) as played:
        for plan in PLANS:
            played.play(plan)

    assert tally.seen["schedules"] == len(PLANS)
    assert tally.seen["credits"] >= len(PLANS)
    assert tally.seen["looks without an answer"] > 0


@pytest.mark.parametrize("is_compared", [True, False])
def test_a_lie_is_credited_only_if_nobody_compares_the_source(is_compared: bool):
    with liars(SEED, Tally()) as played:
        order = played.shop.order(NETWORK, "USDC", 100)
        if not is_compared:
            played.shop.served[NETWORK] = played.chains[0]
        played.sources[0].fault = "lying"
        played.shop.mine(NETWORK, 3)

        with nullcontext() if is_compared else pytest.raises(AssertionError, match="a credit has its level"):
            played.look(order)

        assert (played.shop.money() == (0, 0, 0)) is is_compared


def test_a_reader_of_logs_loses_a_payment_at_a_stale_source():
    with liars(SEED, Tally()) as played:
        reader, shop = played.reader, played.shop
        order = shop.order(NETWORK, "USDC")
        assert order.quote is not None
        reader.watch(order)
        shop.pay(NETWORK, "USDC", order.quote.address, order.quote.due)
        played.sources[0].fault = "stale"
        shop.mine(NETWORK)
        reader.look()
        played.sources[0].fault = ""
        shop.mine(NETWORK)
        reader.look()

        reader.watch(order)

    assert reader.wrong == 1
