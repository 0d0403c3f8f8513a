"""Which commits tell the readers of the journal, and what a marker says."""

import pytest

from shared.kernel.clock import MINUTE, to_datetime
from shared.kernel.documents import Delete
from shared.kernel.ids import Uid
from shared.ledger.markers import MARKER_SHARDS, READERS, RELAY, SHARD_SPAN, is_waiting, marker_path, waiting_since
from tests.support.books import accrue, capture, charge, extend, freeze, grant, hold, release, suspend
from tests.support.ledgers import UID, World

MODEL = (("model", "gpt-4o"),)


def seq_told(world: World) -> object:
    marker = world.documents.get(marker_path(UID))
    return None if marker is None else marker.data["seq"]


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("gift", 1_000))
    world.ledger.execute(UID, hold("call", 100, tags=MODEL))
    world.ledger.execute(UID, hold("seat", 100, is_reservation=True))
    world.relay.relay(UID)
    return world


SILENT = {
    "hold of a call": hold("other", 10, tags=MODEL),
    "extension of a call": extend("call", 10),
    "accrual of a call": accrue("call", 10),
}
TOLD = {
    "reservation": hold("mine", 10, is_reservation=True),
    "reservation that names a model": hold("mine", 10, is_reservation=True, tags=MODEL),
    "hold without a model": hold("plain", 10),
    "extension of a reservation": extend("seat", 10),
    "capture": capture("call", 10),
    "partial capture": capture("call", 10, is_final=False),
    "release": release("call"),
    "charge": charge(1),
    "grant": grant("more", 5),
    "suspension": suspend("dispute", "gift"),
    "freeze": freeze(),
}


@pytest.mark.parametrize("command", SILENT.values(), ids=SILENT)
def test_hold_of_a_call_and_its_extensions_write_no_marker(world, command):
    before = world.documents.get(marker_path(UID))

    seq = world.ledger.execute(UID, command).balance.seq

    assert seq == 4
    assert world.documents.get(marker_path(UID)) == before


@pytest.mark.parametrize("command", TOLD.values(), ids=TOLD)
def test_every_other_command_writes_the_marker(world, command):
    seq = world.ledger.execute(UID, command).balance.seq

    assert seq_told(world) == seq > 3
    assert is_waiting(world.documents.get(marker_path(UID)).data, RELAY)


def test_commit_with_any_other_command_writes_the_marker(world):
    world.ledger.execute_all(UID, [hold("one", 1, tags=MODEL), charge(1), hold("two", 1, tags=MODEL)])

    assert seq_told(world) == 6


def test_hold_that_lets_another_expire_writes_the_marker(world):
    world.clock.advance(15 * MINUTE)

    seq = world.ledger.execute(UID, hold("later", 10, tags=MODEL)).balance.seq

    assert seq_told(world) == seq == 6


def test_hold_of_a_call_that_nobody_ends_is_told_when_its_time_is_up(world):
    world.clock.advance(15 * MINUTE)

    world.ledger.expire_due(UID)
    world.relay.relay(UID)

    assert [message.data["seq"] for message in world.publisher.on("credit-events")] == [1, 2, 3, 4, 5]


def test_marker_has_one_number_for_each_reader(world):
    world.documents.commit([Delete(marker_path(UID))])
    world.clock.advance(1)
    world.ledger.execute(UID, charge(1))

    marker = world.documents.get(marker_path(UID)).data

    at = world.clock.now()
    assert marker == {
        "uid": UID,
        "seq": 4,
        "at": to_datetime(at),
        **{reader: waiting_since(UID, at) for reader in READERS},
    }


def test_number_of_a_reader_is_shard_and_time_and_exact_in_64_bits():
    at = 1_800_000_000_000
    numbers = [waiting_since(Uid(f"u{number}"), at) for number in range(2_000)]

    assert {number % SHARD_SPAN for number in numbers} == {at}
    assert {number // SHARD_SPAN for number in numbers} == set(range(MARKER_SHARDS))
    assert max(numbers) < 2**53
