"""Check that each known interleaving breaks a ledger with one flaw and does not break this ledger.

Method: `tests.support.interleavings` plays each sequence over memory, against `tests.support.broken_ledgers`.
"""

import pytest

from shared.kernel.ids import OperationId, operation_id
from shared.kernel.money import Micro
from shared.ledger.errors import InsufficientCredits
from shared.ledger.ledger import Ledger
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support import broken_ledgers, interleavings
from tests.support.books import grant
from tests.support.ledgers import KEYS, UID

BROKEN_BY = {
    interleavings.a_stale_reader_commits_after_another_s_capture: broken_ledgers.HoldsApart,
    interleavings.a_commit_lands_after_the_read_that_looked_for_it: broken_ledgers.BelievesItsRead,
    interleavings.a_late_commit_and_its_second_try_are_one: broken_ledgers.KeepsNoKey,
    interleavings.an_applied_commit_is_sent_again: broken_ledgers.SendsItAgain,
    interleavings.a_commit_changes_no_balance_and_its_answer_is_lost: broken_ledgers.ComparesVersions,
    interleavings.a_refusal_is_told_while_a_commit_may_still_land: broken_ledgers.FencesWithTheSame,
    interleavings.a_stale_precondition_looks_like_a_foreign_one: broken_ledgers.TakesItForItsOwn,
    interleavings.a_foreign_entry_looks_like_contention: broken_ledgers.TakesItForContention,
    interleavings.the_same_key_comes_twice_in_a_batch: broken_ledgers.WritesEachKey,
    interleavings.others_are_faster_many_times: broken_ledgers.CountsAttempts,
    interleavings.credits_came_that_this_instance_has_not_seen: broken_ledgers.RefusesFromMemory,
}
NAMES = [scenario.__name__ for scenario in BROKEN_BY]


@pytest.mark.parametrize("scenario", BROKEN_BY, ids=NAMES)
def test_it_does_not_break_ours(scenario):
    scenario(broken_ledgers.Ours, MemoryDocuments)


@pytest.mark.parametrize(("scenario", "bank"), BROKEN_BY.items(), ids=NAMES)
def test_it_breaks_a_naive_one(scenario, bank):
    with pytest.raises(AssertionError):
        scenario(bank, MemoryDocuments)


# More streams than credits ------------------------------------------------------------------------------------------

STREAMS, PAID_FOR, LENGTH = 12, 2, 24


def completed(*, first: int, step: int) -> int:
    """Streams of equal length, one token each in turn: how many of them reach their end."""
    ledger = Ledger(
        MemoryDocuments(),
        ManualClock(),
        KEYS,
        ledger_id="demo-test",
        hold_lifetime_seconds=900,
        spawn=lambda work: work(),
    )
    ledger.execute(UID, grant("gift", PAID_FOR * LENGTH, operation="gift"))
    holds = []
    for number in range(STREAMS):
        try:
            operation = OperationId(operation_id("stream", str(number)))
            holds.append(ledger.holding(UID, Micro(first), operation=operation, expected_step=Micro(step)))
        except InsufficientCredits:
            continue
    going = list(holds)
    for used in range(1, LENGTH + 1):
        going = [hold for hold in going if hold.accrue(Micro(used))]
    for hold in going:
        hold.capture(Micro(LENGTH))
    assert ledger.verify(UID) == []
    return len(going)


def test_streams_admitted_by_a_small_slice_starve_each_other():
    assert completed(first=4, step=4) == 0


def test_streams_admitted_by_what_they_will_need_complete():
    assert completed(first=LENGTH, step=LENGTH) == PAID_FOR
