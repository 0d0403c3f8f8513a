"""On Firestore: a journal moves to the bucket and back, and every reader goes on."""

import pytest

from shared.bootstrap.schemas import versioned
from shared.kernel.deadline import NEVER
from shared.platform.firestore.documents import connect
from tests.support.archives import ArchivingLedger
from tests.support.redactions import EVE
from tests.support.rotations import Fleet


@pytest.fixture
def ledger(firestore_emulator, project) -> ArchivingLedger:
    return ArchivingLedger(Fleet(documents=versioned(connect(project))))


def test_archived_journal_on_firestore_reads_as_before_and_comes_back(ledger):
    before = ledger.shown()
    last = ledger.archive()
    ledger.services.credits.watch.entry_deleted(EVE, last)
    archived, stored = ledger.shown(), ledger.seqs()
    ledger.archiver.bring_back(EVE, NEVER)

    assert stored == [last + 1]
    assert archived == before
    assert ledger.shown() == before
    assert ledger.faults() == []
    assert ledger.fleet.alarms == []
