"""A migration on Firestore: in pages over collections and groups, interrupted, resumed, and beside a busy ledger."""

from contextlib import suppress

import pytest

from shared.bootstrap import in_memory
from shared.bootstrap.migrations import MIGRATIONS
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Create, Put, Query
from shared.kernel.ids import Uid
from shared.kernel.schemas import SCHEMA_VERSION
from shared.ledger.account_documents import read_stored
from shared.platform.firestore.documents import connect
from shared.platform.versioned.documents import VersionedDocuments
from shared.sagas.engine.migrations import Migrations
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledgers import grant
from tests.support.people_forms import MIGRATE, newer, older, people_migration

PEOPLE = 12
PAGE = 5
ANN = Uid("ann")


@pytest.fixture
def documents(firestore_emulator, project):
    return connect(project)


def run(documents):
    opened = VersionedDocuments(documents, MIGRATE)
    return Migrations(opened, SystemClock(), lambda line: None, page=PAGE).run(people_migration(documents))


def test_migration_on_firestore_interrupted_and_resumed_moves_all(documents):
    for number in range(PEOPLE):
        older(documents).enter(f"p{number:02}", f"Ada {number}")
        documents.commit([Create(f"people/p{number:02}/pets/cat", {"n": number})])

    for at in (3, 8):
        with suppress(Crash):
            run(FaultyDocuments(documents, at=at, when="after"))
        older(documents).visit("p00")
        newer(documents).visit("p11")
    report = run(documents)

    assert report.is_complete
    stored = documents.query(Query(collection="people", limit=99))
    pets = documents.query(Query(collection="pets", group=True, limit=99))
    assert [each.data["name"] for each in stored] == [f"Ada {number}" for number in range(PEOPLE)]
    assert {each.data[SCHEMA_VERSION] for each in stored} == {2}
    assert {each.data[SCHEMA_VERSION] for each in pets} == {1}
    assert [stored[0].data["visits"], stored[-1].data["visits"]] == [2, 2]


def test_account_on_firestore_is_numbered_in_one_commit_and_goes_on(documents):
    services = in_memory(documents=documents, clock=SystemClock())
    ledger = services.credits.ledger
    ledger.open(ANN)
    ledger.execute(ANN, grant("first", 1_000_000))
    for path in ("accounts/ann", "accounts/ann/sealed/state"):
        found = documents.get(path)
        assert found is not None
        documents.commit([Put(path, {name: each for name, each in found.data.items() if name != SCHEMA_VERSION})])

    report = Migrations(services.ports.documents(), services.clock, lambda line: None).run(
        MIGRATIONS[0].build(services)
    )

    account = read_stored(documents, ANN)
    assert report.is_complete
    assert account.sealed is not None
    assert account.shown is not None
    assert account.sealed.version == account.shown.version
    assert ledger.verify(ANN) == []
    ledger.execute(ANN, grant("later", 1_000_000))
    assert ledger.balance(ANN).available == 2_000_000
