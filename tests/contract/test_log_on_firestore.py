"""The log on Firestore: two sequencers that are killed, unclear commits, and the store's own preconditions."""

import pytest

from shared.kernel.ids import Uid
from shared.ledger.log.rounds import Visit
from shared.ledger.log.typed_leaves import queue_leaf, read_leaf
from shared.ledger.log.waiting import clear_markers, waiting_documents
from shared.platform.firestore.documents import connect
from tests.sequencing.storm import LogStorm, UnclearDocuments, rage
from tests.support.sequencing import LogWorld, check_log, users


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


def test_two_killed_sequencers_log_each_entry_once(firestore_emulator, project):
    storm = LogStorm(project=project, accounts=30, visits=2, entries=4, kills=3, life_seconds=(0.5, 1))

    assert rage(storm) == storm.total


def test_minutes_over_unclear_commits_log_each_entry_once(documents):
    world = LogWorld(store=documents)
    world.documents = UnclearDocuments(documents, 3)  # type: ignore[assignment]  # counts nothing here
    for _ in range(3):
        world.mill.grow(users(30), 9)
        world.minute()
    world.minute()

    assert check_log(documents) == 810


def test_waiting_markers_and_leaves_are_found_and_cleared(documents):
    world = LogWorld(store=documents)
    world.mill.grow(users(5), 1)
    documents.commit([queue_leaf("day", "day-1", {"day": 1}, 1)])
    first = waiting_documents(documents, None, 2)
    rest = waiting_documents(documents, (int(str(first[-1].data["log"])), first[-1].path), 10)

    assert len({each.path for each in (*first, *rest)}) == 6
    world.sequencer().append([Visit(uid=uid, seq=1) for uid in users(5)], ["ledger_log/leaves/outbox/day-1"])
    leaf = read_leaf(documents, "day-1")
    assert leaf is not None
    assert leaf.index == 0
    assert clear_markers(documents, [each for each in (*first, *rest) if "accounts" in each.path]) == 5
    assert waiting_documents(documents, None, 10) == []


def test_changed_marker_is_not_cleared_and_the_others_are(documents):
    world = LogWorld(store=documents)
    world.mill.grow(users(4), 1)
    found = waiting_documents(documents, None, 10)
    world.clock.advance(1)
    world.mill.grow([Uid("user00002")], 1)

    assert clear_markers(documents, found) == 3
    assert [each.path.split("/")[1] for each in waiting_documents(documents, None, 10)] == ["user00002"]
