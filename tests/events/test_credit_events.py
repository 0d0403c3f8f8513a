"""The watch over the journal by its real trigger, and schedules as Cloud Scheduler fires them."""

import base64

from emulator.suite import Suite
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Delete, Patch
from shared.kernel.ids import Uid, new_id
from shared.kernel.settings import SigningKey
from shared.ledger.account_documents import account_path, state_path
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.ledger.markers import marker_path
from shared.ledger.positions import position_path
from shared.ledger.store import entry_path
from shared.platform.firestore.documents import FirestoreDocuments, connect
from tests.support.emulators import TEST_SEED
from tests.support.ledgers import charge, grant
from tests.support.processes import wait_for


def opened(suite: Suite) -> tuple[FirestoreDocuments, Ledger, Uid]:
    """An account of the running backend, changed from outside of it with the same keys."""
    documents = connect(suite.project)
    keys = KeyRing((SigningKey(kid="test-1", seed=base64.b64decode(TEST_SEED)),))
    ledger = Ledger(documents, SystemClock(), keys, ledger_id=suite.project, hold_lifetime_seconds=900)
    uid = Uid(new_id("user"))
    ledger.execute(uid, grant("g", 100))
    return documents, ledger, uid


def published_up_to(documents: FirestoreDocuments, uid: Uid) -> object:
    position = documents.get(position_path(uid))
    return None if position is None else position.data["seq"]


def is_cleared(documents: FirestoreDocuments, uid: Uid) -> bool:
    marker = documents.get(marker_path(uid))
    return marker is not None and marker.data["relay"] is None


def test_a_new_entry_is_relayed_by_its_trigger(suite: Suite):
    documents, ledger, uid = opened(suite)

    ledger.execute(uid, charge("c", 1))

    wait_for(lambda: published_up_to(documents, uid) == 2, seconds=120, what="both entries are published")
    wait_for(lambda: is_cleared(documents, uid), seconds=120, what="the marker is cleared on the version of its event")


def test_a_changed_entry_freezes_the_account(suite: Suite):
    documents, ledger, uid = opened(suite)

    documents.commit([Patch(entry_path(uid, 1), {"kind": "charge"})])

    wait_for(lambda: ledger.balance(uid).status == "frozen", seconds=120, what="the account is frozen")
    assert [finding.rule for finding in ledger.verify(uid)] == ["kind"]


def test_a_deleted_entry_freezes_the_account(suite: Suite):
    documents, ledger, uid = opened(suite)

    documents.commit([Delete(entry_path(uid, 1))])

    wait_for(lambda: ledger.balance(uid).status == "frozen", seconds=120, what="the account is frozen")


def test_every_minute_settles_what_is_due_and_leaves_no_news_behind(suite: Suite):
    documents, ledger, uid = opened(suite)
    soon = SystemClock().now() + 5_000
    ledger.execute(uid, grant("short", 7, expires_at=soon))
    wait_for(lambda: SystemClock().now() > soon, seconds=120, what="some of it is due")

    assert suite.fire_schedule("every_minute") == 200

    shown, sealed = documents.get_all([account_path(uid), state_path(uid)])
    assert shown is not None
    assert sealed is not None
    assert (shown.data["available"], sealed.data["due_at"]) == ("0.0001", None)
    wait_for(lambda: is_cleared(documents, uid), seconds=120, what="the marker is cleared")
    assert suite.fire_schedule("every_day") == 200
