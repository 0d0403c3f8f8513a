"""The checker finds nothing in a true history, and every kind of lie in one that was tampered with."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.documents import Delete, Documents, Put, Version, Write
from shared.kernel.ids import HoldId, OperationId
from shared.ledger.ledger import Ledger
from shared.platform.memory.documents import MemoryDocuments
from tests.chaos.plan import accounts, plan
from tests.chaos.worker import Storm, left_to_do
from tests.support.history import Ask, Call, Recorder, read_history
from tests.support.history_books import Book, read_book
from tests.support.history_checker import anomalies
from tests.support.ledgers import KEYS

OPERATIONS = 300
INSTANCES = 3


@dataclass(frozen=True)
class Past:
    """A history and what is stored; `found` are the rules that it breaks."""

    calls: list[Call]
    books: list[Book]

    @property
    def found(self) -> set[str]:
        return {anomaly.rule for anomaly in anomalies(self.calls, self.books)}

    def call(self, holds: Callable[[Call], bool]) -> Call:
        return next(call for call in self.calls if holds(call))

    def landed(self, kind: str) -> Call:
        """The only call of an operation that was carried out."""
        asked = [call.ask.operation for call in self.calls]
        return self.call(
            lambda call: call.ask.kind == kind and call.verdict == "ok" and asked.count(call.ask.operation) == 1
        )

    def with_call(self, call: Call, **changes: Any) -> "Past":
        changed = replace(call, **changes)
        return Past([changed if known.id == call.id else known for known in self.calls], self.books)

    def with_book(self, uid: str, change: Callable[[Book], Book]) -> "Past":
        return Past(self.calls, [change(book) if book.uid == uid else book for book in self.books])

    def without(self, call: Call) -> "Past":
        return Past([known for known in self.calls if known.id != call.id], self.books)


class Careless:
    """A store that takes every write, whatever has happened since."""

    def __init__(self, inner: Documents) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, writes: Sequence[Write], **options: Any) -> list[Version]:
        return self.inner.commit([Put(write.path, write.data) for write in writes if not isinstance(write, Delete)])


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    return lived_through(MemoryDocuments(), tmp_path_factory.mktemp("past"))


def lived_through(documents: Documents, directory: Path) -> Past:
    """What several instances on one store did at once; only the store is in memory."""

    def instance() -> Ledger:
        return Ledger(documents, SystemClock(), KEYS, ledger_id="demo-past", hold_lifetime_seconds=900)

    for uid in accounts():
        instance().open(uid)
    recorders = [Recorder(instance(), directory / f"slot{number}-1.jsonl") for number in range(INSTANCES)]
    with ThreadPoolExecutor(8) as threads:
        for send in plan(7, OPERATIONS):
            threads.submit(recorders[send.number % INSTANCES].carry_out, send.number, send.ask)
    for recorder in recorders:
        recorder.close()
    books = [read_book(documents, KEYS, "demo-past", uid) for uid in accounts()]
    return Past(read_history(sorted(directory.iterdir())), books)


def _changed_entry(
    operation: OperationId, change: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> Callable[..., Book]:
    def changed(book: Book) -> Book:
        entries = (change(dict(body)) if body["op"] == operation else body for body in book.entries)
        return replace(book, entries=tuple(entries))

    return changed


def _without_entry(operation: OperationId) -> Callable[[Book], Book]:
    return lambda book: replace(book, entries=tuple(body for body in book.entries if body["op"] != operation))


def _without_memory(operation: OperationId) -> Callable[[Book], Book]:
    return lambda book: replace(
        book, operations={name: kept for name, kept in book.operations.items() if name != operation}
    )


def test_a_true_history_has_no_anomaly(past):
    assert anomalies(past.calls, past.books) == []


def test_a_store_that_forgets_its_preconditions_is_found_out(tmp_path):
    careless = lived_through(Careless(MemoryDocuments()), tmp_path)

    assert careless.found >= {"lost_effect", "wrong_result"}


def test_the_true_history_has_everything_that_the_lies_are_made_of(past):
    told = {call.code or call.verdict for call in past.calls}

    assert told >= {"ok", "insufficient_credits", "hold_resolved", "idempotency_mismatch"}
    assert any(call.is_replay for call in past.calls)


# Bank -------------------------------------------------------------------------------------------------------------


def test_a_double_effect_is_found(past):
    call = past.landed("charge")

    def doubled(book: Book) -> Book:
        again = next(body for body in book.entries if body["op"] == call.ask.operation)
        return replace(book, entries=(*book.entries, {**again, "seq": len(book.entries) + 1}))

    assert past.with_book(call.ask.uid, doubled).found >= {"double_effect", "bank"}


def test_a_negative_balance_is_found(past):
    call = past.landed("charge")
    overdrawn = _changed_entry(
        call.ask.operation,
        lambda body: {**body, "postings": [{**posting, "amount": 10**6} for posting in body["postings"]]},
    )

    assert past.with_book(call.ask.uid, overdrawn).found >= {"negative", "bank", "fold", "wrong_effect"}


def test_a_balance_that_is_not_the_sum_of_its_postings_is_found(past):
    def richer(book: Book) -> Book:
        available, held, debt = book.balance
        return replace(book, balance=(available + 1, held, debt))

    assert past.with_book("ada", richer).found == {"bank"}


def test_an_entry_that_tells_another_balance_is_found(past):
    call = past.landed("charge")
    wrong = _changed_entry(call.ask.operation, lambda body: {**body, "posted": body["posted"] + 1})

    assert past.with_book(call.ask.uid, wrong).found == {"bank"}


# Idempotence ------------------------------------------------------------------------------------------------------


def test_a_lost_operation_is_found(past):
    call = past.landed("hold")
    operation = call.ask.operation
    lost = past.with_book(call.ask.uid, lambda book: _without_memory(operation)(_without_entry(operation)(book)))

    assert "lost" in lost.found


def test_an_effect_without_its_entry_is_found(past):
    call = past.landed("grant")

    assert "lost_effect" in past.with_book(call.ask.uid, _without_entry(call.ask.operation)).found


def test_an_effect_that_is_not_remembered_is_found(past):
    call = past.landed("grant")

    assert past.with_book(call.ask.uid, _without_memory(call.ask.operation)).found == {"lost", "not_remembered"}


def test_a_wrong_result_on_a_replay_is_found(past):
    replay = past.call(lambda call: call.is_replay)
    told = {**replay.told, "available": replay.told["available"] + 1}

    assert past.with_call(replay, told=told).found == {"wrong_result"}


def test_a_replay_that_is_told_as_the_first_is_found(past):
    replay = past.call(lambda call: call.is_replay)

    assert past.with_call(replay, is_replay=False).found == {"double_effect"}


def test_an_ok_for_another_request_under_the_same_operation_is_found(past):
    mismatch = past.call(lambda call: call.code == "idempotency_mismatch")
    first = past.call(lambda call: call.ask.operation == mismatch.ask.operation and call.verdict == "ok")
    lied = past.with_call(mismatch, verdict="ok", code="", told=first.told, is_replay=True)

    assert lied.found == {"mismatch_untold"}


def test_a_mismatch_where_nobody_had_asked_for_anything_else_is_found(past):
    replay = past.call(lambda call: call.is_replay)

    assert past.with_call(replay, verdict="refused", code="idempotency_mismatch").found == {"untrue_refusal"}


def test_an_effect_of_another_size_is_found(past):
    call = past.landed("charge")

    assert past.with_call(call, ask=replace(call.ask, amount=call.ask.amount + 1)).found >= {"mismatch_untold"}


# The indefinite ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "code"), [("refused", "insufficient_credits"), ("failed", "contended"), ("failed", "store_unavailable")]
)
def test_what_was_reported_as_failed_and_has_landed_is_found(past, verdict, code):
    told = {"available": 0, "held": 0, "required": 1}
    failed = past.with_call(past.landed("charge"), verdict=verdict, code=code, told=told)

    assert "failed_but_landed" in failed.found


def test_an_unknown_outcome_may_have_landed(past):
    unknown = past.with_call(past.landed("charge"), verdict="info", code="outcome_unknown", told={})

    assert unknown.found == set()


def test_a_caller_who_was_killed_may_have_done_it(past):
    killed = past.with_call(past.landed("charge"), verdict="info", told={}, ended=None, ended_at=None)

    assert killed.found == set()


def test_an_effect_that_nobody_asked_for_is_found(past):
    assert past.without(past.landed("charge")).found >= {"unasked", "failed_but_landed"}


def test_a_raw_error_is_found(past):
    assert "raw" in past.with_call(past.landed("charge"), verdict="raw", code="RpcError", told={}).found


# Time -------------------------------------------------------------------------------------------------------------


def test_a_seq_out_of_order_is_found(past):
    early = past.landed("charge")
    last = max(call.ended or 0 for call in past.calls)

    assert past.with_call(early, started=last + 1, ended=last + 2).found >= {"order"}


def test_a_read_of_what_was_no_longer_is_found(past):
    call = past.landed("grant")
    last = max(call.ended or 0 for call in past.calls)
    late = replace(
        call,
        id="read",
        ask=replace(call.ask, kind="read", operation=OperationId("read")),
        told={"available": 10**9, "held": 0, "debt": 0},
        started=last + 1,
        ended=last + 2,
    )

    assert Past([*past.calls, late], past.books).found == {"stale_read"}


def test_a_refusal_for_want_of_credits_that_were_there_is_found(past):
    refused = past.call(lambda call: call.code == "insufficient_credits")
    richer = {**refused.told, "available": 10**9}

    assert past.with_call(refused, told=richer).found == {"untrue_refusal"}


def test_a_refusal_of_what_was_done_before_is_found(past):
    ends = {call.ask.operation: call.ended or 0 for call in past.calls if call.verdict == "ok" and not call.is_replay}
    replay = past.call(lambda call: call.is_replay and ends.get(call.ask.operation, 2**63) < call.started)

    refused = past.with_call(replay, verdict="refused", code="hold_resolved", told={}, is_replay=False)

    assert refused.found == {"untrue_refusal"}


def test_a_hold_said_to_be_missing_that_was_placed_before_is_found(past):
    ends = {call.ask.about: call.ended or 0 for call in past.calls if call.ask.kind == "hold" and call.verdict == "ok"}
    refused = past.call(lambda call: call.code == "hold_resolved" and ends.get(call.ask.about, 2**63) < call.started)

    assert past.with_call(refused, code="hold_not_found").found == {"untrue_refusal"}


@pytest.mark.parametrize("code", ["integrity_failed", "limit_reached", "account_frozen"])
def test_a_refusal_that_nothing_here_can_cause_is_found(past, code):
    assert past.with_call(past.call(lambda call: call.verdict == "refused"), code=code).found == {"untrue_refusal"}


# How it is written down -------------------------------------------------------------------------------------------


def test_a_line_cut_off_by_a_kill_is_a_call_that_nobody_heard_the_end_of(past, tmp_path):
    storm = Storm(seed=7, operations=4, project="demo-cut", directory=str(tmp_path))
    ledger = Ledger(MemoryDocuments(), SystemClock(), KEYS, ledger_id="demo-cut", hold_lifetime_seconds=900)
    sends = plan(7, 4)
    recorder = Recorder(ledger, storm.file(0, 1))
    recorder.carry_out(0, sends[0].ask)
    recorder.close()
    whole = storm.file(0, 1).read_bytes()

    for size in range(len(whole)):
        Path(storm.file(0, 1)).write_bytes(whole[:size])
        calls = read_history([storm.file(0, 1)])
        assert [call.verdict for call in calls] == ["info"] * whole[:size].count(b"\n")


def test_what_the_dead_left_is_sent_again_by_its_heir_alone(tmp_path):
    storm = Storm(seed=7, operations=40, project="demo-dead", directory=str(tmp_path))
    ledger = Ledger(MemoryDocuments(), SystemClock(), KEYS, ledger_id="demo-dead", hold_lifetime_seconds=900)
    sends = plan(7, 40)
    recorder = Recorder(ledger, storm.file(1, 1))
    for send in sends[1::4]:
        recorder.carry_out(send.number, send.ask)
    recorder.close()
    lines = storm.file(1, 1).read_bytes().splitlines(keepends=True)
    orphaned = [line for number, line in enumerate(lines) if number % 2 == 0]
    storm.file(1, 1).write_bytes(b"".join(orphaned))
    storm.file(1, 2).write_bytes(b"")

    past = storm.past()
    past.read_on()
    left = {slot: [send.number for send in left_to_do(past, sends, slot)] for slot in range(4)}

    assert sorted(number for numbers in left.values() for number in numbers) == list(range(len(sends)))
    assert all(sends[number].heir == slot for slot, numbers in left.items() for number in numbers if number % 4 == 1)


def test_the_same_seed_is_the_same_plan():
    assert plan(3, 200) == plan(3, 200)
    assert plan(3, 200) != plan(4, 200)


def test_three_in_ten_operations_are_sent_twice_and_some_of_those_ask_for_something_else():
    sends = [send.ask for send in plan(5, 5_000) if send.ask.kind != "read"]
    asked: dict[str, list[Ask]] = {}
    for ask in sends:
        asked.setdefault(ask.operation, []).append(ask)
    twice = [asks for asks in asked.values() if len(asks) == 2]

    assert 0.27 < len(twice) / len(asked) < 0.33
    assert 0.15 < sum(first != second for first, second in twice) / len(twice) < 0.25


def test_a_hold_whose_time_is_up_explains_a_refusal_before_anybody_wrote_it_down(tmp_path):
    documents = MemoryDocuments()
    ledger = Ledger(documents, SystemClock(), KEYS, ledger_id="demo-up", hold_lifetime_seconds=900)
    recorder, uid = Recorder(ledger, tmp_path / "slot0-1.jsonl"), accounts()[0]
    grant, hold, capture = (
        next(send.ask for send in plan(7, 200) if send.ask.kind == kind and send.ask.uid == uid)
        for kind in ("grant", "hold", "capture")
    )
    recorder.carry_out(0, grant)
    recorder.carry_out(1, replace(hold, amount=5, lifetime=0))
    recorder.carry_out(2, replace(capture, about=hold.about))
    recorder.carry_out(3, replace(capture, kind="read", operation=OperationId("read")))
    recorder.close()

    calls = read_history([tmp_path / "slot0-1.jsonl"])
    book = read_book(documents, KEYS, "demo-up", uid)

    assert [call.code or call.verdict for call in calls] == ["ok", "ok", "hold_resolved", "ok"]
    assert ledger.hold(uid, HoldId(hold.about)).status == "expired"
    assert anomalies(calls, [book]) == []
