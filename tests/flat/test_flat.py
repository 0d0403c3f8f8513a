"""A run without news costs the same for any number of addresses ever made, on a real node."""

from collections.abc import Iterator

import pytest

from emulator.chains.anvil import Anvil
from emulator.chains.proxy import ChainProxy
from tests.flat.costs import cost_of_run
from tests.support.anvil import Town, town


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with Anvil() as running:
        yield town(running)


@pytest.fixture
def proxy(place: Town) -> Iterator[ChainProxy]:
    with ChainProxy(place.hands.node.url) as running:
        yield running


def test_requests_and_reads_do_not_grow_with_the_addresses_ever_made(place: Town, proxy: ChainProxy):
    few, many = (cost_of_run(place, proxy, ever=ever, hot=10) for ever in (10, 100_000))

    assert few == many
    assert (few.requests <= 6, few.reads <= 3, few.commits) == (True, True, 1)


def test_five_thousand_hot_addresses_take_few_requests(place: Town, proxy: ChainProxy):
    spent = cost_of_run(place, proxy, ever=5_000, hot=5_000)

    assert spent.requests <= 10
    assert spent.reads <= 3
