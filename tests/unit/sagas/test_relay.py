"""The relay on one account: each entry once when all goes well, at least once and in order whatever fails."""

from collections import Counter
from dataclasses import replace

import pytest

from shared.bootstrap import in_memory
from shared.kernel.clock import SECOND
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Delete, Document, OutcomeUnknown, Patch, PreconditionFailed, Put, Query
from shared.kernel.errors import Unavailable
from shared.kernel.ids import Uid
from shared.ledger.analytics import UsageAnalytics, day_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.markers import RELAY, is_waiting, marker_path, waiting_since
from shared.ledger.positions import older_position_path, position_path, read_position
from shared.ledger.relay import CREDIT_EVENTS, LEASE, PACE, QUIET, RELAY_WINDOW, Relay
from shared.ledger.store import entry_path
from shared.ledger.usage import UsageFold, day_of, folded
from tests.support.books import capture, hold
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledger_faults import COMMIT_FAULTS, Weather, once
from tests.support.ledgers import UID, World, charge, grant


@pytest.fixture
def world() -> World:
    world = World()
    ledger = world.ledger
    ledger.execute(UID, grant("g", 100))
    ledger.execute(UID, charge("c", 30))
    return world


CASES = [(2, 1), (2, 2), (5, 1), (5, 2), (5, 3)]
"""Entries of the account, and the commit that goes wrong. More than a few entries are claimed first."""


def grown(world: World, entries: int) -> None:
    """Let the account have this many entries."""
    for number in range(2, entries):
        world.ledger.execute(UID, charge(f"more{number}", 0))


def published(world: World) -> list[object]:
    return [message.data["seq"] for message in world.publisher.on(CREDIT_EVENTS)]


def relay_on(world: World, documents, publisher=None) -> Relay:
    return Relay(documents, world.ledger, publisher or world.publisher, world.clock)


def stored(world: World, path: str) -> Document:
    document = world.documents.get(path)
    assert document is not None
    return document


def waiting(world: World, uid: Uid = UID) -> bool:
    marker = world.documents.get(marker_path(uid))
    return marker is not None and is_waiting(marker.data, RELAY)


def is_told_in_order(world: World, last: int) -> bool:
    """Each entry came, and none before the first coming of an earlier one."""
    told = published(world)
    return list(dict.fromkeys(told)) == list(range(1, last + 1))


def usage_is_the_journal(world: World) -> bool:
    bodies = world.ledger.bodies(UID, 1, 10_000)
    days = world.documents.query(Query(collection=f"accounts/{UID}/usage", limit=99))
    before = [document.data["state"] for document in days]
    UsageAnalytics(world.documents, world.ledger, world.clock).rebuild(UID)
    rebuilt = world.documents.query(Query(collection=f"accounts/{UID}/usage", limit=99))
    report = UsageAnalytics(world.documents, world.ledger, world.clock).report(UID, "0000-01-01", "9999-12-31")
    return before == [each.data["state"] for each in rebuilt] and report.days == folded(UsageFold(), bodies).days


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
    assert not world.relay.is_any_waiting()


def test_marker_keeps_the_oldest_time_until_the_relay_clears_it(world):
    first = world.clock.now()
    world.clock.advance(5 * SECOND)
    world.ledger.execute(UID, charge("c2", 1))
    before = stored(world, marker_path(UID)).data

    world.relay.relay(UID)

    assert (before["seq"], before["relay"]) == (3, waiting_since(UID, first))
    cleared = stored(world, marker_path(UID)).data
    assert cleared == {**before, "relay": None}
    world.ledger.execute(UID, charge("c3", 1))
    assert stored(world, marker_path(UID)).data["relay"] == waiting_since(UID, world.clock.now())


class Bill:
    """Documents that count the documents read and written, as Firestore bills them."""

    def __init__(self, inner):
        self.inner = inner
        self.counts = Counter[str]()

    def get(self, path):
        self.counts["reads"] += 1
        return self.inner.get(path)

    def get_all(self, paths):
        self.counts["reads"] += len(paths)
        return self.inner.get_all(paths)

    def query(self, query):
        found = self.inner.query(query)
        self.counts["reads"] += max(1, len(found))
        return found

    def commit(self, writes, **options):
        versions = self.inner.commit(writes, **options)
        self.counts["deletes"] += sum(isinstance(write, Delete) for write in writes)
        self.counts["writes"] += sum(not isinstance(write, Delete) for write in writes)
        return versions


def test_relay_of_a_call_costs_four_reads_and_four_writes(world):
    world.relay.relay(UID)
    world.clock.advance(PACE)
    world.ledger.execute(UID, hold("h", 20))
    world.ledger.execute(UID, capture("h", 20))
    bill = Bill(world.documents)
    ledger = replace(world, documents=bill).ledger

    Relay(bill, ledger, world.publisher, world.clock).relay(UID, world.documents.get(marker_path(UID)))

    assert bill.counts == {"reads": 4, "writes": 4, "deletes": 0}
    assert published(world) == [1, 2, 3, 4]
    assert not waiting(world)


def test_busy_account_is_followed_until_its_marker_is_cleared(world):
    ledger = world.ledger

    class Busy:
        def publish(self, messages):
            world.publisher.publish(messages)
            if len(published(world)) == 2:
                ledger.execute(UID, charge("meanwhile", 1))

    relay_on(world, world.documents, Busy()).relay(UID)

    assert published(world) == [1, 2, 3]
    assert not waiting(world)


def test_relay_stops_at_its_deadline_and_leaves_the_marker(world):
    ledger = world.ledger

    class Endless:
        def publish(self, messages):
            world.publisher.publish(messages)
            ledger.execute(UID, charge(f"c{len(published(world))}", 0))

    relay_on(world, world.documents, Endless()).relay(UID, deadline=Deadline.within(world.clock, 5))

    assert waiting(world)
    world.relay.relay(UID)
    assert is_told_in_order(world, ledger.balance(UID).seq)
    assert not waiting(world)


def test_entries_of_a_busy_account_are_collected_for_the_pace(world):
    world.relay.relay(UID)
    world.ledger.execute(UID, charge("c2", 1))
    before = world.clock.now()

    world.relay.relay(UID)

    assert world.clock.now() - before == PACE


@pytest.mark.parametrize(("entries", "at"), CASES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_loses_nothing(world, entries, at, when):
    grown(world, entries)
    faulty = FaultyDocuments(world.documents, at=at, when=when)

    with pytest.raises(Crash):
        relay_on(world, faulty).relay(UID)
    world.clock.advance(LEASE)
    world.relay.relay(UID)

    assert is_told_in_order(world, entries)
    assert len(published(world)) <= 2 * entries
    assert not waiting(world)
    assert usage_is_the_journal(world)


@pytest.mark.parametrize(("entries", "at"), CASES)
@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("delay", [1, 3])
def test_unclear_commit_anywhere_loses_nothing(world, entries, at, fault, delay):
    grown(world, entries)
    weather = Weather(world.documents, once("commit", at, fault), delay=delay)

    try:
        relay_on(world, weather).relay(UID)
    except Unavailable:
        world.clock.advance(LEASE)
    weather.settle()
    world.relay.relay(UID)

    once_told = list(range(1, entries + 1))
    assert published(world) in (once_told, 2 * once_told)
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_unclear_commit_of_the_position_publishes_nothing_twice(world):
    for fault in COMMIT_FAULTS:
        seq = world.ledger.execute(UID, charge(f"more {fault}", 0)).balance.seq
        weather = Weather(world.documents, once("commit", 2, fault), delay=2)
        if fault == "unavailable":
            with pytest.raises(Unavailable):
                relay_on(world, weather).relay(UID)
            world.clock.advance(LEASE)
            world.relay.relay(UID)
        else:
            before = len(published(world))
            relay_on(world, weather).relay(UID)
            assert len(set(published(world)[before:])) == len(published(world)[before:])
        assert is_told_in_order(world, seq)


def test_entries_under_a_lease_are_left_to_its_relay(world):
    class Nosy:
        def publish(self, messages):
            assert world.relay.relay(UID) == 0
            world.publisher.publish(messages)

    grown(world, 5)
    relay_on(world, world.documents, Nosy()).relay(UID)

    assert published(world) == [1, 2, 3, 4, 5]


def test_few_entries_after_a_pause_are_published_without_a_claim(world):
    documents = FaultyDocuments(world.documents)

    relay_on(world, documents).relay(UID)

    assert (documents.commits, published(world)) == (2, [1, 2])
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_entries_after_a_window_are_claimed_until_the_pause_is_over(world):
    world.relay.relay(UID)
    made = []
    for pause in (PACE, QUIET):
        world.clock.advance(pause)
        world.ledger.execute(UID, charge(f"after {pause}", 0))
        documents = FaultyDocuments(world.documents)
        relay_on(world, documents).relay(UID)
        made.append(documents.commits)

    assert (made, published(world)) == ([3, 2], [1, 2, 3, 4])


def test_two_relays_after_a_pause_tell_each_entry_in_order(world):
    class Nosy:
        def publish(self, messages):
            world.ledger.execute(UID, charge("meanwhile", 0))
            world.relay.relay(UID)
            world.publisher.publish(messages)

    relay_on(world, world.documents, Nosy()).relay(UID)

    assert is_told_in_order(world, 3)
    assert len(published(world)) <= 5
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_claim_whose_time_is_up_is_published_again(world):
    class Paused:
        def publish(self, messages):
            world.clock.advance(LEASE)
            assert world.relay.relay(UID) == 2
            world.publisher.publish(messages)

    relay_on(world, world.documents, Paused()).relay(UID)

    assert published(world) == [1, 2, 1, 2]
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_relay_that_loses_its_claim_to_another_tries_again(world):
    class Racing:
        def __init__(self, inner):
            self.inner = inner
            self.races = 1

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def commit(self, writes, **options):
            if self.races:
                self.races = 0
                UsageAnalytics(world.documents, world.ledger, world.clock).report(UID, "0000-01-01", "9999-12-31")
            return self.inner.commit(writes, **options)

    assert relay_on(world, Racing(world.documents)).relay(UID) == 2
    assert usage_is_the_journal(world)


@pytest.mark.parametrize("act", ["report", "rebuild"])
def test_usage_read_or_rebuilt_while_publishing_adds_each_entry_once(world, act):
    analytics = UsageAnalytics(world.documents, world.ledger, world.clock)

    class Reading:
        def publish(self, messages):
            world.publisher.publish(messages)
            if act == "report":
                analytics.report(UID, "0000-01-01", "9999-12-31")
            else:
                position = read_position(world.documents, UID)
                cleared = replace(position, usage=UsageFold(), is_clearing=True)
                world.documents.commit([cleared.write()])

    relay_on(world, world.documents, Reading()).relay(UID)

    assert published(world) == [1, 2]
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_a_failed_publish_frees_the_position_for_the_next_try(world):
    class Down:
        def publish(self, messages):
            raise Unavailable("down")

    with pytest.raises(Unavailable):
        relay_on(world, world.documents, Down()).relay(UID)
    world.relay.relay(UID)

    assert published(world) == [1, 2]


def test_unreadable_usage_publishes_nothing_again_and_again(world):
    world.documents.commit([Put(day_path(UID, day_of(world.clock.now())), {"state": "nothing"})])

    for _ in range(3):
        with pytest.raises(IntegrityFailed):
            world.relay.relay(UID)

    assert published(world) == []
    assert waiting(world)


def test_relay_whose_position_always_changes_gives_up(world):
    class Losing:
        def __init__(self, inner):
            self.inner = inner
            self.commits = 0

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def commit(self, writes, **options):
            self.commits += 1
            if self.commits > 1:
                raise OutcomeUnknown
            return self.inner.commit(writes, **options)

    grown(world, 5)
    with pytest.raises((PreconditionFailed, OutcomeUnknown)):
        relay_on(world, Losing(world.documents)).relay(UID)


def test_relay_whose_marker_is_never_cleared_ends_at_its_deadline(world):
    class Unclear:
        """A store whose answer to each clearing is lost."""

        def __getattr__(self, name):
            return getattr(world.documents, name)

        def commit(self, writes, **options):
            if any(write.path == marker_path(UID) for write in writes):
                raise OutcomeUnknown
            return world.documents.commit(writes, **options)

    assert relay_on(world, Unclear()).relay(UID) == 2
    assert (published(world), waiting(world)) == ([1, 2], True)


def test_a_missing_entry_is_an_alarm_not_a_gap(world):
    world.documents.commit([Delete(entry_path(UID, 2))])

    with pytest.raises(IntegrityFailed) as failure:
        world.relay.relay(UID)

    assert failure.value.params == {"uid": UID, "seq": 2, "rule": "sequence"}
    assert published(world) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"hash": "0" * 64}, "hash"),
        ({"signature": "A" * 88}, "signature"),
        ({"kind": "grant"}, "kind"),
        ({"body": "{}"}, "canonical"),
    ],
)
def test_entry_that_the_ledger_did_not_write_is_not_published(world, change, rule):
    world.documents.commit([Patch(entry_path(UID, 2), change)])

    with pytest.raises(IntegrityFailed) as failure:
        world.relay.relay(UID)

    assert failure.value.params == {"uid": UID, "seq": 2, "rule": rule}
    assert published(world) == []


@pytest.mark.parametrize("is_read_before", [False, True])
def test_signed_entry_of_another_history_breaks_the_link(world, is_read_before):
    other = World(clock=world.clock)
    ledger = other.ledger
    ledger.execute(UID, grant("other", 7))
    ledger.execute(UID, charge("other", 3))
    if is_read_before:
        first = stored(world, entry_path(UID, 2))
        world.documents.commit([Delete(entry_path(UID, 2)), Patch(marker_path(UID), {"seq": 1})])
        world.relay.relay(UID)
        world.documents.commit([Put(entry_path(UID, 2), first.data), Patch(marker_path(UID), {"seq": 2, "relay": 1})])
    world.documents.commit([Put(entry_path(UID, 2), stored(other, entry_path(UID, 2)).data)])

    with pytest.raises(IntegrityFailed) as failure:
        world.relay.relay(UID)

    assert failure.value.params["rule"] == "link"


def test_relay_adds_entries_to_the_usage_without_anybody_asking():
    services = in_memory()
    services.credits.ledger.execute(UID, grant("g", 100))
    services.credits.ledger.execute(UID, charge("c", 30))

    services.credits.relay.relay(UID)

    days = services.ports.documents().query(Query(collection=f"accounts/{UID}/usage", limit=9))
    assert [document.data["state"] for document in days] == [
        '{"moved":{"granted":100,"spent":-30},"uses":[["chat","","",1,30,0,0]]}'
    ]


@pytest.mark.parametrize(
    ("count", "windows"),
    [
        (RELAY_WINDOW, [RELAY_WINDOW]),
        (RELAY_WINDOW + 1, [RELAY_WINDOW, 1]),
    ],
)
def test_many_news_are_published_window_by_window_each_once(count, windows):
    world, sizes = World(), []
    ledger = world.ledger
    ledger.execute(UID, grant("g", 1))
    ledger.execute_all(UID, [charge(str(number), 0) for number in range(count - 1)])

    class Counting:
        def publish(self, messages):
            sizes.append(len(messages))
            world.publisher.publish(messages)

    told = relay_on(world, world.documents, Counting()).relay(UID)

    assert (told, sizes) == (count, windows)
    assert published(world) == list(range(1, count + 1))


def test_no_news_are_none(world):
    world.relay.relay(UID)

    assert (world.relay.relay(UID), world.relay.relay(Uid("nobody"))) == (0, 0)


# Documents and instances of earlier releases ---------------------------------------------------------------------


def of_an_earlier_release(world: World, published_to: int, added_up_to: int) -> None:
    """Store what an earlier release would have: no field in the marker, and two positions."""
    marker = stored(world, marker_path(UID))
    data = {name: value for name, value in marker.data.items() if name != RELAY}
    bodies = world.ledger.bodies(UID, 1, added_up_to)
    world.relay.relay(UID)
    world.publisher._messages.clear()
    world.documents.commit([Put(marker.path, data), Delete(position_path(UID))])
    days = world.documents.query(Query(collection=f"accounts/{UID}/usage", limit=99))
    world.documents.commit([Delete(day.path) for day in days])
    usage = UsageAnalytics(world.documents, world.ledger, world.clock)
    if bodies:
        usage.follow(UID, added_up_to, steps=1)
    old_usage(world)
    if published_to:
        world.documents.commit([Put(older_position_path(UID), {"uid": UID, "seq": published_to})])


def old_usage(world: World) -> None:
    """Let an earlier release write the position: it keeps the three fields that it knows."""
    found = world.documents.get(position_path(UID))
    if found is not None:
        kept = {name: found.data[name] for name in ("seq", "open", "is_clearing")}
        world.documents.commit([Put(found.path, kept, found.version)])


@pytest.mark.parametrize("published_to", [0, 1, 2])
@pytest.mark.parametrize("added_up_to", [0, 2])
def test_documents_of_an_earlier_release_are_followed_from_their_place(world, published_to, added_up_to):
    of_an_earlier_release(world, published_to, added_up_to)

    world.relay.relay(UID)

    assert published(world) == list(range(published_to + 1, 3))
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_marker_that_an_earlier_release_deletes_is_written_by_the_next_entry(world):
    world.relay.relay(UID)
    marker = stored(world, marker_path(UID))
    world.documents.commit([Delete(marker.path, marker.version)])

    world.ledger.execute(UID, charge("c2", 1))
    world.relay.relay(UID)

    assert published(world) == [1, 2, 3]


def test_marker_deleted_by_an_earlier_release_while_relaying_is_no_error(world):
    class Deleting:
        def publish(self, messages):
            world.publisher.publish(messages)
            world.documents.commit([Delete(marker_path(UID))])

    assert relay_on(world, world.documents, Deleting()).relay(UID) == 2
    assert world.documents.get(marker_path(UID)) is None


def test_position_written_by_an_earlier_release_adds_nothing_twice(world):
    world.relay.relay(UID)
    old_usage(world)
    world.ledger.execute(UID, charge("c2", 1))

    world.relay.relay(UID)

    assert is_told_in_order(world, 3)
    assert not waiting(world)
    assert usage_is_the_journal(world)


def test_older_marker_keeps_its_first_news_when_written_again(world):
    of_an_earlier_release(world, 0, 0)

    world.ledger.execute(UID, charge("c2", 1))

    assert stored(world, marker_path(UID)).data["relay"] == waiting_since(UID, world.clock.now())


def test_usage_of_each_day_is_in_one_document(world):
    world.relay.relay(UID)

    assert isinstance(world.documents.get(day_path(UID, day_of(world.clock.now()))), Document)
