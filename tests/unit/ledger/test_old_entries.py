"""Entries of earlier releases, which stored the hash and the schema too: read, verified and continued."""

from typing import Any

import pytest

from shared.kernel.documents import Put
from shared.ledger.account_documents import SCHEMA
from shared.ledger.entries import body_hash
from shared.ledger.keys import to_base64
from shared.ledger.store import entry_path
from tests.support.ledgers import UID, World, charge, grant


def as_before(world: World, seq: int, **changed: Any) -> None:
    """Store an entry in the form of earlier releases."""
    document = world.documents.get(entry_path(UID, seq))
    assert document is not None
    data = dict(document.data)
    signature = data["signature"]
    assert isinstance(signature, bytes)
    old = {**data, "schema": SCHEMA, "hash": body_hash(str(data["body"])), "signature": to_base64(signature)}
    world.documents.commit([Put(document.path, {**old, **changed}, document.version)])


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("gift", 100))
    world.ledger.execute(UID, charge("one", 10))
    return world


def test_an_entry_stores_nothing_that_follows_from_the_body(world):
    document = world.documents.get(entry_path(UID, 1))

    assert document is not None
    assert document.data.keys() == {"kind", "body", "signature", "has_note"}


@pytest.mark.parametrize("old", [(1,), (2,), (1, 2)])
def test_old_and_new_entries_make_one_chain(world, old):
    before = list(world.ledger.export(UID))
    for seq in old:
        as_before(world, seq)
    world.ledger.execute(UID, charge("two", 10))

    assert world.ledger.verify(UID) == []
    assert list(world.ledger.export(UID))[:3] == before[:3]
    assert [entry.hash for entry in world.ledger.entries(UID, 1, 2)] == [
        entry.hash for entry in World(documents=world.documents).ledger.entries(UID, 1, 2)
    ]


@pytest.mark.parametrize(
    ("changed", "rule"), [({"hash": "0" * 64}, "hash"), ({"schema": 2}, "format"), ({"signature": "?"}, "signature")]
)
def test_a_changed_field_of_an_old_entry_is_found(world, changed, rule):
    as_before(world, 2, **changed)

    assert (2, rule) in {(finding.seq, finding.rule) for finding in world.ledger.verify(UID)}


def test_a_forged_body_of_a_new_entry_is_found_by_the_signature_and_the_chain(world):
    document = world.documents.get(entry_path(UID, 1))
    assert document is not None
    forged = str(document.data["body"]).replace('"amount":100', '"amount":900')
    world.documents.commit([Put(document.path, {**document.data, "body": forged}, document.version)])

    found = {(finding.seq, finding.rule) for finding in world.ledger.verify(UID)}

    assert {(1, "signature"), (2, "link")} <= found
