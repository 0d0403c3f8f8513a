"""The position of an account in the log: runs that grow slowly, pages, and no stored data that are taken on trust."""

import random
from typing import Any

import pytest

from shared.kernel.documents import Create, Document
from shared.kernel.ids import Uid
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.books import StatedBalances
from shared.ledger.log.position import (
    LogPosition,
    ParkedAt,
    Run,
    leaf_index,
    page_data,
    page_path,
    position_data,
    position_path,
    stored_position,
)
from shared.platform.memory.documents import MemoryDocuments

UID = Uid("ada")
HASH = "ab" * 32


def document(data: Any) -> Document:
    return Document(path=position_path(UID), data=data, version=7)


def position(**changes: Any) -> LogPosition:
    return LogPosition(**{"uid": UID, "seq": 9, "hash": HASH, "runs": (Run(1, 4), Run(3, 90)), "version": 7, **changes})


def test_position_without_a_document_is_before_entry_1():
    assert stored_position(UID, None) == LogPosition(uid=UID)


@pytest.mark.parametrize(
    "stored",
    [
        position(),
        position(pages=(1,), runs=(Run(3, 90),)),
        position(pages=(1, 5), runs=()),
        position(parked=ParkedAt(seq=10, rule="link")),
        position(seq=0, hash="", runs=(), parked=ParkedAt(seq=1, rule="sequence")),
    ],
)
def test_position_is_read_as_written(stored):
    assert stored_position(UID, document(position_data(stored))) == stored


def test_run_goes_on_while_entries_and_leaves_follow():
    first = LogPosition(uid=UID).moved(2, HASH, 10, StatedBalances(7, 2, 1))
    assert first.runs == (Run(1, 10),)
    assert first.moved(3, HASH, 12, first.balances).runs == (Run(1, 10),)
    assert first.moved(3, HASH, 13, first.balances).runs == (Run(1, 10), Run(3, 13))
    assert first.moved(3, HASH, 13, first.balances).end == 16


def test_leaf_of_every_entry_is_found_over_pages():
    chosen, documents = random.Random(3), MemoryDocuments()
    where, runs, seq, index = {}, list[Run](), 1, 0
    for _ in range(90):
        index += chosen.randrange(1, 50)
        runs.append(Run(seq, index))
        for _ in range(chosen.randrange(1, 5)):
            where[seq] = index
            seq, index = seq + 1, index + 1
    for number in range(2):
        documents.commit([Create(page_path(UID, number), page_data(runs[number * 40 : number * 40 + 40]))])
    found = LogPosition(uid=UID, seq=seq - 1, hash=HASH, runs=tuple(runs[80:]), pages=(1, runs[40].seq))

    assert {each: leaf_index(documents, found, each) for each in where} == where
    assert [leaf_index(documents, found, each) for each in (0, -1, seq)] == [None, None, None]


def test_missing_page_is_an_integrity_failure():
    with pytest.raises(IntegrityFailed):
        leaf_index(MemoryDocuments(), position(pages=(1,), runs=(Run(3, 90),)), 2)


WRONG: list[Any] = [None, 1.5, "1", b"123", True, -1, 2**62, [], {}, [1]]


def test_position_of_wrong_types_or_order_is_refused():
    whole = position_data(position(pages=(1,), runs=(Run(3, 90),), parked=ParkedAt(seq=10, rule="link")))
    state: Any = whole["state"]
    broken: list[Any] = [{"state": {**state, name: value}} for name in state for value in WRONG if state[name] != value]
    broken += [{"state": {each: state[each] for each in state if each != name}} for name in ("seq", "hash", "runs")]
    broken += [{}, *({"state": value} for value in WRONG)]
    broken += [
        position_data(position(runs=runs)) for runs in ((Run(2, 1),), (Run(1, 4), Run(1, 5)), (Run(1, 4), Run(3, 2)))
    ]
    broken += [position_data(position(seq=2)), position_data(position(hash="")), position_data(position(seq=0))]
    is_allowed = (
        {"state": {**state, "pages": b""}},
        {"state": {**state, "parked": None}},
        {"state": {**state, "hash": "1"}},
    )

    for data in broken:
        if data in is_allowed or data == {"state": {**state, "seq": 2**62}}:
            continue
        with pytest.raises(IntegrityFailed):
            stored_position(UID, document(data))
