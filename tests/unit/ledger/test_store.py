"""How an account stands in the database: which document says what, and which of them are not believed."""

from dataclasses import replace

import pytest

from shared.kernel.canonical import INTEGER_MAX
from shared.kernel.documents import Create, Document, Put
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.ledger.account_documents import DUE_SHARDS, account_path, due_shard, state_path
from shared.ledger.entries import body_hash
from shared.ledger.errors import IntegrityFailed
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore, entry_path, hold_path, lot_path, operation_path
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import capture, charge, grant, hold, reverse
from tests.support.ledgers import KEYS, UID

LEDGER = "demo-test"


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def store(documents) -> AccountStore:
    return AccountStore(documents, KEYS, LEDGER)


@pytest.fixture
def ledger(documents) -> Ledger:
    return Ledger(documents, ManualClock(), KEYS, ledger_id=LEDGER, hold_lifetime_seconds=900)


def version_of(documents: MemoryDocuments) -> object:
    document = documents.get(state_path(UID))
    assert document is not None
    return document.data["version"]


def test_every_commit_is_counted_from_the_first(documents, ledger):
    ledger.execute(UID, grant("gift", 10))
    first = version_of(documents)
    ledger.execute(UID, charge(1))

    assert (first, version_of(documents)) == (1, 2)


def test_opening_an_account_is_its_first_commit(documents, ledger):
    ledger.open(UID)
    opened = version_of(documents)
    ledger.execute(UID, grant("gift", 10))

    assert (opened, version_of(documents)) == (1, 2)


def test_a_state_that_breaks_a_law_is_refused_though_we_sealed_it(documents, store):
    account = replace(store.blank(UID).account, debt=-1)
    documents.commit(store.account_writes(store.blank(UID), account, "n"))

    with pytest.raises(IntegrityFailed) as failure:
        store.read(UID)

    assert failure.value.params == {"uid": UID, "seq": 0, "rule": "state"}


@pytest.mark.parametrize("number", [INTEGER_MAX, -INTEGER_MAX])
def test_a_number_as_large_as_can_be_written_is_read(documents, store, number):
    head = replace(store.blank(UID), number=number - 1)
    documents.commit(store.account_writes(head, head.account, "n"))

    assert store.read(UID).head.number == number


def test_a_number_larger_than_can_be_written_is_not_ours(documents, store):
    sealed, shown = store.account_writes(store.blank(UID), store.blank(UID).account, "n")
    documents.commit([Create(sealed.path, {**sealed.data, "version": INTEGER_MAX + 1}), shown])

    with pytest.raises(IntegrityFailed):
        store.read(UID)


def test_what_cannot_be_written_down_bears_no_mark_of_ours(store):
    document = Document(path=operation_path(UID, OperationId("op")), data={"state": "\ud800", "seal": "x"}, version=1)

    assert store._records.is_ours(document) is False


@pytest.mark.parametrize("command", [reverse("gift", 1), capture("h", 1)])
def test_an_archived_record_that_was_edited_is_named(documents, ledger, command):
    ledger.execute(UID, grant("gift", 10))
    ledger.execute(UID, hold("h", 10))
    ledger.execute(UID, capture("h", 10))
    for path in (lot_path(UID, LotId("gift")), hold_path(UID, HoldId("h"))):
        document = documents.get(path)
        assert document is not None
        documents.commit([Put(path, {**document.data, "state": str(document.data["state"]).replace("10", "99")})])

    with pytest.raises(IntegrityFailed) as failure:
        ledger.execute(UID, command)

    assert failure.value.params == {"uid": UID, "seq": 0, "rule": "archive_seal"}


def test_entries_are_found_by_their_place_and_strangers_by_having_none(documents, ledger, store):
    for number in range(5):
        ledger.execute(UID, grant(f"g{number}", 1))
    for name in ("000000000006", "000000000000", "planted", "!"):
        documents.commit([Create(f"{account_path(UID)}/entries/{name}", {"body": "x"})])

    assert [entry.seq for entry in store.entries(UID, 2, 4)] == [2, 3, 4]
    assert [entry.seq for entry in store.entries(UID, 5, 5)] == [5]
    assert sorted(entry.seq for entry in store.strangers(UID, 5, 10)) == [-1, -1, 0, 6]
    assert {(entry.hash, entry.signature) for entry in store.strangers(UID, 5, 10)} == {(body_hash("x"), "None")}


def test_an_entry_above_the_head_is_one_while_that_is_the_head(documents, ledger, store):
    ledger.execute(UID, grant("gift", 10))
    head = store.read(UID).head
    assert store.entry_above(head, 3) is None
    documents.commit([Create(entry_path(UID, 3), {})])
    assert store.entry_above(head, 2) is None
    assert store.entry_above(head, 3) == 3
    documents.commit([Create(entry_path(UID, 2), {})])
    assert store.entry_above(head, 3) == 2

    documents.commit([Put(account_path(UID), {"moved": True})])

    assert store.entry_above(head, 3) is None


def test_a_shard_is_the_same_for_ever_and_none_is_left_empty():
    shards = [due_shard(Uid(f"user{number}")) for number in range(500)]

    assert (due_shard(Uid("ada")), due_shard(Uid("bob"))) == (13, 1)
    assert set(shards) == set(range(DUE_SHARDS))
