"""Records of operations: for ever, for a time, or none at all, and each way with one effect in any weather."""

from datetime import datetime
from typing import Any, cast

import pytest

from shared.kernel.canonical import canonical
from shared.kernel.clock import from_datetime
from shared.kernel.documents import Delete, Document, Documents, PreconditionFailed, Put, Query
from shared.kernel.ids import HoldId, OperationId
from shared.kernel.money import Micro
from shared.ledger.account_documents import account_path
from shared.ledger.codec import encode_hold
from shared.ledger.errors import HoldNotFound, HoldResolved, InsufficientCredits
from shared.ledger.hold_names import capture_operation, hold_id
from shared.ledger.ledger import Ledger
from shared.ledger.named_hold import NamedHold
from shared.ledger.operation_records import PASSING_FOR, facts_of
from shared.ledger.store import AccountStore, hold_path, operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import charge, extend, grant, hold, release
from tests.support.ledger_faults import COMMIT_FAULTS, Call, Weather, fair, once
from tests.support.ledgers import KEYS, UID, ledger_on

COMMITS = 6


def call_hold(name: str, amount: int) -> Any:
    """A hold that nobody can place again, named after its operation."""
    return hold(hold_id(OperationId(name)), amount, operation=name, record="none")


def life(ledger: Ledger) -> list[Any]:
    """The day of an account whose spending nobody can repeat: what each step told, and the day's entries."""
    with_call = ledger.holding(UID, Micro(20), operation=OperationId("call"), expected_step=Micro(1), record="none")
    told = [
        with_call.capture(Micro(15)),
        _told(ledger, call_hold("hold", 30)),
        _told(ledger, charge(60, operation="too_much", record="none")),
        _told(ledger, charge(25, operation="charge", record="none")),
        _told(ledger, release(hold_id(OperationId("hold")), operation="release")),
    ]
    return [*told, [view.operation for view in ledger.entries(UID, 2, 100)]]


def _told(ledger: Ledger, command: Any) -> Any:
    try:
        outcome = ledger.execute(UID, command)
    except InsufficientCredits as refusal:
        return refusal.params
    return {name: value for name, value in facts_of(outcome.receipt).items() if name != "expires_at"}, outcome.is_replay


def begun(documents: Documents, clock: ManualClock | None = None) -> Ledger:
    ledger = ledger_on(documents, clock or ManualClock())
    ledger.execute(UID, grant("gift", 100))
    return ledger


FAIR = life(begun(MemoryDocuments()))


def stored(documents: Documents, kind: str) -> list[Document]:
    return documents.query(Query(collection=f"{account_path(UID)}/{kind}", limit=100))


def expiries(documents: Documents) -> dict[str, Any]:
    return {each.id: each.data.get("expires_at") for each in stored(documents, "operations")}


# ── one effect in any weather ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("fault", COMMIT_FAULTS)
@pytest.mark.parametrize("number", range(2, COMMITS + 1))
def test_a_commit_without_a_record_fails_once_unnoticed(number, fault, delay):
    weather = Weather(MemoryDocuments(), once("commit", number, fault), delay=delay)
    ledger = begun(weather)

    told = life(ledger)
    weather.settle()

    assert told == FAIR
    assert ledger.verify(UID) == []


@pytest.mark.parametrize("second", COMMIT_FAULTS)
@pytest.mark.parametrize("first", COMMIT_FAULTS)
@pytest.mark.parametrize("number", [2, 4])
def test_two_commits_without_a_record_fail_in_a_row_unnoticed(number, first, second):
    faults = {number: first, number + 1: second}
    weather = Weather(MemoryDocuments(), lambda call: faults.get(call.of_kind) if call.kind == "commit" else None)
    weather.delay = 3
    ledger = begun(weather)

    told = life(ledger)
    weather.settle()

    assert told == FAIR
    assert ledger.verify(UID) == []


class RepeatingStore(Weather):
    """A store whose client repeats each commit by itself, and reports only how the repetition ended."""

    def commit(self, writes: Any, **options: Any) -> Any:
        versions = super().commit(writes, **options)
        if self.script(self.calls[-1]) is None and len(self.calls) > 3:
            raise PreconditionFailed
        return versions


def test_a_commit_that_the_store_repeats_is_not_taken_for_lost():
    ledger = begun(RepeatingStore(MemoryDocuments(), fair))

    assert life(ledger) == FAIR


def test_another_instance_s_commit_makes_an_unclear_one_void():
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair, delay=50)
    ledger, other = begun(weather, clock), ledger_on(documents, clock)
    commits = sum(call.kind == "commit" for call in weather.calls)

    def script(call: Call):
        if call.kind == "read" and other.balance(UID).available == 100:
            other.execute(UID, charge(5, operation="other"))
        return "late" if (call.kind, call.of_kind) == ("commit", commits + 1) else None

    weather.script = script
    outcome = ledger.execute(UID, charge(10, operation="unclear", record="none"))
    weather.settle()

    assert (outcome.is_replay, outcome.balance.available) == (False, 85)
    assert [view.operation for view in ledger.entries(UID, 2, 9)] == ["other", "unclear"]


def test_an_unclear_commit_that_landed_before_another_instance_s_is_found():
    documents, clock = MemoryDocuments(), ManualClock()
    weather = Weather(documents, fair)
    ledger, other = begun(weather, clock), ledger_on(documents, clock)
    commits = sum(call.kind == "commit" for call in weather.calls)

    def script(call: Call):
        if call.kind == "read" and other.balance(UID).available == 90:
            other.execute(UID, charge(90, operation="other"))
        return "applied" if (call.kind, call.of_kind) == ("commit", commits + 1) else None

    weather.script = script
    outcome = ledger.execute(UID, charge(10, operation="unclear", record="none"))

    assert (outcome.is_replay, outcome.receipt.after.available) == (False, 90)
    assert [view.operation for view in ledger.entries(UID, 2, 9)] == ["unclear", "other"]


# ── lifetimes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


def test_a_call_without_a_key_leaves_one_passing_record(documents):
    clock = ManualClock()
    ledger = begun(documents, clock)
    call = ledger.holding(UID, Micro(20), operation=OperationId("call"), expected_step=Micro(1), record="none")
    call.capture(Micro(15))

    [(name, expires_at)] = [(name, at) for name, at in expiries(documents).items() if at is not None]

    assert name == capture_operation(call.id)
    assert from_datetime(cast("datetime", expires_at)) == clock.now() + PASSING_FOR
    assert stored(documents, "holds") == []
    assert documents.get(operation_path(UID, OperationId("call"))) is None


@pytest.mark.parametrize("end", ["capture", "release", "expiry"])
def test_a_call_with_a_key_leaves_records_for_ever(documents, end):
    clock = ManualClock()
    ledger = begun(documents, clock)
    call = ledger.holding(UID, Micro(20), operation=OperationId("call"), expected_step=Micro(1))
    call.write_down(Micro(10))

    ends = {"capture": lambda: call.capture(Micro(15)), "release": call.release, "expiry": lambda: clock.advance(10**7)}
    ends[end]()
    ledger.expire_due(UID)

    assert set(expiries(documents).values()) == {None}
    assert documents.get(operation_path(UID, OperationId("call"))) is not None
    assert {each.data.get("expires_at") for each in stored(documents, "holds")} <= {None}


def test_a_growing_call_without_a_key_leaves_passing_records_only(documents):
    ledger = begun(documents)
    call = ledger.holding(UID, Micro(20), operation=OperationId("call"), expected_step=Micro(1), record="none")
    call.accrue(Micro(40))
    call.write_down(Micro(50))
    call.release()

    lasting = [name for name, expires_at in expiries(documents).items() if expires_at is None]

    assert len(lasting) == 1, "the record of the grant"
    assert len(expiries(documents)) > 3


def _ended_call(documents: MemoryDocuments) -> tuple[Ledger, HoldId]:
    ledger = begun(documents)
    call = ledger.holding(UID, Micro(20), operation=OperationId("call"), expected_step=Micro(1), record="none")
    call.capture(Micro(15))
    return ledger, call.id


def _expire(documents: MemoryDocuments) -> None:
    """Do what the database does once the time to live is over."""
    passing = [each.path for each in stored(documents, "operations") if "expires_at" in each.data]
    documents.commit([Delete(path) for path in passing])


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_account_verifies_after_its_records_expired(documents, is_deleted):
    ledger, _ = _ended_call(documents)
    before = list(ledger.export(UID))
    if is_deleted:
        _expire(documents)
    clock = ManualClock()
    clock.advance(PASSING_FOR)
    cold = ledger_on(documents, clock)

    assert cold.verify(UID) == []
    assert list(cold.export(UID)) == [line for line in before if not (is_deleted and '"type":"hold"' in line)]
    assert cold.balance(UID).available == 85
    assert [each.about.purpose for each in cold.history(UID, before=None, limit=9).items if each.kind == "charge"]


def test_an_expired_record_that_is_still_stored_shows_the_hold(documents):
    ledger, name = _ended_call(documents)

    assert (ledger.hold(UID, name).status, ledger.hold(UID, name).captured) == ("captured", 15)


def test_the_hold_of_an_expired_record_is_not_found(documents):
    ledger, name = _ended_call(documents)
    _expire(documents)

    with pytest.raises(HoldNotFound):
        ledger.hold(UID, name)
    with pytest.raises(HoldNotFound):
        ledger_on(documents, ManualClock()).execute(UID, extend(name, 5))


# ── archived holds ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_charged_hold_is_archived_in_the_record_of_its_capture(documents):
    _, name = _ended_call(documents)

    with pytest.raises(HoldResolved):
        ledger_on(documents, ManualClock()).execute(UID, extend(name, 5))
    with pytest.raises(HoldResolved):
        ledger_on(documents, ManualClock()).execute(UID, release(name))
    assert documents.get(hold_path(UID, name)) is None


def test_a_hold_that_an_earlier_release_archived_is_read(documents):
    ledger, name = _ended_call(documents)
    store = AccountStore(documents, KEYS, "demo-test")
    [archived] = store.archived_holds(UID, [name]).values()
    path = hold_path(UID, name)
    _expire(documents)
    state = encode_hold(archived)
    mark = KEYS.mark(canonical({"ledger": "demo-test", "path": path, "state": state}))
    documents.commit([Put(path, {"state": state, "seal": mark})])

    assert store.archived_hold(UID, name) == archived
    assert store.archived_holds(UID, [name]) == {name: archived}
    assert NamedHold(ledger, UID, OperationId("call")).captured_so_far() == 15


def test_a_capture_under_a_name_of_its_own_archives_the_hold_apart(documents):
    ledger = begun(documents)
    ledger.execute(UID, hold("h", 20))
    NamedHold(ledger, UID, OperationId("work"), HoldId("h")).capture(Micro(5))
    ledger.execute(UID, hold("h2", 20))
    ledger.execute(UID, release("h2", operation=capture_operation(HoldId("h2"))))

    assert [each.id for each in stored(documents, "holds")] == ["h2"]
    assert ledger.hold(UID, HoldId("h")).captured == 5
    assert ledger.hold(UID, HoldId("h2")).status == "released"
