import pytest

from shared.bootstrap import in_memory
from shared.kernel.documents import Delete, Put, Query
from shared.kernel.ids import Uid
from shared.ledger.errors import IntegrityFailed
from shared.ledger.relay import CREDIT_EVENTS, RELAY_WINDOW, Relay, marker_path, position_path
from shared.ledger.store import entry_path
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import UID, World, charge, grant


@pytest.fixture
def world() -> World:
    world = World()
    ledger = world.ledger
    ledger.execute(UID, grant("g", 100))
    ledger.execute(UID, charge("c", 30))
    return world


def published(world: World) -> list[object]:
    return [message.data["seq"] for message in world.publisher.on(CREDIT_EVENTS)]


def test_news_are_published_in_order_with_what_a_subscriber_needs(world):
    count = world.relay.relay(UID)

    assert count == 2
    messages = world.publisher.on(CREDIT_EVENTS)
    assert [message.ordering_key for message in messages] == [UID, UID]
    assert {name: messages[1].data[name] for name in ("type", "uid", "seq", "kind", "amount", "available", "held")} == {
        "type": "credits.entry",
        "uid": UID,
        "seq": 2,
        "kind": "charge",
        "amount": "-0.00003",
        "available": "0.00007",
        "held": "0",
    }


def test_news_are_told_once_when_nothing_goes_wrong(world):
    world.relay.relay(UID)
    world.relay.relay(UID)
    world.ledger.execute(UID, charge("c2", 1))
    world.relay.relay(UID)

    assert published(world) == [1, 2, 3]
    assert world.relay.pending(None, 10) == []


def test_the_marker_stays_when_it_has_moved_meanwhile(world):
    relay = world.relay
    ledger = world.ledger

    class Busy:
        def publish(self, messages):
            world.publisher.publish(messages)
            if len(published(world)) == 2:
                ledger.execute(UID, charge("meanwhile", 1))

    Relay(world.documents, ledger, Busy()).relay(UID)

    assert [uid for _, uid in relay.pending(None, 10)] == [UID]
    relay.relay(UID)
    assert published(world) == [1, 2, 3]


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_loses_nothing(world, at, when):
    faulty = FaultyDocuments(world.documents, at=at, when=when)

    with pytest.raises(Crash):
        Relay(faulty, world.ledger, world.publisher).relay(UID)
    world.relay.relay(UID)

    told = published(world)
    assert set(told) == {1, 2}
    assert told in ([1, 2], [1, 2, 1, 2])
    assert world.documents.get(marker_path(UID)) is None


def test_a_failed_publish_is_tried_again(world):
    class Down:
        def publish(self, messages):
            raise Crash

    with pytest.raises(Crash):
        Relay(world.documents, world.ledger, Down()).relay(UID)
    world.relay.relay(UID)

    assert published(world) == [1, 2]


def test_a_slower_relay_stops_where_another_was_faster(world):
    class Racing:
        def publish(self, messages):
            world.documents.commit([Put(position_path(UID), {"uid": UID, "seq": 2})])
            world.publisher.publish(messages)

    assert Relay(world.documents, world.ledger, Racing()).relay(UID) == 0


def test_a_missing_entry_is_an_alarm_not_a_gap(world):
    world.documents.commit([Delete(entry_path(UID, 2))])

    with pytest.raises(IntegrityFailed) as failure:
        world.relay.relay(UID)

    assert failure.value.params == {"uid": UID, "seq": 2, "rule": "sequence"}
    assert published(world) == []


def test_news_are_not_over_before_they_are_projected(world):
    class Slow:
        reached = 0

        def follow(self, uid, to=None):
            self.reached += 1
            return self.reached

    relay = Relay(world.documents, world.ledger, world.publisher, [Slow()])
    relay.relay(UID)
    pending = relay.pending(None, 10)
    relay.relay(UID)

    assert [uid for _, uid in pending] == [UID]
    assert relay.pending(None, 10) == []
    assert published(world) == [1, 2]


def test_the_relay_has_usage_projected_without_anybody_asking():
    services = in_memory()
    services.credits.ledger.execute(UID, grant("g", 100))
    services.credits.ledger.execute(UID, charge("c", 30))

    services.credits.relay.relay(UID)

    stored = services.ports.documents().query(Query(collection=f"accounts/{UID}/usage", limit=9))
    assert [document.data["state"] for document in stored] == [
        '{"moved":{"granted":100,"spent":-30},"uses":[["chat","","",1,30,0,0]]}'
    ]


@pytest.mark.parametrize(
    ("count", "windows"),
    [
        (RELAY_WINDOW, [RELAY_WINDOW]),
        (RELAY_WINDOW + 1, [RELAY_WINDOW, 1]),
        (2 * RELAY_WINDOW, [RELAY_WINDOW, RELAY_WINDOW]),
    ],
)
def test_many_news_are_published_window_by_window_each_once(count, windows):
    world, sizes = World(), []
    ledger = world.ledger
    ledger.execute(UID, grant("g", 1))
    for number in range(count - 1):
        ledger.execute(UID, charge(str(number), 0))

    class Counting:
        def publish(self, messages):
            sizes.append(len(messages))
            world.publisher.publish(messages)

    told = Relay(world.documents, ledger, Counting()).relay(UID)

    assert (told, sizes) == (count, windows)
    assert published(world) == list(range(1, count + 1))


def test_accounts_with_news_are_listed_page_by_page():
    world = World()
    names = [Uid(f"u{number}") for number in range(3)]
    for uid in names:
        world.ledger.execute(uid, grant("g", 1))

    first = world.relay.pending(None, 2)
    rest = world.relay.pending(first[-1][0], 2)

    assert [uid for _, uid in first + rest] == names


def test_no_news_are_none(world):
    world.relay.relay(UID)

    assert (world.relay.relay(UID), world.relay.relay(Uid("nobody"))) == (0, 0)
