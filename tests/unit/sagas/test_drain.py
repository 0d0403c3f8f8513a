import threading

import pytest

from shared.bootstrap import Services, in_memory
from shared.kernel.documents import Patch, StoreUnavailable
from shared.kernel.errors import InvalidValue
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.metering.drain import DRAIN_PATH, FRESH, STALE, Drain


class Store(MemoryDocuments):
    """The memory store, which can be out of reach."""

    is_down = False
    reads = 0

    def get(self, path):
        self.reads += 1
        if self.is_down:
            raise StoreUnavailable
        return super().get(path)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def services(store) -> Services:
    return in_memory(clock=ManualClock(), documents=store)


def instance(services: Services, store: Store) -> Drain:
    return Drain(store, services.clock, services.users.audit, begin_reading=lambda read: read())


def test_nothing_is_drained_without_a_word(services, store):
    assert instance(services, store).is_on() is False


def test_another_instance_learns_of_a_drain_within_its_time(services, store):
    one, other = instance(services, store), instance(services, store)
    assert other.is_on() is False

    one.begin("a release")
    before = other.is_on()
    services.clock.advance(FRESH)
    after = [other.is_on() for _ in range(3)]

    assert (before, after) == (False, [True] * 3)
    assert one.is_on() is True


def test_a_state_is_read_once_in_its_time_however_many_ask(services, store):
    one = instance(services, store)

    for _ in range(100):
        one.is_on()

    assert store.reads == 1


def test_an_instance_that_was_idle_goes_by_no_old_state(services, store):
    one, idle = instance(services, store), Drain(store, services.clock, services.users.audit, lambda _: None)
    assert idle.is_on() is False
    one.begin("a release")
    services.clock.advance(STALE - 1)
    known = idle.is_on()

    services.clock.advance(STALE)
    begun = idle.is_on()
    one.end()
    services.clock.advance(STALE)

    assert (known, begun, idle.is_on()) == (False, True, False)


def test_the_known_state_counts_while_the_store_is_down(services, store):
    one = instance(services, store)
    one.begin("a release")
    store.is_down = True
    services.clock.advance(FRESH)

    assert one.is_on() is True
    assert instance(services, store).is_on() is False


def test_a_drain_ends_and_both_acts_are_on_record(services, store):
    one = instance(services, store)
    one.begin(" a release ")
    one.begin("again")
    one.end()
    one.end()

    services.clock.advance(FRESH)
    assert one.is_on() is False
    records = services.users.audit.page(cursor=None, limit=9).items
    assert sorted((record.act, record.reason) for record in records if record.reason) == [
        ("drain", "a release"),
        ("drain", "again"),
    ]
    assert len(records) == 4


def test_a_drain_needs_a_reason(services, store):
    with pytest.raises(InvalidValue):
        instance(services, store).begin("  ")

    assert services.users.audit.page(cursor=None, limit=9).items == ()


@pytest.mark.parametrize("value", [None, "true", "no"])
def test_an_odd_state_drains_nothing(services, store, value):
    instance(services, store).begin("a release")
    services.ports.documents().commit([Patch(DRAIN_PATH, {"is_on": value})])

    assert instance(services, store).is_on() is False


def test_later_reads_run_beside_the_calls(services):
    drain = Drain(services.ports.documents(), services.clock, services.users.audit)
    drain.is_on()
    services.clock.advance(FRESH)
    known = threading.active_count()

    assert drain.is_on() is False
    assert threading.active_count() >= known
