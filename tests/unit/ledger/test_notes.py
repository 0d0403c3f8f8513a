"""A note stands beside the journal and is bound by it: edited it is found, erased it is missed by nobody."""

import orjson
import pytest

from shared.kernel.canonical import canonical
from shared.kernel.documents import Data, Delete, Put
from shared.kernel.ids import operation_id
from shared.kernel.money import Micro
from shared.ledger.commands import Adjust, Freeze
from shared.ledger.entry_notes import NOTE_FACT, is_bound_by
from shared.ledger.verify.exports import verify_account
from tests.support.ledgers import KEYS, UID, World, grant

WHY = "Sorry for the outage – keep these."
ADJUSTED = operation_id("adjust", "1")
NOTE = f"accounts/{UID}/notes/{ADJUSTED}"


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("g", 100))
    world.ledger.execute(UID, Adjust(operation=ADJUSTED, amount=Micro(7), note=WHY))
    return world


def found(world: World) -> set[tuple[int, str]]:
    return {(finding.seq, finding.rule) for finding in world.ledger.verify(UID)}


def stored(world: World) -> Data:
    document = world.documents.get(NOTE)
    assert document is not None
    return document.data


def test_an_export_has_the_note_of_its_entry(world):
    [_, first, second, *_] = map(orjson.loads, world.ledger.export(UID))

    assert "note" not in first
    assert second["note"] == stored(world)
    assert second["note"]["text"] == WHY
    assert is_bound_by(orjson.loads(second["body"]), second["note"])
    assert found(world) == set()


@pytest.mark.parametrize("change", [{"text": "Nothing happened."}, {"salt": "00" * 16}, {"text": 7}, {"salt": None}])
def test_an_edited_note_is_found_at_its_entry(world, change):
    world.documents.commit([Put(NOTE, {**stored(world), **change})])

    assert found(world) == {(2, "note")}


def test_an_erased_note_breaks_no_law(world):
    world.documents.commit([Delete(NOTE)])

    assert found(world) == set()
    assert [entry.note for entry in world.ledger.history(UID, before=None, limit=9).items] == [None, None]


def test_a_salt_is_random(world):
    again = World()
    again.ledger.execute(UID, grant("g", 100))
    again.ledger.execute(UID, Adjust(operation=ADJUSTED, amount=Micro(7), note=WHY))

    assert stored(again) != stored(world)
    assert len(str(stored(world)["salt"])) == 32


def test_a_note_of_an_entry_that_binds_none_is_found_in_an_export(world):
    lines = list(world.ledger.export(UID))
    note = orjson.loads(lines[2])["note"]
    lines[1] = canonical({**orjson.loads(lines[1]), "note": note}).decode() + "\n"

    assert {(each.seq, each.rule) for each in verify_account(lines, KEYS)} == {(1, "note")}


def test_a_note_without_an_entry_is_not_stored(world):
    freeze = Freeze(operation=operation_id("f", "1"), note="Asked by phone.")
    world.ledger.execute(UID, freeze)
    world.ledger.execute(UID, Freeze(operation=operation_id("f", "2"), note="Asked again."))

    bodies = [orjson.loads(orjson.loads(line)["body"]) for line in world.ledger.export(UID) if '"body"' in line]
    assert [NOTE_FACT in body for body in bodies] == [False, True, True]
    assert world.documents.get(f"accounts/{UID}/notes/{operation_id('f', '2')}") is None


def test_a_note_of_an_earlier_release_is_shown_and_not_exported(world):
    """Earlier releases stored the text alone, and their entries bind none."""
    other = operation_id("grant", "g")
    world.documents.commit([Put(f"accounts/{UID}/notes/{other}", {"text": "old"})])

    assert not any('"old"' in line for line in world.ledger.export(UID))
    assert found(world) == set()
