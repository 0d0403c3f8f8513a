"""On Firestore: a body goes behind its snapshot, and every reader goes on."""

import pytest

from shared.bootstrap.schemas import versioned
from shared.platform.firestore.documents import connect
from tests.support.redactions import EVE, RedactingLedger
from tests.support.rotations import Fleet


@pytest.fixture
def ledger(firestore_emulator, project) -> RedactingLedger:
    return RedactingLedger(Fleet(documents=versioned(connect(project))))


def test_a_redacted_entry_on_firestore_is_sound_for_every_reader(ledger):
    ledger.redact(EVE, 5)

    ledger.services.credits.watch.entry_changed(EVE, 5)
    assert ledger.faults() == []
    assert ledger.services.credits.analytics.rebuild(EVE) == ledger.seq()
    assert ledger.fleet.alarms == []
