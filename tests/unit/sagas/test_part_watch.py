"""Watch of the parts: one alert for each outage, which ends by itself, and fresh states for the status page."""

from dataclasses import dataclass, field, replace
from threading import Event

import pytest

from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.errors import NotFound, Unavailable
from shared.kernel.settings import SigningKey
from shared.ledger.key_registry import NO_KEYS
from shared.ledger.key_ring import KeyRing
from shared.platform.memory.alerts import Alert, MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.sagas.engine.job_board import JobEnd, JobState
from shared.sagas.engine.jobs import JobRun
from shared.sagas.health.looks import NO_ANSWER, look_at_all, signing_look
from shared.sagas.health.parts import PartState
from shared.sagas.health.watch import FRESH, OWN_LOOK_EVERY, PartWatch


class PartDown(Unavailable):
    code = "part_down"

    def __init__(self) -> None:
        super().__init__("The part is down.")


@dataclass
class Parts:
    """Parts that a test stops and starts. `looked` counts the looks at all of them."""

    names: list[str] = field(default_factory=lambda: ["broker", "identity"])
    down: set[str] = field(default_factory=set)
    looked: int = 0

    def looks(self):
        self.looked += 1
        return {name: lambda name=name: self.look(name) for name in self.names}

    def look(self, name):
        if name in self.down:
            raise PartDown


class Ends(MemoryAlerts):
    """Alerts that also remember their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[tuple] = []

    def resolve(self, event, **fields):
        self.ended.append((event, fields))


@dataclass
class Bench:
    clock: ManualClock = field(default_factory=ManualClock)
    parts: Parts = field(default_factory=Parts)
    alerts: Ends = field(default_factory=Ends)
    cursor: str = ""

    def __post_init__(self) -> None:
        self.watch = PartWatch(self.parts.looks, self.alerts, self.clock)

    def minute(self) -> JobState:
        """Run the job once, as each minute does, and return its state on the board."""
        self.clock.advance(MINUTE)
        run = JobRun(self.cursor, self.clock, 30)
        self.watch.run(run)
        self.cursor = run.cursor
        return JobState(cursor=run.cursor, last=JobEnd(at=self.clock.now(), millis=0, done=run.done))


@pytest.fixture
def bench():
    return Bench()


def test_part_that_is_down_for_two_looks_is_one_alert(bench):
    bench.minute()
    bench.parts.down = {"broker"}
    bench.minute()
    after_one = list(bench.alerts.raised)
    bench.minute()

    assert after_one == []
    assert bench.alerts.raised == [Alert("component_down", {"part": "broker", "code": "part_down"})]


def test_alert_ends_once_when_the_part_answers_again(bench):
    bench.parts.down = {"broker"}
    for _ in range(4):
        bench.minute()
    bench.parts.down = set()
    for _ in range(3):
        bench.minute()

    assert bench.alerts.ended == [("component_down", {"part": "broker"})]


def test_short_outage_is_no_alert(bench):
    for is_down in (False, True, False, True, False):
        bench.parts.down = {"broker"} if is_down else set()
        bench.minute()

    assert (bench.alerts.raised, bench.alerts.ended) == ([], [])


def test_alert_of_a_part_that_the_settings_no_longer_name_ends(bench):
    bench.parts.down = {"broker"}
    bench.minute(), bench.minute()
    bench.parts.names = ["identity"]
    bench.minute()

    assert bench.alerts.ended == [("component_down", {"part": "broker"})]


def test_status_page_uses_the_job_s_look_while_fresh(bench):
    board = bench.minute()
    bench.clock.advance(FRESH)
    states = bench.watch.states(board)

    assert bench.parts.looked == 1
    assert states == {name: PartState(code="", since=bench.clock.now() - FRESH) for name in ("broker", "identity")}


def test_instance_looks_itself_if_the_schedule_has_stopped(bench):
    board = bench.minute()
    bench.parts.down = {"identity"}
    bench.clock.advance(FRESH + SECOND)
    first, again = bench.watch.states(board), bench.watch.states(board)
    bench.clock.advance(OWN_LOOK_EVERY)
    later = bench.watch.states(board)

    assert first["identity"].code == "part_down"
    assert first is again
    assert later["identity"].since == first["identity"].since
    assert bench.parts.looked == 3


def test_part_without_an_answer_delays_no_other_look():
    stuck = Event()

    def missing():
        raise NotFound("There is nothing.")

    found = look_at_all({"slow": stuck.wait, "missing": missing, "fine": lambda: None}, seconds=0.2)
    stuck.set()

    assert found == {"slow": NO_ANSWER, "missing": "", "fine": ""}


def test_signing_key_is_well_while_one_is_in_force():
    clock = ManualClock()
    seed = SigningKey(kid="k1", seed=bytes(range(32)))
    look = signing_look(lambda: KeyRing((seed,)), lambda: None, clock)

    assert look_at_all({"signing_key": look}) == {"signing_key": ""}


def test_signing_key_is_down_once_the_registry_ended_it():
    clock = ManualClock()
    ring = KeyRing((SigningKey(kid="k1", seed=bytes(range(32))),))
    ended = replace(ring.held[0], until=clock.now() - SECOND)
    look = signing_look(lambda: ring, lambda: replace(NO_KEYS, keys=(ended,)), clock)

    assert look_at_all({"signing_key": look}) == {"signing_key": "no_signing_key"}
