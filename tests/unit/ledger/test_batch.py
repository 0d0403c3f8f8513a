"""One batch as decided: how much goes into a commit, and who waits for the next."""

from typing import Any

import pytest

from shared.kernel.errors import IdempotencyMismatch
from shared.kernel.ids import OperationId
from shared.ledger.account import NOTHING
from shared.ledger.batch import BATCH_BYTES_MAX, BATCH_WRITES_MAX, Batch, decide_batch, replayed, twin_record
from shared.ledger.commands import Expire
from shared.ledger.errors import InsufficientCredits
from shared.ledger.heads import Head, Snapshot
from shared.ledger.lanes import CommandAnswer, Job
from shared.ledger.operation_records import OperationRecord, facts_of
from shared.ledger.receipts import AmountReceipt, totals_of
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import KID, Books, adjust, annul, capture, charge, grant, hold
from tests.support.ledgers import UID, ledger_on

WRITES_FOR_ALL = 3
"""The account's document and the marker."""
WRITES_OF_A_CHARGE = 3
"""What is counted for one entry: it, its operation, and room for a note."""
AGES = 10**9


@pytest.fixture
def books() -> Books:
    books = Books()
    books.rush(grant("gift", 10_000))
    return books


def snapshot(books: Books, *, is_fresh: bool = True, **more: Any) -> Snapshot:
    head = Head(account=books.account, number=1, version=1)
    return Snapshot(head=head, is_fresh=is_fresh, archive=books.archive, **more)


def jobs_of(*commands: Any) -> list[Job]:
    return [Job(command, 0) for command in commands]


def batch_of(books: Books, *commands: Any, is_fresh: bool = True, **more: Any) -> Batch:
    return decide_batch(snapshot(books, is_fresh=is_fresh, **more), jobs_of(*commands), books.now, KID)


def test_what_is_counted_is_at_least_what_is_written(books):
    batch = batch_of(books, charge(1), charge(1))

    assert batch.writes == WRITES_FOR_ALL + 2 * WRITES_OF_A_CHARGE
    bodies = sum(len(entry.body) for _, decision in batch.accepted for entry in decision.entries)
    assert batch.bytes == bodies + 2 * 1_000


def test_archived_lots_and_holds_are_counted_as_writes(books):
    books.rush(hold("h", 10_000))
    books.now += AGES

    batch = batch_of(books, charge(10_000))

    assert len(batch.accepted) == 1
    _, decision = batch.accepted[0]
    archived = len(decision.archive.lots) + len(decision.archive.holds)
    assert (len(decision.entries), archived) == (2, 2)
    assert batch.writes == WRITES_FOR_ALL + 2 + archived + 2


def test_a_batch_is_as_large_as_a_commit_and_the_rest_waits(books):
    fits = (BATCH_WRITES_MAX - WRITES_FOR_ALL) // WRITES_OF_A_CHARGE

    batch = batch_of(books, *[charge(1) for _ in range(fits + 5)])

    assert (len(batch.accepted), len(batch.kept)) == (fits, 5)
    assert batch.writes <= BATCH_WRITES_MAX


@pytest.mark.parametrize(("before", "is_kept"), [(BATCH_WRITES_MAX - 3, False), (BATCH_WRITES_MAX - 2, True)])
def test_who_fits_exactly_comes_along(books, before, is_kept):
    batch = batch_of(books, charge(1))
    batch.writes = before

    batch.add(Job(charge(1), 0))

    assert (len(batch.accepted), len(batch.kept)) == ((1, 1) if is_kept else (2, 0))


@pytest.mark.parametrize(
    ("full", "is_kept"),
    [
        ({"writes": BATCH_WRITES_MAX}, True),
        ({"bytes": BATCH_BYTES_MAX}, True),
        ({"bytes": BATCH_BYTES_MAX - 1}, False),
    ],
)
def test_a_full_batch_decides_nothing_more(books, full, is_kept):
    batch = batch_of(books)
    for name, value in full.items():
        setattr(batch, name, value)

    batch.add(Job(charge(1), 0))

    assert (len(batch.accepted), len(batch.kept)) == ((0, 1) if is_kept else (1, 0))


def test_a_command_larger_than_a_batch_goes_alone(books):
    for number in range(300):
        books.rush(hold(f"h{number}", 1))
    books.now += AGES

    batch = batch_of(books, charge(1), charge(1))

    assert (len(batch.accepted), len(batch.kept)) == (1, 1)
    assert batch.writes > BATCH_WRITES_MAX


def test_the_second_decides_on_what_the_first_left(books):
    batch = batch_of(books, charge(10_000), charge(1))

    assert (len(batch.accepted), len(batch.kept), batch.rejected) == (1, 1, [])
    assert batch.kept[0].needs_read
    assert batch.account.available == 0


def test_a_hold_that_ends_in_this_batch_is_known_to_have_ended(books):
    books.rush(hold("h", 5))

    batch = batch_of(books, capture("h", 5), capture("h", 5))

    assert (len(batch.accepted), len(batch.kept)) == (1, 1)


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_refusal_is_one_only_on_what_was_just_read(books, is_fresh):
    batch = batch_of(books, charge(10_001), is_fresh=is_fresh)

    assert [type(error) for _, error in batch.rejected] == ([InsufficientCredits] if is_fresh else [])
    assert len(batch.kept) == (0 if is_fresh else 1)
    assert all(job.needs_read for job in batch.kept)


@pytest.mark.parametrize("is_fresh", [True, False])
def test_that_nothing_is_due_is_told_only_on_what_was_just_read(books, is_fresh):
    expire = Job(Expire(), 0)

    batch = decide_batch(snapshot(books, is_fresh=is_fresh), [expire], books.now, KID)

    assert (expire.answer is not None) is is_fresh
    assert batch.kept == ([] if is_fresh else [expire])
    if is_fresh:
        assert isinstance(expire.answer, CommandAnswer)
        assert (expire.answer.is_replay, expire.answer.receipt.after.available) == (False, 10_000)


def test_one_key_is_one_command_and_all_are_decided_upon(books):
    batch = batch_of(books, charge(1, operation="same"), charge(1, operation="same"), charge(2))

    assert (len(batch.accepted), len(batch.twins), len(batch.everyone())) == (2, 1, 3)


@pytest.mark.parametrize("first", [annul, lambda operation: charge(1, operation=operation)])
def test_one_key_of_two_kinds_of_commands_is_a_conflict(first):
    ledger = ledger_on(MemoryDocuments(), ManualClock())
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, first(operation="same"))

    with pytest.raises(IdempotencyMismatch):
        ledger.execute(UID, adjust(-1, operation="same") if first is annul else annul(operation="same"))

    assert ledger.balance(UID).available == (10 if first is annul else 9)


def test_one_key_of_two_kinds_of_commands_is_a_conflict_in_one_batch(books):
    done, other = jobs_of(charge(1, operation="same"), annul(operation="same"))
    batch = decide_batch(snapshot(books), [done, other], books.now, KID)
    ((_, decision),) = batch.accepted

    assert batch.twins == [(other, done)]
    assert isinstance(replayed(other, twin_record(done, decision)), IdempotencyMismatch)


def test_what_was_done_before_is_told_at_once(books):
    receipt = AmountReceipt(after=totals_of(books.account), amount=1)
    record = OperationRecord(fingerprint="f", facts=facts_of(receipt), nonce="n")
    same, mine, wrong = jobs_of(*[charge(1, operation="done") for _ in range(3)])
    mine.nonces.add("n")
    object.__setattr__(wrong.command, "fingerprint", "other")

    batch = decide_batch(snapshot(books, operations={OperationId("done"): record}), [same, mine, wrong], books.now, KID)

    assert (same.answer, mine.answer) == (
        CommandAnswer(receipt=receipt, is_replay=True),
        CommandAnswer(receipt=receipt, is_replay=False),
    )
    assert isinstance(wrong.answer, IdempotencyMismatch)
    assert (batch.accepted, batch.everyone()) == ([], [])
    assert isinstance(replayed(wrong, record), IdempotencyMismatch)


def test_an_empty_batch_leaves_the_account_as_it_is(books):
    batch = Batch(snapshot=snapshot(books), now=books.now, kid=KID, archive=NOTHING)

    assert (batch.account, batch.is_truth, batch.writes, batch.bytes) == (books.account, True, 3, 0)
