"""Indices of addresses are taken on Firestore as in memory: by many instances at once, none of them twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.bootstrap import in_memory
from shared.payments.chains.indices import BLOCK_SIZES
from shared.platform.firestore.documents import connect
from tests.support.keys import TAPROOT_XPUB, VECTORS, ZPUB, summed

CHECKOUTS, INSTANCES = 1_000, 8


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


def test_thousand_concurrent_checkouts_take_no_index_twice(documents):
    instances = [in_memory(documents=documents).crypto.indices for _ in range(INSTANCES)]

    with ThreadPoolExecutor(INSTANCES * 2) as pool:
        taken = list(pool.map(lambda number: instances[number % INSTANCES].take("evm"), range(CHECKOUTS)))

    assert len(set(taken)) == CHECKOUTS
    assert max(taken) < CHECKOUTS + INSTANCES * (BLOCK_SIZES[-1] - 1)


def test_new_key_begins_a_run_of_its_own(documents):
    first = in_memory({"BITCOIN_KEY": ZPUB}, documents=documents).crypto.indices.take("bitcoin")
    new = in_memory({"BITCOIN_KEY": f"{summed(f'tr({TAPROOT_XPUB}/0/*)')},{ZPUB}"}, documents=documents)

    second = new.crypto.indices.take("bitcoin")

    found = new.crypto.address_book.addresses("bitcoin", [first, second])
    assert found == {0: VECTORS["bip84"]["addresses"][0], 1: VECTORS["bip86"]["addresses"][0]}
