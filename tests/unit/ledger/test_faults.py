"""Check that callers hear the true outcome, and that nothing happens twice, if a call of the store fails.

Method: the store fails at each call in turn, in each way: before, after, or without an answer.
"""

from collections.abc import Callable
from typing import Any

import pytest

from shared.kernel.documents import OutcomeUnknown, PreconditionFailed, StoreUnavailable
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.ids import OperationId
from shared.ledger.committer import OPERATION_SECONDS_MAX
from shared.ledger.errors import Contended, InsufficientCredits
from shared.ledger.ledger import Ledger
from shared.ledger.operation_records import facts_of
from shared.ledger.store import operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import capture, charge, grant, hold, release, reverse
from tests.support.ledger_faults import COMMIT_FAULTS, Call, Weather, fair, once
from tests.support.ledgers import KEYS, UID

READS, COMMITS = 5, 7


def instance(documents, clock) -> Ledger:
    return Ledger(documents, clock, KEYS, ledger_id="demo-test", hold_lifetime_seconds=900)


def life(ledger: Ledger) -> list[Any]:
    """One account's day: what each step told."""
    steps: list[Callable[[], Any]] = [
        lambda: ledger.execute(UID, grant("gift", 100, operation="grant")),
        lambda: ledger.execute(UID, hold("h", 60, operation="hold")),
        lambda: ledger.execute(UID, charge(50, operation="too_much")),
        lambda: ledger.execute(UID, capture("h", 20, operation="capture")),
        lambda: ledger.execute(UID, release("h", operation="late")),
        lambda: ledger.execute(UID, hold("h2", 30, operation="hold2")),
        lambda: ledger.execute(UID, release("h2", operation="release2")),
        lambda: ledger.execute(UID, reverse("gift", 90, operation="reverse")),
        lambda: ledger.execute(UID, charge(1, operation="nothing_left")),
        lambda: ledger.execute(UID, capture("h", 20, operation="capture")),
    ]
    return [_told(step) for step in steps]


def _told(step: Callable[[], Any]) -> Any:
    try:
        outcome = step()
    except DomainError as refusal:
        return type(refusal).__name__, refusal.params
    return {name: value for name, value in facts_of(outcome.receipt).items() if name != "expires_at"}, outcome.is_replay


FAIR = life(instance(MemoryDocuments(), ManualClock()))


def test_the_day_in_fair_weather():
    names = [told if isinstance(told, str) else "ok" for told, _ in FAIR]

    refused = {2: "InsufficientCredits", 4: "HoldResolved", 8: "InsufficientCredits"}
    assert names == [refused.get(step, "ok") for step in range(10)]
    assert FAIR[-1] == (FAIR[3][0], True)


def test_the_day_makes_as_many_calls_as_we_let_fail():
    weather = Weather(MemoryDocuments(), fair)
    life(instance(weather, ManualClock()))

    calls = [call.kind for call in weather.calls]

    assert (calls.count("read"), calls.count("commit")) >= (READS, COMMITS)


@pytest.mark.parametrize("number", range(1, READS + 1))
def test_a_read_that_fails_once_is_not_noticed(number):
    weather = Weather(MemoryDocuments(), once("read", number, "unavailable"))

    assert life(instance(weather, ManualClock())) == FAIR


@pytest.mark.parametrize("delay", [1, 2, 3, 4])
@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_a_commit_that_fails_once_in_any_way_is_not_noticed(number, fault, delay):
    weather = Weather(MemoryDocuments(), once("commit", number, fault), delay=delay)
    ledger = instance(weather, ManualClock())

    told = life(ledger)
    weather.settle()

    assert told == FAIR
    assert ledger.verify(UID) == []


@pytest.mark.parametrize("second", COMMIT_FAULTS)
@pytest.mark.parametrize("first", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_two_commits_in_a_row_that_fail_are_not_noticed(number, first, second):
    faults = {number: first, number + 1: second}
    weather = Weather(MemoryDocuments(), lambda call: faults.get(call.of_kind) if call.kind == "commit" else None)
    weather.delay = 3
    ledger = instance(weather, ManualClock())

    told = life(ledger)
    weather.settle()

    assert told == FAIR
    assert ledger.verify(UID) == []


def test_a_commit_lands_late_after_its_read_back_and_is_counted_once():
    """Unclear; the read-back does not see it; it lands before the second try."""
    weather = Weather(MemoryDocuments(), fair, delay=2)
    ledger = instance(weather, ManualClock())
    ledger.execute(UID, grant("gift", 100))
    commits = sum(call.kind == "commit" for call in weather.calls)
    weather.script = once("commit", commits + 1, "late")

    outcome = ledger.execute(UID, charge(10))

    assert outcome.is_replay is False
    assert ledger.balance(UID).available == 90


def test_a_refusal_after_an_unclear_commit_is_told_only_once_that_can_not_land_any_more():
    """Unclear; meanwhile another instance spends everything: the refusal must win the precondition first."""
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair, delay=50)
    ledger, other = instance(weather, clock), instance(documents, clock)
    ledger.execute(UID, grant("gift", 100))
    commits = sum(call.kind == "commit" for call in weather.calls)

    def script(call: Call):
        if call.kind == "read":
            other.execute(UID, charge(95, operation="other"))
        return "late" if (call.kind, call.of_kind) == ("commit", commits + 1) else None

    weather.script = script
    with pytest.raises(InsufficientCredits):
        ledger.execute(UID, charge(10, operation="late"))
    weather.settle()

    assert documents.get(operation_path(UID, OperationId("late"))) is None
    assert ledger.balance(UID).available == 5
    assert ledger.verify(UID) == []


def test_time_turns_an_unclear_success_into_a_refusal_that_is_fenced():
    """The hold expires between the unclear commit and the next try: refused, and the first one can never land."""
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair, delay=500)
    ledger = instance(weather, clock)
    ledger.execute(UID, grant("gift", 100, expires_at=clock.now() + 1_000))
    commits = sum(call.kind == "commit" for call in weather.calls)

    def script(call: Call):
        if (call.kind, call.of_kind) == ("commit", commits + 1):
            clock.advance(2_000)
            return "late"
        return None

    weather.script = script
    with pytest.raises(InsufficientCredits):
        ledger.execute(UID, charge(10, operation="late"))
    weather.settle()

    assert documents.get(operation_path(UID, OperationId("late"))) is None
    assert ledger.verify(UID) == []


def test_a_fence_that_is_unclear_itself_is_put_up_again():
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair, delay=500)
    ledger = instance(weather, clock)
    ledger.execute(UID, grant("gift", 100, expires_at=clock.now() + 1_000))
    commits = sum(call.kind == "commit" for call in weather.calls)
    faults = dict(zip(range(commits + 1, commits + 5), ("late", "lost", "unavailable", "late"), strict=True))

    def script(call: Call):
        if call.kind == "commit" and call.of_kind == commits + 1:
            clock.advance(2_000)
        return faults.get(call.of_kind) if call.kind == "commit" else None

    weather.script = script
    with pytest.raises(InsufficientCredits):
        ledger.execute(UID, charge(10, operation="late"))
    weather.settle()

    assert documents.get(operation_path(UID, OperationId("late"))) is None
    assert ledger.balance(UID).available == 0
    assert ledger.verify(UID) == []


# Bad weather that does not end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("unavailable", (Contended, StoreUnavailable)),
        ("precondition", (Contended,)),
        ("lost", (OutcomeUnknown,)),
        ("late", (OutcomeUnknown,)),
    ],
)
def test_a_store_that_stays_down_is_told_in_time_and_truly(fault, told):
    clock = ManualClock()
    weather = Weather(MemoryDocuments(), fair, delay=10**9)
    ledger = instance(weather, clock)
    ledger.execute(UID, grant("gift", 100))
    began = clock.monotonic()
    weather.script = lambda call: fault if call.kind == "commit" else None

    with pytest.raises(Unavailable) as failure:
        ledger.execute(UID, charge(10, operation="c"))

    assert isinstance(failure.value, told)
    assert OPERATION_SECONDS_MAX <= clock.monotonic() - began < OPERATION_SECONDS_MAX + 1
    weather.script = fair
    weather.settle()
    assert ledger.execute(UID, charge(10, operation="c")).is_replay is (fault == "late")
    assert ledger.balance(UID).available == 90


def test_a_store_that_cannot_be_read_is_told_in_time():
    clock = ManualClock()
    weather = Weather(MemoryDocuments(), lambda call: "unavailable" if call.kind == "read" else None)

    with pytest.raises(Unavailable) as failure:
        instance(weather, clock).execute(UID, grant("gift", 1))

    assert isinstance(failure.value, Contended | StoreUnavailable)


def test_what_is_unclear_at_the_deadline_is_never_refused_by_the_same_instance_while_it_may_land():
    """Told OutcomeUnknown; asked again when it would be refused: the refusal waits for a fence."""
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair, delay=10**9)
    ledger = instance(weather, clock)
    ledger.execute(UID, grant("gift", 100, expires_at=clock.now() + 26_000))
    weather.script = lambda call: "late" if call.kind == "commit" else None
    with pytest.raises(OutcomeUnknown):
        ledger.execute(UID, charge(10, operation="c"))
    weather.script = fair
    clock.advance(26_000)

    with pytest.raises(InsufficientCredits):
        ledger.execute(UID, charge(10, operation="c"))
    weather.settle()

    assert documents.get(operation_path(UID, OperationId("c"))) is None


def test_opening_an_account_that_is_open_is_nothing():
    ledger = instance(MemoryDocuments(), ManualClock())
    ledger.execute(UID, grant("gift", 1))

    ledger.open(UID)
    ledger.open(UID)

    assert ledger.balance(UID).available == 1
    assert ledger.verify(UID) == []


def test_an_account_opened_between_the_read_and_the_commit_is_no_obstacle():
    documents, clock = MemoryDocuments(), ManualClock()
    other = instance(documents, clock)

    def script(call: Call):
        if call.kind == "commit":
            other.open(UID)

    ledger = instance(Weather(documents, script), clock)

    ledger.execute(UID, grant("gift", 1))

    assert ledger.balance(UID).available == 1
    assert ledger.verify(UID) == []


def test_spurious_conflicts_cost_time_and_nothing_else():
    weather = Weather(
        MemoryDocuments(), lambda call: "precondition" if call.kind == "commit" and call.of_kind % 3 else None
    )

    assert life(instance(weather, ManualClock())) == FAIR


def test_a_precondition_failed_is_never_seen_by_a_caller():
    assert not any(told[0] == PreconditionFailed.__name__ for told in FAIR)
