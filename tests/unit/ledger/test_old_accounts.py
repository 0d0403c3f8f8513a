"""Accounts stored when state and balance stood in one document: read, verified, and moved by their next commit."""

from typing import Any

import pytest

from shared.kernel.documents import Delete, PreconditionFailed, Put
from shared.ledger.account_documents import account_path, old_plain_fields, state_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import capture, charge, grant, hold
from tests.support.faults import Interrupted
from tests.support.ledgers import KEYS, UID

LEDGER = "demo-test"


def ledger_on(documents: Any) -> Ledger:
    return Ledger(documents, ManualClock(), KEYS, ledger_id=LEDGER, hold_lifetime_seconds=900)


@pytest.fixture
def documents() -> MemoryDocuments:
    """An account of the old form, with an open hold."""
    documents = MemoryDocuments()
    ledger = ledger_on(documents)
    ledger.execute(UID, grant("gift", 100))
    ledger.execute(UID, hold("h", 40))
    account = AccountStore(documents, KEYS, LEDGER).read(UID).head.account
    sealed = documents.get(state_path(UID))
    assert sealed is not None
    documents.commit([Put(account_path(UID), {**sealed.data, **old_plain_fields(account)}), Delete(state_path(UID))])
    return documents


def test_an_old_account_is_read_verified_and_exported(documents):
    ledger = ledger_on(documents)

    assert (ledger.balance(UID).available, ledger.balance(UID).held) == (60, 40)
    assert ledger.verify(UID) == []


def test_an_old_account_is_moved_by_its_next_commit(documents):
    ledger_on(documents).execute(UID, capture("h", 15))

    shown, sealed = documents.get(account_path(UID)), documents.get(state_path(UID))
    assert shown is not None
    assert sealed is not None
    assert {name: shown.data[name] for name in ("available", "held", "total", "debt", "status", "seq")} == {
        "available": "0.000085",
        "held": "0",
        "total": "0.000085",
        "debt": "0",
        "status": "open",
        "seq": 3,
    }
    assert "state" not in shown.data
    assert sealed.data["version"] == 3
    assert ledger_on(documents).verify(UID) == []


def test_an_instance_of_before_cannot_commit_over_a_moved_account(documents):
    before = documents.get(account_path(UID))
    assert before is not None
    ledger_on(documents).execute(UID, charge(10))

    with pytest.raises(PreconditionFailed):
        documents.commit([Put(account_path(UID), before.data, before.version)])


def test_two_that_move_the_same_account_spend_once_each(documents):
    one, two = ledger_on(documents), ledger_on(documents)
    before = one.balance(UID).available, two.balance(UID).available

    one.execute(UID, charge(10))
    two.execute(UID, charge(20))

    assert (before, one.balance(UID).available) == ((60, 60), 30)
    assert one.verify(UID) == []


def test_an_old_account_that_was_edited_is_refused(documents):
    document = documents.get(account_path(UID))
    assert document is not None
    documents.commit([Put(account_path(UID), {**document.data, "available": 10**9})])

    assert {finding.rule for finding in ledger_on(documents).verify(UID)} == {"plain_balance"}


def test_an_old_account_is_found_when_it_is_due(documents):
    store = AccountStore(documents, KEYS, LEDGER)
    late = 2**46

    due = store.due(late, 10, None, is_old=True)

    assert [found.path for found in due] == [account_path(UID)]


def test_an_old_account_moves_without_an_entry_and_keeps_state_and_seal(documents):
    before, ledger = documents.get(account_path(UID)), ledger_on(documents)
    assert before is not None
    known = ledger.balance(UID)

    ledger.move(UID)

    sealed, shown = documents.get(state_path(UID)), documents.get(account_path(UID))
    assert sealed is not None
    assert shown is not None
    assert sealed.version == shown.version
    assert {name: sealed.data[name] for name in sealed.data} == {name: before.data[name] for name in sealed.data}
    assert (shown.data["available"], shown.data["held"], shown.data["seq"]) == ("0.00006", "0.00004", known.seq)
    assert ledger.verify(UID) == []
    ledger.move(UID)
    assert documents.get(account_path(UID)) == shown


def test_an_old_account_that_was_edited_does_not_move(documents):
    found = documents.get(account_path(UID))
    assert found is not None
    edited = {**found.data, "available": 1_000_000}
    documents.commit([Put(account_path(UID), edited)])

    with pytest.raises(IntegrityFailed):
        ledger_on(documents).move(UID)

    kept = documents.get(account_path(UID))
    assert kept is not None
    assert kept.data == edited
    assert documents.get(state_path(UID)) is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_account_that_moves_under_a_command_charges_once(documents, when):
    mover = ledger_on(documents)

    charged = ledger_on(Interrupted(documents, 1, when, lambda: mover.move(UID))).execute(UID, charge(10))

    assert charged.balance.available == 50
    assert mover.verify(UID) == []
    assert mover.balance(UID).available == 50
