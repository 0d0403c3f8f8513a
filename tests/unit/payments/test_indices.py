"""An index is one payment's for ever: never twice, hardly any lost, and no document is hot."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.bootstrap import in_memory
from shared.kernel.documents import OutcomeUnknown
from shared.payments.chains.index_table import IndexPlace, IndexRun, IndexTable, data_of, table_of
from shared.payments.chains.indices import (
    BLOCK_LIFETIME,
    BLOCK_SIZES,
    QUIET,
    TAKE_ATTEMPTS_MAX,
    AddressKeyMissing,
    IndicesBusy,
)
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.faults import FaultyDocuments

CHECKOUTS, INSTANCES = 1_000, 20


def test_thousand_concurrent_checkouts_take_no_index_twice():
    documents = MemoryDocuments()
    instances = [in_memory(documents=documents).crypto.indices for _ in range(INSTANCES)]

    with ThreadPoolExecutor(INSTANCES * 2) as pool:
        taken = list(pool.map(lambda number: instances[number % INSTANCES].take("evm"), range(CHECKOUTS)))

    assert len(set(taken)) == CHECKOUTS
    assert max(taken) < CHECKOUTS + INSTANCES * (BLOCK_SIZES[-1] - 1)


def test_busy_instance_writes_once_for_many_checkouts():
    documents = FaultyDocuments(MemoryDocuments())
    indices = in_memory(documents=documents, clock=ManualClock()).crypto.indices

    taken = [indices.take("evm") for _ in range(CHECKOUTS)]

    assert taken == list(range(CHECKOUTS))
    assert documents.commits <= CHECKOUTS / BLOCK_SIZES[-1] + len(BLOCK_SIZES)


def test_instances_that_sell_little_leave_no_gaps():
    documents = MemoryDocuments()

    taken = [in_memory(documents=documents).crypto.indices.take("bitcoin") for _ in range(30)]

    assert taken == list(range(30))


def test_block_is_small_again_after_a_quiet_time():
    documents, clock = MemoryDocuments(), ManualClock()
    indices = in_memory(documents=documents, clock=clock).crypto.indices
    for _ in range(sum(BLOCK_SIZES)):
        indices.take("evm")
    clock.advance(QUIET)

    indices.take("evm")

    assert in_memory(documents=documents).crypto.indices.take("evm") == sum(BLOCK_SIZES) + 1


def test_families_count_apart():
    indices = in_memory().crypto.indices

    assert [indices.take("evm"), indices.take("bitcoin"), indices.take("evm")] == [0, 0, 1]


@pytest.mark.parametrize("when", ["before", "after"])
def test_commit_of_unknown_outcome_gives_no_index_twice(when):
    documents = MemoryDocuments()
    faulty = FaultyDocuments(documents, at=1, when=when, error=OutcomeUnknown())

    first = in_memory(documents=faulty, clock=ManualClock()).crypto.indices.take("evm")
    second = in_memory(documents=documents).crypto.indices.take("evm")

    assert second == first + 1
    assert first == (0 if when == "before" else 1)


def test_store_that_never_answers_ends_in_an_error():
    class Unclear(FaultyDocuments):
        def commit(self, writes, *, timeout_seconds=1.0):
            self.commits += 1
            raise OutcomeUnknown

    documents = Unclear(MemoryDocuments())

    with pytest.raises(IndicesBusy):
        in_memory(documents=documents, clock=ManualClock()).crypto.indices.take("evm")
    assert documents.commits == TAKE_ATTEMPTS_MAX


def test_family_without_a_key_gives_no_index():
    with pytest.raises(AddressKeyMissing):
        in_memory({"EVM_XPUB": ""}).crypto.indices.take("evm")


def test_key_that_comes_back_continues_behind_its_last_step():
    table = IndexTable().take("a", 5).take("b", 2).take("a", 1).take("b", 3)

    places = [table.place(index) for index in range(11)]

    steps = [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("a", 4),
        ("b", 0),
        ("b", 1),
        ("a", 5),
        ("b", 2),
        ("b", 3),
        ("b", 4),
    ]
    assert places == [IndexPlace(fingerprint=key, step=step) for key, step in steps]
    assert (table.steps_taken("a"), table.steps_taken("b"), table.steps_taken("c")) == (6, 5, 0)
    assert (table.place(11), table.place(-1)) == (None, None)


def test_same_key_needs_no_new_run():
    assert IndexTable().take("a", 5).take("a", 1).runs == (IndexRun(fingerprint="a", first=0, step=0),)


def test_table_is_stored_and_read_alike():
    table = IndexTable().take("a", 5).take("b", 2)

    assert table_of(data_of(table)) == table
    assert table_of({}) == IndexTable()


def test_index_given_back_goes_to_the_next_payment():
    clock = ManualClock()
    services = in_memory(clock=clock)
    indices = services.crypto.indices
    first, second = indices.take("evm"), indices.take("evm")

    indices.give_back("evm", first)

    assert [indices.take("evm") for _ in range(2)] == [first, second + 1]


def test_index_given_back_is_forgotten_with_its_block():
    clock = ManualClock()
    indices = in_memory(clock=clock).crypto.indices
    first = indices.take("evm")
    indices.give_back("evm", first)
    clock.advance(BLOCK_LIFETIME + 1)

    assert indices.take("evm") > first
