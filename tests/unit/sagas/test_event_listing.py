"""The listing of providers' events: it keeps up, goes on where it was stopped, and finds what no webhook brought."""

import contextlib
from dataclasses import replace

import pytest

from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND
from shared.kernel.documents import Document, Query
from shared.payments.inbox import Inbox, path_of
from shared.payments.listings import from_data
from shared.payments.ports import Notice, Notices, ProviderRefused
from shared.payments.raw_events import readable
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.event_listing import PAGES_AT_ONCE, EventListing
from tests.support.faults import Crash, FaultyDocuments, Interrupted
from tests.support.lanes import LaneClock

RUN_SECONDS = 30.0
PAGE, SHOWN = 100, 10
"""Events of a page, and those that are made of them: the round trips take the time, and not the events."""
PROVIDER_MS, STORE_MS = 300, 50
BUSY = 100
"""Milliseconds between two events: ten a second."""
NOW = LaneClock().now()


class BusyProvider(MemoryProvider):
    """A provider with an event every `gap` ms for ever. Listing a page takes PROVIDER_MS."""

    def __init__(self, clock: LaneClock, gap: int = BUSY) -> None:
        super().__init__(clock)
        self.lanes = clock
        self.gap = gap
        self.asked: list[tuple] = []

    def notices(self, since, cursor, until=None):
        self.lanes.begin()
        self.lanes.advance(PROVIDER_MS)
        with self._lock:
            self.asked.append((since, cursor))
        newest = (until if cursor is None else int(cursor)) // self.gap
        oldest = max(newest - PAGE + 1, -(-since // self.gap))
        items = [self.notice(number) for number in range(newest, oldest - 1, -1) if number % (PAGE // SHOWN) == 0]
        return Notices(items=items, cursor=str((oldest - 1) * self.gap) if (oldest - 1) * self.gap >= since else None)

    def notice(self, number: int) -> Notice:
        return Notice(provider="stripe", id=f"evt_{number}", type="x", at=number * self.gap, is_live=False)

    def at(self, time: int) -> Notice:
        """The event of about that time."""
        return self.notice(time // self.gap // SHOWN * SHOWN)


class KnowingStore(MemoryDocuments):
    """A store that has every notice but the lost ones. Each round trip takes STORE_MS."""

    def __init__(self, clock, lost: list[Notice]) -> None:
        super().__init__()
        self._clock, self._lost = clock, {path_of(each) for each in lost}

    def get_all(self, paths):
        self._clock.advance(STORE_MS)
        if not paths[0].startswith("inbox/"):
            return super().get_all(paths)
        return [self.get(path) if path in self._lost else KNOWN for path in paths]

    def commit(self, writes, **options):
        self._clock.advance(STORE_MS)
        return super().commit(writes, **options)

    def found(self) -> list[str]:
        return [each.id for each in self.query(Query(collection="inbox", limit=1_000))]


KNOWN = Document(path="inbox/stripe:known", data={}, version=1)


class Handled:
    """A handler that only notes which notices it is to handle."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def handle(self, notice_id: str) -> None:
        self.notices.append(notice_id)


class Listed:
    """A listing over one provider, with its job's cursor."""

    def __init__(self, provider, documents, clock, cursor=f"stripe:{NOW}") -> None:
        self.clock, self.cursor, self.handled = clock, cursor, Handled()
        inbox = Inbox(documents, clock, MemoryAlerts(), {"stripe": False})
        self.listing = EventListing(documents, inbox, self.handled, lambda: {"stripe": provider}, clock)

    def list_for(self, seconds: float) -> None:
        run = JobRun(self.cursor, self.clock, seconds)
        self.listing.list_events(run)
        self.cursor = run.cursor

    def every_minute(self) -> None:
        began = self.clock.now()
        self.list_for(RUN_SECONDS)
        assert self.clock.now() - began <= (RUN_SECONDS + 5) * SECOND
        self.clock.advance(max(0, began + MINUTE - self.clock.now()))


def unfinished(documents) -> bool:
    stored = documents.get("provider_listings/stripe")
    return stored is None or bool(from_data(stored.data).unfinished)


@pytest.fixture
def clock():
    return LaneClock()


def test_a_day_of_ten_events_a_second_is_listed_in_half_an_hour(clock):
    provider = BusyProvider(clock)
    lost = provider.at(NOW - DAY + HOUR)
    documents = KnowingStore(clock, [lost])
    listed = Listed(provider, documents, clock, f"stripe:{NOW - DAY}")

    for _ in range(30):
        listed.every_minute()

    assert documents.found() == [f"stripe:{lost.id}"]
    assert int(listed.cursor.partition(":")[2]) > NOW


@pytest.mark.parametrize("gap", [MINUTE, 2 * SECOND])
def test_a_notice_lost_a_week_ago_is_found_behind_the_cursor(clock, gap):
    provider = BusyProvider(clock, gap)
    lost = provider.at(NOW - 7 * DAY)
    documents = KnowingStore(clock, [lost])
    listed = Listed(provider, documents, clock)
    clock.advance(5 * MINUTE)

    while not documents.found():
        listed.every_minute()
        assert clock.now() < NOW + 12 * HOUR

    assert documents.found() == [f"stripe:{lost.id}"]


def test_new_events_are_found_at_once_while_a_long_listing_runs(clock):
    provider = BusyProvider(clock, SECOND)
    new = provider.at(NOW + 4 * MINUTE)
    documents = KnowingStore(clock, [new])
    listed = Listed(provider, documents, clock, f"stripe:{NOW - 20 * DAY}")

    for _ in range(7):
        listed.every_minute()

    assert documents.found() == [f"stripe:{new.id}"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_listing_killed_at_any_write_goes_on_where_it_was(clock, when):
    """Whole, the listing is some 16 rounds. Killed at each of its writes, it lists few pages twice."""
    began = f"stripe:{NOW - 6 * HOUR}"
    whole = BusyProvider(LaneClock(), SECOND)
    Listed(whole, KnowingStore(whole.lanes, []), whole.lanes, began).every_minute()
    provider = BusyProvider(clock, SECOND)
    lost = [provider.at(NOW - part * HOUR) for part in range(6)]
    documents, kills = KnowingStore(clock, lost), 0
    while unfinished(documents):
        with contextlib.suppress(Crash):
            Listed(provider, FaultyDocuments(documents, at=2, when=when), clock, began).every_minute()
        kills += 1
        assert kills < len(whole.asked)

    assert kills > 3
    assert sorted(documents.found()) == sorted(f"stripe:{each.id}" for each in lost)
    assert len(provider.asked) <= len(whole.asked) + (kills + 1) * 2 * PAGES_AT_ONCE


def test_two_listings_at_once_store_each_notice_once(clock):
    provider = BusyProvider(clock, SECOND)
    lost = [provider.at(NOW - HOUR * part) for part in range(6)]
    documents = KnowingStore(clock, lost)
    began = f"stripe:{NOW - 6 * HOUR}"
    other = Listed(provider, documents, clock, began)
    interrupted = Interrupted(documents, 2, "before", lambda: other.list_for(RUN_SECONDS))
    first = Listed(provider, interrupted, clock, began)

    first.list_for(2 * RUN_SECONDS)
    for _ in range(5):
        clock.advance(5 * MINUTE)
        other.list_for(RUN_SECONDS)

    assert len(documents.found()) == len(lost)
    handled = [*first.handled.notices, *other.handled.notices]
    assert len(handled) == len(set(handled))


def test_a_cursor_that_its_provider_refuses_begins_the_period_again(clock):
    class Forgetful(BusyProvider):
        def notices(self, since, cursor, until=None):
            if cursor is not None and not self.calls["refused"]:
                self.calls["refused"] += 1
                raise ProviderRefused("stripe", "cursor_unknown")
            return super().notices(since, cursor, until)

    provider = Forgetful(clock, SECOND)
    lost = provider.at(NOW - 2 * HOUR)
    documents = KnowingStore(clock, [lost])

    listed = Listed(provider, documents, clock, f"stripe:{NOW - 3 * HOUR}")
    listed.every_minute()
    listed.every_minute()

    assert documents.found() == [f"stripe:{lost.id}"]


def test_a_cursor_that_never_moves_holds_up_no_other_period(clock):
    class Stuck(BusyProvider):
        def notices(self, since, cursor, until=None):
            page = super().notices(since, cursor, until)
            return replace(page, cursor="0") if since > NOW - 10 * HOUR else page

    provider = Stuck(clock, SECOND)
    documents = KnowingStore(clock, [provider.at(NOW - 11 * HOUR)])
    listed = Listed(provider, documents, clock, f"stripe:{NOW - 12 * HOUR}")

    for _ in range(4):
        listed.every_minute()

    assert len(documents.found()) == 1


def test_a_listing_in_an_idle_minute_reads_one_document_and_writes_none(clock):
    provider = MemoryProvider(clock)
    documents = MemoryDocuments()
    listed = Listed(provider, documents, clock)
    listed.every_minute()
    for _ in range(10):
        listed.every_minute()
    counted = FaultyDocuments(documents)
    idle = Listed(provider, counted, clock, listed.cursor)

    for _ in range(5):
        idle.every_minute()

    assert (counted.calls, counted.commits) == (1, 0)


def test_an_event_that_cannot_be_read_hides_no_other():
    def read(event):
        return Notice(provider="stripe", id=event["id"], type="x", at=0, is_live=False)

    events = [{"id": "evt_1"}, {}, {"id": "../../evil"}, {"id": "e" * 101}, {"id": "evt_2"}]

    assert [notice.id for notice in readable("stripe", events, read)] == ["evt_1", "evt_2"]
