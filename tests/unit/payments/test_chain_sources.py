"""Several sources of a network: where they agree, where nobody is believed, and when one is enough."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from shared.payments.chains.ports import BlockGone, Chain, ChainRefused, ChainUnavailable, SeenTransaction, Transfer
from shared.payments.chains.sources import BACK_BLOCKS_MAX, FALLS_MAX, Sources, agreed, glance, lag_max
from tests.support.told_chains import NETWORK, ToldChain, block

LAG = 60_000
PAIR = ("0xa", "USDC")


def of(*sources: ToldChain) -> Sources:
    return Sources(sources, lag=LAG)


def why(asked: Callable[[], object]) -> str:
    with pytest.raises(ChainUnavailable) as raised:
        asked()
    return str(raised.value.params["reason"])


def read(chain: Chain, at: str = "a10") -> object:
    return chain.levels(at, ["0xa"], ["USDC"])[PAIR]


def test_a_source_without_transfers_is_no_proof_that_nothing_was_sent():
    told = Transfer(transaction="0xAb", sender="0xs", amount=7, block=block(9))
    alike = replace(told, transaction="0xab", sender="")
    others = [Transfer(transaction="0xab", sender="0xs", amount=8, block=block(9))]

    def asked(*moved: tuple[Transfer, ...]) -> Chain:
        return agreed(of(*(ToldChain(moved=each) for each in moved)))

    assert asked((told,), (alike,)).transfers("0xa", "USDC", 9, 9) == (told,)
    for other in ((), tuple(others), (told, told)):
        assert why(partial(asked((told,), other).transfers, "0xa", "USDC", 9, 9)) == "the sources disagree"
    assert of(ToldChain(moved=(told,)), ToldChain()).transfers("0xa", "USDC", 9, 9) == (told,)


@pytest.mark.parametrize("tag", ["latest", "safe", "finalized"])
def test_the_head_is_the_lower_one_of_both_sources(tag: str):
    assert of(ToldChain(height=12), ToldChain(height=10)).block(tag) == block(10)


@pytest.mark.parametrize("heights", [(10, 10), (12, 10), (10, 12)])
def test_sources_on_different_branches_are_apart(heights: tuple[int, int]):
    chain = of(ToldChain(height=heights[0]), ToldChain(height=heights[1], branch="b"))

    assert why(lambda: chain.block("latest")) == "the sources disagree"
    assert why(lambda: chain.block(5)) == "the sources disagree"


def test_sources_that_tell_different_levels_are_apart():
    chain = of(ToldChain(level=7), ToldChain(level=8))

    assert why(lambda: read(chain)) == "the sources disagree"
    assert why(lambda: read(agreed(chain))) == "the sources disagree"


def test_one_source_is_enough_for_small_sums_and_not_for_larger():
    chain = of(ToldChain(is_silent=True), ToldChain())

    assert read(chain) == 7
    assert chain.block("latest") == block(10)
    assert why(lambda: read(agreed(chain))) == "only one source answers"
    assert why(lambda: agreed(chain).block("latest")) == "only one source answers"


def test_the_only_source_of_a_network_agrees_with_itself():
    chain = of(ToldChain())

    assert read(agreed(chain)) == 7
    with pytest.raises(BlockGone):
        agreed(chain).block("b3")


def test_a_block_is_gone_only_if_every_source_says_so():
    gone = of(ToldChain(branch="b"), ToldChain(branch="b"))
    behind = of(ToldChain(height=5), ToldChain())
    silent = of(ToldChain(branch="b"), ToldChain(is_silent=True))

    with pytest.raises(BlockGone):
        gone.block("a10")
    assert why(lambda: behind.block("a10")) == "the sources disagree"
    assert why(lambda: silent.block("a10")) == "only one source says that a block is gone"
    assert why(lambda: read(silent)) == "only one source says that a block is gone"


def test_no_source_that_answers_is_an_error_with_the_reason():
    chain = of(ToldChain(is_silent=True), ToldChain(is_silent=True))

    assert why(lambda: chain.block("latest")) == "a source is out of reach"
    assert why(lambda: read(chain)) == "a source is out of reach"


def test_a_lagging_source_is_left_out_until_it_is_back():
    stale = ToldChain(height=4, lag=LAG)
    chain = of(ToldChain(), stale)

    assert chain.block("latest") == block(10)
    assert read(chain) == 7
    assert why(lambda: read(agreed(chain))) == "only one source answers"
    assert why(lambda: chain.block("b3")) == "only one source says that a block is gone"

    stale.height, stale.lag = 10, 0
    chain.block("latest")
    assert read(agreed(chain)) == 7


def test_a_source_far_ahead_on_another_branch_silences_no_honest_one():
    chain = of(ToldChain(height=1_000, branch="b"), ToldChain())

    assert why(lambda: chain.block("latest")) == "the sources disagree"


def test_a_head_that_falls_far_is_noticed_and_taken_after_a_while():
    source = ToldChain(height=100)
    chain = of(source)
    chain.block("latest")

    source.height = 100 - BACK_BLOCKS_MAX
    assert chain.block("latest").height == source.height
    source.height -= 1
    for _ in range(FALLS_MAX - 1):
        assert why(lambda: chain.block("latest")) == "a source went back"
    assert chain.block("latest").height == source.height


def test_a_pair_that_one_source_does_not_answer_is_no_zero():
    chain = of(ToldChain(unanswered=frozenset({PAIR})), ToldChain())

    assert chain.levels("a10", ["0xa"], ["USDC", "ETH"]) == {PAIR: 7, ("0xa", "ETH"): 7}
    assert agreed(chain).levels("a10", ["0xa"], ["USDC", "ETH"]) == {("0xa", "ETH"): 7}


def test_a_glance_asks_one_source_for_levels():
    chain = of(ToldChain(level=7), ToldChain(level=8))

    assert read(glance(chain)) == 7
    assert glance(chain).block("latest") == block(10)


def test_spent_addresses_must_be_told_alike():
    chain = of(ToldChain(spent_addresses=frozenset({"0xa"})), ToldChain())

    assert why(lambda: chain.spent("a10", ["0xa", "0xb"])) == "the sources disagree"


def test_a_transaction_may_reach_one_source_before_the_other():
    mined = SeenTransaction(transaction="t", block=block(9), succeeded=True)
    waiting = replace(mined, block=None)

    assert of(ToldChain(seen=mined), ToldChain()).transaction("t") == mined
    assert of(ToldChain(seen=waiting), ToldChain(seen=mined)).transaction("t") == mined
    assert of(ToldChain(), ToldChain()).transaction("t") is None
    assert why(lambda: agreed(of(ToldChain(seen=mined), ToldChain())).transaction("t")) == "the sources disagree"


def test_a_refusal_is_final_only_if_no_other_source_takes_the_transaction():
    refusing, taking, silent = ToldChain(refuses=True), ToldChain(), ToldChain(is_silent=True)

    assert of(refusing, taking).broadcast(b"raw") == "hash"
    with pytest.raises(ChainRefused):
        of(refusing, refusing).broadcast(b"raw")
    assert why(lambda: of(refusing, silent).broadcast(b"raw")) == "a source is out of reach"


def test_a_chain_that_is_no_group_of_sources_has_one_view():
    chain = ToldChain()

    assert agreed(chain) is chain
    assert glance(chain) is chain
    assert chain.network == NETWORK


def test_slow_networks_give_their_sources_more_time():
    assert lag_max(2) == 60_000
    assert lag_max(600) == 1_800_000
