"""The saga engine: whatever dies between two steps, all ends completed, compensated, or with an owner."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from shared.kernel.clock import DAY, HOUR, SECOND, to_datetime
from shared.kernel.documents import Create
from shared.kernel.errors import Rejected, Unavailable
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.engine.leases import LeaseLost, Leases
from shared.sagas.engine.saga import Runner, Saga, Step, StepResult, progress_of
from tests.support.faults import Crash, FaultyDocuments

PATH = "orders/o1"
LEASE_SECONDS = 60


@dataclass
class World:
    """A shop outside: what was done there by key, so that doing it twice is seen; and what it does to whoever asks."""

    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    clock: ManualClock = field(default_factory=ManualClock)
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    done: dict[str, str] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    trouble: dict[str, BaseException] = field(default_factory=dict)
    after: dict[str, BaseException] = field(default_factory=dict)

    def do(self, name):
        def act(turn):
            self.calls[name] += 1
            if name in self.trouble:
                raise self.trouble[name]
            self.done.setdefault(turn.key(name), name)
            if name in self.after:
                raise self.after.pop(name)
            return StepResult(result={"by": name, "seen": sorted(turn.results)})

        return act

    def undo(self, name):
        def act(turn):
            self.calls[f"undo {name}"] += 1
            if f"undo {name}" in self.trouble:
                raise self.trouble[f"undo {name}"]
            self.done.pop(turn.key(name), None)
            return StepResult(changes={f"{name}_undone": True})

        return act

    @property
    def saga(self):
        return Saga(
            name="order",
            version=1,
            steps=(
                Step(name="reserve", do=self.do("reserve"), undo=self.undo("reserve")),
                Step(name="pay", do=self.do("pay"), is_pivot=True),
                Step(name="ship", do=self.do("ship")),
            ),
        )

    def runner(self, *sagas):
        return Runner(sagas or (self.saga,), self.clock, self.alerts)

    def begin(self, documents=None):
        leased = Leases(documents or self.documents, self.clock).create(PATH, {"due_at": None}, LEASE_SECONDS)
        self.runner().begin_saga(leased, "order", {"what": "tea"})
        return leased

    def work(self, documents=None):
        """All of it, to the end."""
        leased = self.begin(documents)
        self.runner().run_saga(leased)
        leased.free({})

    def claim(self, documents=None):
        leased = Leases(documents or self.documents, self.clock).claim(PATH, LEASE_SECONDS)
        assert leased is not None
        return leased

    def resume(self):
        self.clock.advance(LEASE_SECONDS * SECOND)
        return self.runner().run_saga(self.claim())

    def stored(self):
        found = self.documents.get(PATH)
        return None if found is None else progress_of(found.data)

    def things(self):
        return sorted(self.done.values())


class Refused(Rejected):
    code = "refused"

    def __init__(self):
        super().__init__("no")


class Down(Unavailable):
    code = "down"

    def __init__(self):
        super().__init__("down")


def test_steps_are_done_in_order_and_each_sees_what_came_before():
    world = World()
    leased = world.begin()

    assert world.runner().run_saga(leased) == "completed"

    progress = progress_of(leased.data)
    assert progress is not None
    assert progress.done == {
        "reserve": {"by": "reserve", "seen": []},
        "pay": {"by": "pay", "seen": ["reserve"]},
        "ship": {"by": "ship", "seen": ["pay", "reserve"]},
    }


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
def test_killed_at_any_write_it_is_completed_by_the_next_worker(at, when):
    world = World()
    faulty = FaultyDocuments(world.documents, at=at, when=when)
    with pytest.raises(Crash):
        world.work(faulty)

    if world.stored() is None:
        assert world.things() == []
        return
    assert world.resume() == "completed"
    assert world.things() == ["pay", "reserve", "ship"]


@pytest.mark.parametrize("name", ["reserve", "pay", "ship"])
def test_killed_after_a_step_and_before_its_record_the_step_has_one_effect(name):
    world = World()
    world.after[name] = Crash()
    with pytest.raises(Crash):
        world.runner().run_saga(world.begin())

    assert world.resume() == "completed"
    assert world.things() == ["pay", "reserve", "ship"]


@pytest.mark.parametrize("name", ["reserve", "pay"])
def test_a_refusal_before_the_pivot_is_undone(name):
    world = World()
    world.trouble[name] = Refused()
    leased = world.begin()

    assert world.runner().run_saga(leased) == "compensated"
    assert world.things() == []
    assert world.alerts.raised == []
    assert leased.data["reserve_undone"] is True


def test_a_step_that_was_refused_half_done_is_undone_as_well():
    world = World()
    world.after["reserve"] = Refused()

    assert world.runner().run_saga(world.begin()) == "compensated"
    assert world.things() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(3, 8))
def test_killed_while_undoing_it_is_undone_by_the_next_worker(at, when):
    world = World()
    world.trouble["pay"] = Refused()
    faulty = FaultyDocuments(world.documents, at=at, when=when)
    try:
        outcome = world.runner().run_saga(world.begin(faulty))
    except Crash:
        outcome = world.resume()

    assert outcome == "compensated"
    assert world.things() == []


def test_a_refusal_behind_the_pivot_is_a_dead_letter_with_an_owner_and_can_be_revived():
    world = World()
    world.trouble["ship"] = Refused()
    leased = world.begin()

    assert world.runner().run_saga(leased) == "dead"
    assert [alert.event for alert in world.alerts.raised] == ["saga_dead"]
    assert world.things() == ["pay", "reserve"]

    del world.trouble["ship"]
    world.runner().revive(leased)
    assert world.runner().run_saga(leased) == "completed"
    assert world.things() == ["pay", "reserve", "ship"]


def test_what_is_unavailable_is_waited_for_longer_and_longer():
    world = World()
    world.trouble["ship"] = Down()
    leased = world.begin()
    pauses = []

    for _ in range(4):
        assert world.runner().run_saga(leased) == "waiting"
        pauses.append((leased.data["due_at"] - to_datetime(world.clock.now())).total_seconds())

    assert pauses == [2, 4, 8, 16]


def test_a_step_that_waited_too_long_before_the_pivot_is_undone():
    world = World()
    world.trouble["reserve"] = Down()
    leased = world.begin()
    world.runner().run_saga(leased)
    world.clock.advance(2 * HOUR)

    assert world.runner().run_saga(world.claim()) == "compensated"


@pytest.mark.parametrize("name", ["pay", "ship"])
def test_a_pivot_or_a_step_behind_it_that_waited_too_long_is_never_undone(name):
    world = World()
    world.trouble[name] = Down()
    leased = world.begin()
    world.runner().run_saga(leased)
    world.clock.advance(2 * DAY)

    assert world.runner().run_saga(world.claim()) == "dead"
    assert "reserve" in world.things()


def test_an_undo_that_keeps_failing_is_a_dead_letter_and_goes_on_undoing_when_revived():
    world = World()
    world.trouble |= {"pay": Refused(), "undo reserve": Down()}
    leased = world.begin()
    assert world.runner().run_saga(leased) == "waiting"
    world.clock.advance(2 * HOUR)
    heir = world.claim()
    assert world.runner().run_saga(heir) == "dead"

    del world.trouble["undo reserve"]
    world.runner().revive(heir)

    assert world.runner().run_saga(heir) == "compensated"
    assert world.things() == []


def test_a_fault_of_ours_is_waited_out_like_an_outage():
    world = World()
    world.trouble["ship"] = ZeroDivisionError()

    assert world.runner().run_saga(world.begin()) == "waiting"


def test_a_worker_that_was_overtaken_records_nothing():
    world = World()
    zombie = world.begin()
    zombie.flush()
    world.clock.advance(LEASE_SECONDS * SECOND)
    heir = world.claim()

    with pytest.raises(LeaseLost):
        world.runner().run_saga(zombie)
    assert world.runner().run_saga(heir) == "completed"
    assert world.things() == ["pay", "reserve", "ship"]


def test_what_was_begun_under_one_version_ends_under_it():
    world = World()
    leased = world.begin()
    newer = Saga(name="order", version=2, steps=(Step(name="other", do=world.do("other")),))

    assert world.runner(world.saga, newer).run_saga(leased) == "completed"
    assert world.things() == ["pay", "reserve", "ship"]

    world.runner(world.saga, newer).begin_saga(leased, "order", {})
    assert world.runner(world.saga, newer).run_saga(leased) == "completed"
    assert "other" in world.things()


def test_a_definition_that_nobody_knows_any_more_has_an_owner():
    world = World()
    leased = world.begin()
    newer = Saga(name="order", version=2, steps=())

    assert world.runner(newer).run_saga(leased) == "dead"
    assert [alert.event for alert in world.alerts.raised] == ["saga_dead"]


def test_what_a_step_writes_is_committed_with_its_record_or_not_at_all():
    world = World()
    world.documents.commit([Create("effects/e1", {"of": "another"})])
    claim = Step(name="claim", do=lambda turn: StepResult(writes=(Create("effects/e1", {"of": "us"}),)), acts=False)
    runner = world.runner(Saga(name="order", version=1, steps=(claim, Step(name="ship", do=world.do("ship")))))
    leased = Leases(world.documents, world.clock).create(PATH, {}, LEASE_SECONDS)
    runner.begin_saga(leased, "order", {})

    with pytest.raises(LeaseLost):
        runner.run_saga(leased)
    leased.free({"is_free": True})

    assert world.things() == []
    found = world.documents.get(PATH)
    assert found is not None
    assert found.data.keys() == {"lease", "is_free"}


def test_what_does_not_act_is_recorded_with_what_comes_next():
    world = World()
    look = Step(name="look", do=lambda turn: StepResult(result={"price": 3}), acts=False)
    counted = FaultyDocuments(world.documents)
    runner = world.runner(Saga(name="order", version=1, steps=(look, *world.saga.steps)))
    leased = Leases(counted, world.clock).create(PATH, {}, LEASE_SECONDS)

    runner.begin_saga(leased, "order", {})
    runner.run_saga(leased)
    leased.free({})

    progress = world.stored()
    assert progress is not None
    assert (progress.phase, progress.done["look"]) == ("completed", {"price": 3})
    assert counted.commits == 5, "the creation, one before each step that acts, and the last"


def test_each_run_on_a_document_has_effects_of_its_own():
    world = World()
    leased = world.begin()
    world.runner().run_saga(leased)

    world.runner().begin_saga(leased, "order", {})
    world.runner().run_saga(leased)

    assert world.things() == ["pay", "pay", "reserve", "reserve", "ship", "ship"]


def test_a_saga_that_only_goes_forward_is_never_undone():
    world = World()
    world.trouble["reserve"] = Refused()
    saga = Saga(name="order", version=1, steps=world.saga.steps[:1], is_forward_only=True)
    runner = world.runner(saga)
    leased = Leases(world.documents, world.clock).create(PATH, {}, LEASE_SECONDS)
    runner.begin_saga(leased, "order", {})

    assert runner.run_saga(leased) == "dead"
    assert world.calls["undo reserve"] == 0
