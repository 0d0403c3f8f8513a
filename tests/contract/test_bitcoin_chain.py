"""Bitcoin through an Esplora-compatible server: every answer is checked, and a bad hour costs no level."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from emulator.chains.esplora import EsploraStandIn
from shared.payments.chains.ports import BlockGone, Chain, ChainRefused, ChainUnavailable, Fees
from shared.payments.chains.sources import Sources, agreed, lag_max
from shared.platform.bitcoin.chain import EsploraChain
from shared.platform.memory.clock import ManualClock
from tests.support.regtest import REGTEST, PythonRegtest, address_of, made_transaction

V0, V1 = address_of(1), address_of(2, 1)
OTHERS = address_of(3)
COIN = "BTC"


@pytest.fixture
def regtest() -> PythonRegtest:
    chain = PythonRegtest()
    chain.mine(2)
    return chain


@pytest.fixture
def server(regtest) -> Iterator[EsploraStandIn]:
    with EsploraStandIn(regtest) as stand_in:
        yield stand_in


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now=1_796_000_000_000)


@pytest.fixture
def chain(server, clock) -> EsploraChain:
    return EsploraChain(REGTEST, server.url, clock)


@contextlib.contextmanager
def trickling(pieces: list[bytes], before_each: Callable[[], None]) -> Iterator[str]:
    """Serve one body in pieces, each after a call of `before_each`, and yield the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            for piece in pieces:
                before_each()
                self.wfile.write(piece)
                self.wfile.flush()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def level(chain: Chain, block: str, address: str = V0) -> int:
    return chain.levels(block, [address], [COIN])[address, COIN]


def test_blocks_join_from_the_tip_to_the_first(chain, regtest):
    regtest.mine(8)

    blocks = [chain.block(height) for height in range(regtest.height + 1)]

    assert chain.block("latest") == blocks[-1]
    assert chain.block("finalized") == blocks[-6]
    assert [block.parent for block in blocks[1:]] == [block.hash for block in blocks[:-1]]
    assert chain.block(blocks[3].hash) == blocks[3]


def test_level_counts_all_that_came_up_to_the_block(chain, regtest):
    regtest.pay((V0, 700), (OTHERS, 5), (V0, 11))
    regtest.pay((V1, 42))
    first = regtest.mine()
    regtest.pay((V0, 1_000))
    second = regtest.mine()

    assert chain.levels(first, [V0, V1, OTHERS], [COIN]) == {(V0, COIN): 711, (V1, COIN): 42, (OTHERS, COIN): 5}
    assert chain.levels(second, [V0, address_of(99)], [COIN]) == {(V0, COIN): 1_711, (address_of(99), COIN): 0}


def test_level_of_another_asset_is_no_answer(chain, regtest):
    assert chain.levels(regtest.mine(), [V0], ["USDC"]) == {}


def test_level_is_the_sum_of_what_came_in_each_block_also_by_mining(chain, regtest):
    regtest.mine(to=[(V0, 5_000)])
    for amount in (1, 20, 300):
        regtest.pay((V0, amount))
        regtest.mine(2)
    regtest.mine(93)
    immature = chain.block("latest")
    regtest.mine(2)
    mature = chain.block("latest")

    received = [chain.received_in(chain.block(height).hash, {V0}).get(V0, 0) for height in range(1, regtest.height + 1)]

    assert (level(chain, immature.hash), level(chain, mature.hash)) == (321, 5_321)
    assert sum(received[: immature.height]) == 321
    assert sum(received) == 5_321


def test_coinbase_output_matures_100_blocks_after_its_block(chain, regtest):
    regtest.mine(to=[(V0, 5_000)])
    before, after = regtest.mine(99), regtest.mine(1)

    assert (level(chain, before), level(chain, after)) == (0, 5_000)
    assert (chain.received_in(before, {V0}), chain.received_in(after, {V0})) == ({}, {V0: 5_000})


def test_coinbase_output_is_pending_with_its_block_until_mature(chain, regtest):
    block = chain.block(regtest.mine(to=[(V0, 5_000)]))

    waiting = chain.pending([V0])
    regtest.mine(100)

    assert [(address, one.amount, one.block) for address, one in waiting] == [(V0, 5_000, block)]
    assert chain.pending([V0]) == []


def test_history_of_many_pages_is_read_to_its_end(chain, regtest):
    for amount in range(1, 77):
        regtest.pay((V0, amount))
    block = regtest.mine()

    assert level(chain, block) == sum(range(1, 77))
    assert chain.received_in(block, [V0]) == {V0: sum(range(1, 77))}


def test_evicted_transaction_is_no_longer_pending(chain, regtest):
    name = regtest.pay((V0, 700))
    before = [one.transaction for _, one in chain.pending([V0])]
    del regtest.pool[name]

    assert (before, chain.pending([V0]), chain.transaction(name)) == ([name], [], None)


def test_transaction_in_the_pool_is_pending_and_no_level(chain, regtest):
    name = regtest.pay((V0, 700))
    block = regtest.mine(names=[])

    assert [(address, one.transaction, one.amount, one.block) for address, one in chain.pending([V0, V1])] == [
        (V0, name, 700, None)
    ]
    assert level(chain, block) == 0
    assert chain.transaction(name).block is None


def test_bumped_transaction_is_pending_with_its_new_amount(chain, regtest):
    old = regtest.pay((V0, 700))
    new = regtest.bump(old, (V0, 650))

    assert [(one.transaction, one.amount) for _, one in chain.pending([V0])] == [(new, 650)]
    assert chain.transaction(old) is None


def test_transaction_bumped_to_pay_elsewhere_is_not_pending(chain, regtest):
    regtest.bump(regtest.pay((V0, 700)), (OTHERS, 650))

    assert chain.pending([V0]) == []


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_block_that_left_the_chain_is_gone(chain, regtest, depth):
    regtest.mine(depth)
    height = regtest.height - depth + 1
    old = chain.block(height)
    chain.received_in(old.hash, [V0])
    regtest.fork(depth)
    regtest.mine(depth + 1)

    with pytest.raises(BlockGone):
        chain.block(old.hash)
    with pytest.raises(BlockGone):
        level(chain, old.hash)
    with pytest.raises(BlockGone):
        chain.received_in(old.hash, [V0])
    assert chain.block(height).hash != old.hash


def test_payment_that_moves_to_another_block_keeps_its_level(chain, regtest):
    regtest.pay((V0, 700))
    regtest.mine(3)
    regtest.fork(3)
    empty = regtest.mine(2, names=[])
    moved = regtest.mine()

    assert (level(chain, empty), level(chain, moved)) == (0, 700)


def test_payment_of_another_fork_is_in_no_level_at_the_same_height(chain, regtest, server):
    regtest.pay((V0, 700))
    regtest.mine()
    server.order(is_frozen=True)
    regtest.fork(1)
    ours = regtest.mine(names=[])
    other = EsploraStandIn(regtest)
    with other:
        fresh = EsploraChain(REGTEST, other.url, ManualClock(now=0))
        fresh.block(ours)

        assert level(fresh, ours) == 0
    with pytest.raises((BlockGone, ChainUnavailable)):
        level(chain, ours)


def test_height_above_the_tip_is_gone(chain, regtest):
    with pytest.raises(BlockGone):
        chain.block(regtest.height + 1)


def test_address_that_paid_is_spent_from_that_block_on(chain, regtest):
    paid = regtest.pay((V0, 700))
    before = regtest.mine()
    regtest.pay((OTHERS, 690), spends=[(paid, 0)])
    after = regtest.mine()

    assert (chain.spent(before, [V0]), chain.spent(after, [V0, V1])) == (set(), {V0})
    assert level(chain, after) == 700


def test_transfers_name_transaction_and_block_within_the_heights(chain, regtest):
    regtest.pay((V0, 1))
    regtest.mine()
    name = regtest.pay((V0, 2))
    block = chain.block(regtest.mine())

    found = chain.transfers(V0, COIN, block.height, block.height + 5)

    assert [(one.transaction, one.amount, one.block) for one in found] == [(name, 2, block)]


def test_three_levels_of_one_look_cost_one_history(chain, regtest, server):
    regtest.pay((V0, 700))
    regtest.mine(6)
    head = chain.block("latest")
    final = chain.block("finalized")
    level(chain, head.hash)
    asked = len(server.calls)

    level(chain, chain.block(head.parent).hash)
    level(chain, final.hash)

    assert not [call for call in server.calls[asked:] if call.startswith("/address")]


# ── broadcast and fees ──────────────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_names_a_transaction_in_the_pool_or_in_a_block(chain, regtest):
    name = regtest.pay((V0, 700))
    raw = regtest.pool[name].raw

    in_pool = chain.broadcast(raw)
    regtest.mine()

    assert (in_pool, chain.broadcast(raw)) == (name, name)


def test_broadcast_is_refused_with_the_network_s_reason(chain):
    with pytest.raises(ChainRefused, match="bad-txns-inputs-missingorspent"):
        chain.broadcast(made_transaction([("1" * 64, 0)], [(V0, 5)]).raw)


def test_broadcast_of_no_transaction_asks_nobody(chain, server):
    with pytest.raises(ChainRefused):
        chain.broadcast(b"no transaction")

    assert server.calls == []


def test_fee_is_rounded_up(chain):
    assert chain.fees() == Fees(base=88, tip=0)


# ── a bad hour ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_server_of_another_network_is_never_believed(server, clock):
    live = replace(REGTEST, genesis="000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")

    with pytest.raises(ChainUnavailable) as refusal:
        EsploraChain(live, server.url, clock).block("latest")

    assert refusal.value.params["reason"] == "a source belongs to another network"


def test_429_without_retry_after_silences_for_longer_each_time(chain, server, clock):
    chain.block("latest")
    server.order(is_limited=True)
    asked, pauses = len(server.calls), []
    for _ in range(3):
        waited = 0
        while len(server.calls) == asked:
            with pytest.raises(ChainUnavailable):
                chain.fees()
            clock.advance(1_000)
            waited += 1
        asked = len(server.calls)
        pauses.append(waited)

    assert pauses == [1, 5, 10]


def test_server_is_asked_again_after_the_silence(chain, server, clock):
    server.order(is_limited=True)
    with pytest.raises(ChainUnavailable):
        chain.block("latest")
    server.order()
    clock.advance(6_000)

    assert chain.block("latest").height == 2


def test_limited_server_is_asked_less_often_for_an_hour(chain, regtest, server, clock):
    regtest.pay((V0, 700))
    calls = []
    for is_polite in (False, True):
        server.order(is_limited=is_polite)
        with contextlib.suppress(ChainUnavailable):
            chain.block("latest")
        server.order()
        clock.advance(30_000)
        asked = len(server.calls)
        for _ in range(20):
            chain.block("latest")
            chain.pending([V0])
            clock.advance(3_000)
        calls.append(len(server.calls) - asked)

    assert calls == [40, 6]


def test_address_of_another_network_has_no_level(chain, regtest):
    block = regtest.mine()
    other = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"

    assert (chain.levels(block, [other], [COIN]), chain.spent(block, [other])) == ({}, set())
    assert (chain.pending([other]), chain.transfers(other, COIN, 0, 9)) == ([], [])
    assert chain.received_in(block, [other]) == {}


@pytest.mark.parametrize("pieces", [[b"1" * 64] * 3, [b"\x1f\x8b"] * 3], ids=["too slow", "packed"])
def test_body_that_trickles_or_is_packed_is_no_answer(clock, pieces):
    """Each piece takes ten seconds."""
    with trickling(pieces, lambda: clock.advance(10_000)) as url, pytest.raises(ChainUnavailable):
        EsploraChain(REGTEST, url, clock).block("latest")


@pytest.mark.parametrize("faults", [{"is_down": True}, {"is_limited": True}])
def test_no_answer_is_neither_zero_nor_gone(chain, regtest, server, faults):
    regtest.pay((V0, 700))
    block = regtest.mine()
    chain.block(block)
    server.order(**faults)

    with pytest.raises(ChainUnavailable):
        level(chain, block)


def test_closed_server_is_unavailable(clock):
    with pytest.raises(ChainUnavailable) as refusal:
        EsploraChain(REGTEST, "http://127.0.0.1:9", clock).block("latest")

    assert refusal.value.params["reason"] == "unreachable"


@pytest.mark.parametrize("lag", [1, 3])
def test_server_behind_is_unavailable_for_a_block_that_it_had(chain, regtest, server, lag):
    block = regtest.mine(3)
    chain.block(block)
    server.order(lag=lag)

    with pytest.raises(ChainUnavailable) as refusal:
        level(chain, block)
    assert refusal.value.params["reason"] == "behind"


def test_empty_history_is_no_zero_after_the_block_showed_a_payment(chain, regtest, server):
    regtest.pay((V0, 700))
    block = regtest.mine()
    chain.received_in(block, [V0])
    server.order(is_empty=True)

    with pytest.raises(ChainUnavailable):
        level(chain, block)


def test_amounts_that_the_transactions_do_not_hold_are_refused(chain, regtest, server):
    regtest.pay((V0, 700))
    block = regtest.mine()
    server.order(lies=frozenset({"amounts"}))

    with pytest.raises(ChainUnavailable) as refusal:
        level(chain, block)
    assert refusal.value.params["reason"] == "unbelievable"


def test_block_with_repeated_transactions_is_refused(chain, regtest, server):
    regtest.pay((V0, 700))
    regtest.pay((V0, 9))
    block = regtest.mine()
    server.order(lies=frozenset({"repeats"}))

    with pytest.raises(ChainUnavailable) as refusal:
        chain.received_in(block, [V0])
    assert refusal.value.params["reason"] == "unbelievable"


def test_no_level_is_told_at_a_block_that_a_liar_keeps_on_the_chain(chain, regtest, server):
    """The payment of the old block is in the pool again, and the history does not have it."""
    regtest.pay((V0, 700))
    old = regtest.mine()
    chain.block(old)
    regtest.fork(1)
    regtest.mine(2, names=[])
    server.order(lies=frozenset({"blocks"}))

    assert level(chain, old) == 0


def test_server_with_two_faces_tells_the_level_or_nothing(chain, regtest, server, clock):
    regtest.pay((V0, 700))
    block = regtest.mine()
    chain.received_in(block, [V0])
    server.order(lag=1, is_backwards=True)

    told = set()
    for _ in range(12):
        clock.advance(10_000)
        try:
            told.add(level(chain, block))
        except (ChainUnavailable, BlockGone):
            continue

    assert told <= {700}


def test_second_look_at_an_address_costs_two_calls(chain, regtest, server, clock):
    regtest.pay((V0, 700))
    regtest.mine(8)
    first = _look(chain)
    clock.advance(30_000)
    asked = len(server.calls)

    assert _look(chain) == first == [700, 700, 700]
    assert server.calls[asked:] == ["/blocks/tip/hash", f"/address/{V0}/txs"]


def _look(chain: EsploraChain) -> list[int]:
    """Look at an address as its follower does: head, final, pool, and a block in between."""
    head = chain.block("latest")
    final = chain.block(head.height - 5)
    found = [level(chain, head.hash), level(chain, final.hash)]
    chain.pending([V0])
    deep = chain.block(head.height - 2)
    chain.spent(deep.hash, [V0])
    return [*found, level(chain, deep.hash)]


# ── two sources ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def second(regtest) -> Iterator[EsploraStandIn]:
    with EsploraStandIn(regtest) as stand_in:
        yield stand_in


@pytest.fixture
def both(server, second, clock) -> Chain:
    urls = server.url, second.url
    chains = [EsploraChain(REGTEST, url, clock) for url in urls]
    return Sources(chains, lag=lag_max(REGTEST.block_seconds))


@pytest.mark.parametrize(
    "faults", [{"is_limited": True}, {"is_down": True}, {"lag": 1}, {"lies": frozenset({"repeats"})}]
)
def test_second_server_answers_while_the_first_is_at_fault(both, regtest, server, faults):
    regtest.pay((V0, 700))
    regtest.pay((V1, 9))
    regtest.mine()
    regtest.mine(names=[])
    server.order(**faults)

    head = both.block("latest")
    found = [both.received_in(both.block(height).hash, [V0]) for height in range(3, head.height + 1)]

    assert (found[0], level(both, head.hash)) == ({V0: 700}, 700)


def test_two_servers_on_different_forks_are_apart(both, regtest, second):
    regtest.mine(2)
    second.order(is_frozen=True)
    regtest.fork(2)
    regtest.mine(2)

    with pytest.raises(ChainUnavailable):
        both.block("latest")


def test_block_is_gone_only_if_both_servers_say_so(both, regtest, second, clock):
    old = both.block(regtest.mine(2))
    second.order(is_frozen=True)
    regtest.fork(2)
    regtest.mine(3)

    with pytest.raises(ChainUnavailable):
        both.block(old.hash)
    second.order()
    with pytest.raises(BlockGone):
        both.block(old.hash)


def test_level_that_one_server_alone_tells_is_not_agreed(both, regtest, second, clock):
    regtest.pay((V0, 700))
    block = regtest.mine()
    second.order(is_empty=True)

    with pytest.raises(ChainUnavailable):
        agreed(both).levels(block, [V0], [COIN])
    second.order()
    clock.advance(3_000)
    assert agreed(both).levels(block, [V0], [COIN]) == {(V0, COIN): 700}
