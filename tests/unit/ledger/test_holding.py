"""A rolling hold in the hands of its user: grows ahead of need, ends once, whoever is faster."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, StoreUnavailable
from shared.kernel.ids import operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim
from shared.ledger.errors import HoldResolved, InsufficientCredits
from shared.ledger.holding import PATIENCE_SECONDS, Holding
from shared.ledger.ledger import Ledger
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import MINUTE, charge, close, freeze, grant, release
from tests.support.ledger_faults import Weather, fair
from tests.support.ledgers import KEYS, UID

CHAT = operation_id("chat", "1")


class Scene:
    """A ledger with 1 000 µcr whose extensions happen in place, unless the test takes them into its own hands."""

    def __init__(self, spawn: Callable[..., None] = lambda work: work()) -> None:
        self.clock, self.weather = ManualClock(), Weather(MemoryDocuments(), fair)
        self.ledger = Ledger(
            self.weather, self.clock, KEYS, ledger_id="demo-test", hold_lifetime_seconds=900, spawn=spawn
        )
        self.ledger.execute(UID, grant("gift", 1_000))

    def holding(self, amount: int, step: int = 50, operation=CHAT, **more: Any) -> Holding:
        return self.ledger.holding(UID, Micro(amount), operation=operation, expected_step=Micro(step), **more)

    def balance(self) -> tuple[int, int]:
        balance = self.ledger.balance(UID)
        return balance.available, balance.held

    def kinds(self) -> list[str]:
        kinds = frozenset({"grant", "charge", "hold", "extension", "release", "expiry", "status"})
        return [entry.kind for entry in reversed(self.ledger.history(UID, before=None, limit=99, kinds=kinds).items)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_captured_is_charged_and_the_rest_given_back(scene):
    with scene.holding(100) as hold:
        captured = hold.capture(Micro(30))

    assert (captured.amount, captured.absorbed, captured.available) == (30, 0, 970)
    assert scene.balance() == (970, 0)


def test_leaving_without_a_capture_gives_it_back(scene):
    with pytest.raises(RuntimeError), scene.holding(100):
        raise RuntimeError

    assert scene.balance() == (1_000, 0)


def test_a_hold_that_cannot_be_placed_is_refused_before_anything_begins(scene):
    with pytest.raises(InsufficientCredits):
        scene.holding(1_001)


def test_affordable_is_all_that_this_could_ever_cost(scene):
    scene.ledger.execute(UID, charge(200))

    with scene.holding(100) as hold:
        assert hold.affordable == 800


def test_a_hold_grows_ahead_of_need(scene):
    with scene.holding(100) as hold:
        assert hold.accrue(Micro(100))
        assert scene.balance() == (900, 100)
        assert hold.accrue(Micro(101))
        assert scene.balance() == (850, 150)
        assert hold.accrue(Micro(138))
        assert scene.balance() == (850, 150)
        assert hold.accrue(Micro(139))
        assert scene.balance() == (800, 200)
        assert hold.accrue(Micro(200))
        assert scene.balance() == (700, 300)


def test_a_leap_beyond_the_hold_is_covered_at_once_if_the_balance_can(scene):
    with scene.holding(100) as hold:
        assert hold.accrue(Micro(900))

        assert scene.balance()[1] >= 900


def test_a_balance_that_runs_out_says_stop_and_what_was_held_is_still_good(scene):
    with scene.holding(100) as hold:
        assert hold.accrue(Micro(1_000))
        assert not hold.accrue(Micro(1_001))
        captured = hold.capture(Micro(1_000))

    assert (captured.amount, captured.absorbed) == (1_000, 0)
    assert scene.balance() == (0, 0)


def test_a_cap_says_stop_as_the_balance_does(scene):
    with scene.holding(100, budgets=(BudgetClaim(id="key", limit=Micro(150)),)) as hold:
        assert hold.accrue(Micro(150))
        assert not hold.accrue(Micro(151))


def test_a_free_model_holds_nothing_and_asks_for_nothing(scene):
    with scene.holding(0, step=0) as hold:
        for _ in range(10):
            assert hold.accrue(Micro(0))
        hold.capture(Micro(0))

    assert scene.kinds() == ["grant", "hold", "release"]


def test_a_long_turn_renews_its_hold(scene):
    with scene.holding(100) as hold:
        for _ in range(10):
            scene.clock.advance(8 * MINUTE)
            assert hold.accrue(Micro(10))
        assert hold.capture(Micro(10)).amount == 10


def test_what_had_accrued_is_charged_when_nobody_comes_back(scene):
    hold = scene.holding(100)
    hold.accrue(Micro(70))
    scene.clock.advance(8 * MINUTE)
    hold.accrue(Micro(80))
    scene.clock.advance(15 * MINUTE)

    view = scene.ledger.hold(UID, hold.id)

    assert (view.status, view.captured, view.released) == ("expired", 80, 20)
    assert scene.balance() == (920, 0)


def test_a_hold_that_ended_early_says_stop(scene):
    """Its time ran out, or a dispute released it: nothing is set aside any more, whatever we remember."""
    hold = scene.holding(100)
    scene.ledger.execute(UID, release(hold.id))
    scene.clock.advance(8 * MINUTE)

    assert not hold.accrue(Micro(10))
    with pytest.raises(HoldResolved):
        hold.capture(Micro(10))


def test_a_capture_after_the_hold_expired_changes_nothing(scene):
    hold = scene.holding(100)
    scene.clock.advance(15 * MINUTE)

    with pytest.raises(HoldResolved), hold:
        hold.capture(Micro(10))

    assert scene.balance() == (1_000, 0)


def test_leaving_a_hold_that_ended_early_is_quiet(scene):
    with scene.holding(100):
        scene.clock.advance(15 * MINUTE)
    with scene.holding(100, operation=operation_id("chat", "2")):
        scene.ledger.execute(UID, close())

    assert scene.balance() == (0, 0)


def test_a_frozen_account_uses_up_what_is_held_and_no_more(scene):
    with scene.holding(100) as hold:
        scene.ledger.execute(UID, freeze())
        assert hold.accrue(Micro(100))
        assert not hold.accrue(Micro(101))
        assert hold.capture(Micro(100)).amount == 100


# Two threads -------------------------------------------------------------------------------------------------------


def test_an_extension_that_comes_after_the_capture_holds_nothing():
    later: list[Callable[[], None]] = []
    scene = Scene(spawn=later.append)
    hold = scene.holding(100)
    assert hold.accrue(Micro(70))

    hold.capture(Micro(70))
    for work in later:
        work()

    assert scene.balance() == (930, 0)
    assert scene.kinds() == ["grant", "hold", "charge"]


def test_an_extension_under_way_when_the_turn_is_captured_is_given_back():
    scene = Scene(spawn=lambda work: threads.append(_started(work)))
    threads: list[threading.Thread] = []
    for number in range(30):
        hold = scene.holding(20, operation=operation_id("chat", str(number)))
        assert hold.accrue(Micro(15))
        hold.capture(Micro(15))
    for thread in threads:
        thread.join(60)

    assert scene.balance() == (1_000 - 30 * 15, 0)
    assert scene.ledger.verify(UID) == []


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_caller_ahead_of_its_extension_waits_for_it():
    threads: list[threading.Thread] = []
    scene = Scene(spawn=lambda work: threads.append(_started(work)))
    hold = scene.holding(100)

    assert [hold.accrue(Micro(used)) for used in (70, 200, 210, 999, 1_000, 1_001)] == [True] * 5 + [False]
    for thread in threads:
        thread.join(60)


# A store that is away ----------------------------------------------------------------------------------------------


def test_a_store_that_is_away_for_a_while_does_not_end_a_turn(scene):
    with scene.holding(100) as hold:
        scene.weather.script = lambda call: "unavailable"
        assert hold.accrue(Micro(70))
        scene.weather.script = fair

        assert hold.accrue(Micro(500))
        assert hold.capture(Micro(500)).amount == 500


def test_an_extension_that_was_unclear_is_asked_again_as_the_same_operation(scene):
    with scene.holding(100) as hold:
        assert hold.accrue(Micro(101))
        scene.weather.script = lambda call: {"commit": "applied", "read": "unavailable"}[call.kind]
        assert hold.accrue(Micro(145))
        scene.weather.script = fair
        assert hold.accrue(Micro(146))
        assert scene.balance() == (800, 200)


def test_a_store_that_stays_away_says_stop_when_what_is_held_is_used_up(scene):
    hold = scene.holding(100)
    scene.weather.script = lambda call: "unavailable"

    assert hold.accrue(Micro(100))
    assert not hold.accrue(Micro(101))


def test_a_bug_in_an_extension_leaves_nobody_waiting():
    class Broken(MemoryDocuments):
        is_broken = False

        def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
            if self.is_broken:
                raise ZeroDivisionError
            return super().commit(writes, timeout_seconds=timeout_seconds)

    def caught(work):
        with pytest.raises(ZeroDivisionError):
            work()

    documents = Broken()
    ledger = Ledger(documents, ManualClock(), KEYS, ledger_id="d", hold_lifetime_seconds=900, spawn=caught)
    ledger.execute(UID, grant("gift", 1_000))
    hold = ledger.holding(UID, Micro(100), operation=CHAT, expected_step=Micro(50))
    documents.is_broken = True

    assert not hold.accrue(Micro(101))


def test_leaving_while_the_store_is_away_leaves_it_to_expiry(scene):
    with scene.holding(100):
        scene.weather.script = lambda call: "unavailable"
    scene.weather.script = fair
    scene.clock.advance(15 * MINUTE)

    assert scene.balance() == (1_000, 0)


# The same turn again -----------------------------------------------------------------------------------------------


def test_the_same_turn_again_finds_its_hold_and_captures_once(scene):
    first = scene.holding(100)
    first.accrue(Micro(70))
    again = scene.holding(100)

    assert (first.is_replay, again.is_replay) == (False, True)
    assert again.accrue(Micro(140))
    assert again.capture(Micro(140)).amount == first.capture(Micro(999)).amount == 140
    assert scene.balance() == (860, 0)


def test_the_same_turn_at_another_price_holds_what_was_held_then(scene):
    scene.holding(100)

    again = scene.holding(700)

    assert again.is_replay
    assert scene.balance() == (900, 100)
    assert again.accrue(Micro(600))
    assert scene.balance()[1] >= 600


def test_a_store_unavailable_is_what_callers_hear(scene):
    scene.weather.script = lambda call: "unavailable" if call.kind == "read" else None

    with pytest.raises(StoreUnavailable):
        scene.ledger.balance(UID)


# When it asks, and how long it waits ---------------------------------------------------------------------------------


def test_it_is_to_be_heard_of_four_times_in_its_life(scene):
    assert scene.holding(100).silence_seconds_max == 225.0


def test_a_hold_is_renewed_at_half_its_life_and_again_after_as_long(scene):
    hold = scene.holding(100)
    told = []
    for step in (450_000 - 1, 1, 450_000 - 1, 1):
        scene.clock.advance(step)
        assert hold.accrue(Micro(10))
        told.append(scene.kinds().count("extension"))

    assert told == [0, 1, 1, 2]
    assert scene.balance() == (900, 100)


def test_extensions_are_operations_of_their_own_counted_from_the_first(scene):
    hold = scene.holding(100)
    hold.accrue(Micro(120))
    hold.accrue(Micro(400))

    entries = scene.ledger.history(UID, before=None, limit=9, kinds=frozenset({"extension"})).items
    assert [entry.operation for entry in reversed(entries)] == [operation_id(CHAT, "extend", n) for n in ("1", "2")]


class Hopeful(ManualClock):
    """Remembers how long it was waited for; after so many waits something happens."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.waits, self.after = 0, after
        self.happens: Callable[[], object] = lambda: None

    def wait(self, seconds: float) -> None:
        self.waits += 1
        super().wait(seconds)
        if self.waits == self.after:
            self.happens()


def hopeful(after: int = 0) -> tuple[Scene, Hopeful]:
    scene, clock = Scene(), Hopeful(after)
    scene.clock = clock
    scene.ledger = Ledger(
        scene.weather, clock, KEYS, ledger_id="demo-test", hold_lifetime_seconds=900, spawn=lambda work: work()
    )
    return scene, clock


def test_who_runs_dry_while_another_holds_the_rest_waits_and_then_stops():
    scene, clock = hopeful()
    scene.holding(900, operation=operation_id("chat", "other"))
    hold = scene.holding(100)
    began = clock.monotonic()

    assert hold.accrue(Micro(150)) is False

    assert PATIENCE_SECONDS - 0.2 <= clock.monotonic() - began <= PATIENCE_SECONDS
    assert scene.balance() == (0, 1_000)


def test_patience_is_for_the_whole_of_a_use_and_not_for_each_part():
    scene, clock = hopeful()
    scene.holding(900, operation=operation_id("chat", "other"))
    hold = scene.holding(100)
    hold.accrue(Micro(150))
    waits = clock.waits

    assert hold.accrue(Micro(160)) is False
    assert clock.waits == waits


def test_who_runs_dry_goes_on_with_what_another_gives_back():
    scene, clock = hopeful(after=3)
    clock.happens = scene.holding(900, operation=operation_id("chat", "other")).release
    hold = scene.holding(100)

    assert hold.accrue(Micro(150)) is True

    assert clock.waits == 3
    assert hold.capture(Micro(150)).amount == 150
    assert scene.balance() == (850, 0)


@pytest.mark.parametrize("used", [1_001, 5_000])
def test_nobody_waits_for_what_no_other_hold_could_give_back(used):
    scene, clock = hopeful()
    hold = scene.holding(1_000)

    assert hold.accrue(Micro(1_000)) is True
    assert hold.accrue(Micro(used)) is False
    assert clock.waits == 0


def test_what_has_ended_is_not_ended_again_by_leaving(scene):
    with scene.holding(100) as hold:
        hold.release()
        released = len(scene.weather.calls)
    left = len(scene.weather.calls)
    with scene.holding(100, operation=operation_id("chat", "2")) as other:
        other.capture(Micro(1))
        captured = len(scene.weather.calls)

    assert (released, captured) == (left, len(scene.weather.calls))


def test_only_what_is_ours_to_bear_is_told_to_an_operator(scene, capsys):
    with scene.holding(100) as hold:
        hold.capture(Micro(100))
    covered = capsys.readouterr()
    with scene.holding(900, operation=operation_id("chat", "2")) as hold:
        hold.capture(Micro(901))
    absorbed = capsys.readouterr()

    assert "capture_absorbed" not in covered.out + covered.err
    assert "capture_absorbed" in absorbed.out + absorbed.err


def test_a_bound_that_was_written_down_is_charged_when_its_holder_is_gone(scene):
    hold = scene.holding(100)

    assert hold.write_down(Micro(70)).accrued == 70
    scene.clock.advance(16 * MINUTE)
    scene.ledger.expire_due(UID)

    assert scene.balance() == (930, 0)


def test_a_bound_is_no_more_than_what_is_held_until_the_hold_grows(scene):
    hold = scene.holding(100)

    assert hold.write_down(Micro(400)).accrued == 100
    hold.accrue(Micro(120))
    scene.clock.advance(16 * MINUTE)
    scene.ledger.expire_due(UID)

    assert scene.balance() == (1_000 - hold.held, 0)
    assert 100 < hold.held <= 400


def test_a_bound_gives_way_to_what_is_captured(scene):
    hold = scene.holding(100)
    hold.write_down(Micro(70))

    hold.capture(Micro(10))

    assert scene.balance() == (990, 0)


def test_a_hold_left_by_an_error_is_charged_what_was_written_down(scene):
    hold = scene.holding(100)
    hold.write_down(Micro(70))

    hold.__exit__(RuntimeError, RuntimeError(), None)

    assert scene.balance() == (930, 0)


def test_a_holder_who_owes_nothing_gets_all_back_also_what_was_written_down(scene):
    hold = scene.holding(100)
    hold.write_down(Micro(70))

    hold.release()

    assert scene.balance() == (1_000, 0)
