"""Check on the real store that the known interleavings break flawed ledgers and not this ledger.

Method: each interleaving is played against a ledger with one flaw and against this ledger, by Firestore's own rules of
commits.
"""

import uuid

import pytest

from shared.platform.firestore.documents import FirestoreDocuments, connect
from tests.support import broken_ledgers, interleavings

BROKEN_BY = {
    interleavings.a_stale_reader_commits_after_another_s_capture: broken_ledgers.HoldsApart,
    interleavings.a_commit_lands_after_the_read_that_looked_for_it: broken_ledgers.BelievesItsRead,
    interleavings.an_applied_commit_is_sent_again: broken_ledgers.SendsItAgain,
    interleavings.a_commit_changes_no_balance_and_its_answer_is_lost: broken_ledgers.ComparesVersions,
    interleavings.a_refusal_is_told_while_a_commit_may_still_land: broken_ledgers.FencesWithTheSame,
    interleavings.a_stale_precondition_looks_like_a_foreign_one: broken_ledgers.TakesItForItsOwn,
    interleavings.a_foreign_entry_looks_like_contention: broken_ledgers.TakesItForContention,
    interleavings.the_same_key_comes_twice_in_a_batch: broken_ledgers.WritesEachKey,
}
NAMES = [scenario.__name__ for scenario in BROKEN_BY]


@pytest.fixture(autouse=True)
def emulator(firestore_emulator):
    return firestore_emulator


def empty() -> FirestoreDocuments:
    return connect(f"demo-{uuid.uuid4().hex[:12]}")


@pytest.mark.parametrize("scenario", BROKEN_BY, ids=NAMES)
def test_it_does_not_break_ours(scenario):
    scenario(broken_ledgers.Ours, empty)


@pytest.mark.parametrize(("scenario", "bank"), BROKEN_BY.items(), ids=NAMES)
def test_it_breaks_a_naive_one(scenario, bank):
    with pytest.raises(AssertionError):
        scenario(bank, empty)
