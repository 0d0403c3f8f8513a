"""Entries that are read: an entry that the ledger did not write at its place is never shown, published or counted."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from shared.kernel.canonical import canonical
from shared.kernel.documents import Delete, Patch, Put
from shared.ledger.entries import body_hash
from shared.ledger.errors import EntryNotFound, IntegrityFailed, UnknownKey
from shared.ledger.history import EntryFilter
from shared.ledger.keys import ENTRY_CONTEXT, from_base64
from shared.ledger.store import entry_path
from tests.support.ledgers import KEYS, UID, World, charge, grant

SEQ = 3
LAST = 6


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.execute(UID, grant("g", 1_000))
    for number in range(LAST - 1):
        world.ledger.execute(UID, charge(f"c{number}", 1))
    return world


def body(world: World, seq: int = SEQ) -> dict[str, Any]:
    document = world.documents.get(entry_path(UID, seq))
    assert document is not None
    return dict(orjson.loads(str(document.data["body"])))


def write(world: World, seq: int, changed: Mapping[str, Any], *, is_signed: bool = False) -> None:
    """Replace the body of an entry, signed with the ledger's own key or with the signature that was there."""
    text = canonical(dict(changed)).decode()
    fields: dict[str, Any] = {"body": text}
    if is_signed:
        fields["signature"] = from_base64(KEYS.sign(ENTRY_CONTEXT, body_hash(text).encode()))
    world.documents.commit([Patch(entry_path(UID, seq), fields)])


def edited(world: World) -> None:
    write(world, SEQ, {**body(world), "posted": 10**6})


def resigned(world: World) -> None:
    write(world, SEQ, {**body(world), "posted": 10**6}, is_signed=True)


def of_another_user(world: World) -> None:
    write(world, SEQ, {**body(world), "uid": "bob"}, is_signed=True)


def from_another_place(world: World) -> None:
    other = world.documents.get(entry_path(UID, SEQ + 1))
    assert other is not None
    world.documents.commit([Put(entry_path(UID, SEQ), other.data)])


def forged(world: World) -> None:
    world.documents.commit([Patch(entry_path(UID, SEQ), {"signature": b"x" * 64})])


def no_text(world: World) -> None:
    world.documents.commit([Patch(entry_path(UID, SEQ), {"body": 7})])


def told_by_another_hash(world: World) -> None:
    world.documents.commit([Patch(entry_path(UID, SEQ), {"hash": "0" * 64})])


EDITS: Mapping[str, tuple[Callable[[World], None], int, str]] = {
    "edited": (edited, SEQ, "signature"),
    "resigned": (resigned, SEQ, "link"),
    "of_another_user": (of_another_user, SEQ, "identity"),
    "from_another_place": (from_another_place, SEQ, "identity"),
    "forged": (forged, SEQ, "signature"),
    "no_text": (no_text, SEQ, "canonical"),
    "told_by_another_hash": (told_by_another_hash, SEQ, "hash"),
}
"""Edits of a stored entry, and the law that a page of the history finds broken."""


@pytest.mark.parametrize("name", EDITS)
def test_page_with_a_changed_entry_is_refused_with_the_place(world, name):
    edit, seq, rule = EDITS[name]
    edit(world)

    with pytest.raises(IntegrityFailed) as refused:
        world.ledger.history(UID, before=None, limit=10)

    assert refused.value.params == {"uid": UID, "seq": seq, "rule": rule}
    assert [alert.event for alert in world.alerts.raised] == ["integrity_failed"]


@pytest.mark.parametrize("name", EDITS)
def test_deeper_pages_are_checked_and_others_are_shown(world, name):
    EDITS[name][0](world)

    assert [entry.seq for entry in world.ledger.history(UID, before=None, limit=2).items] == [6, 5]
    assert [entry.seq for entry in world.ledger.history(UID, before=SEQ, limit=2).items] == [2, 1]
    with pytest.raises(IntegrityFailed):
        world.ledger.history(UID, before=SEQ + 2, limit=2)


@pytest.mark.parametrize("name", sorted(set(EDITS) - {"resigned"}))
def test_single_and_filtered_entries_are_checked_by_their_own_signature(world, name):
    EDITS[name][0](world)

    with pytest.raises(IntegrityFailed):
        world.ledger.entry(UID, SEQ)
    if name != "no_text":
        with pytest.raises(IntegrityFailed):
            world.ledger.history(UID, before=SEQ + 1, limit=1, wanted=EntryFilter(kinds=frozenset({"charge"})))


@pytest.mark.parametrize("name", sorted(set(EDITS) - {"forged"}))
def test_folds_of_the_journal_refuse_a_changed_body(world, name):
    EDITS[name][0](world)

    with pytest.raises(IntegrityFailed) as refused:
        world.ledger.bodies(UID, 1, LAST)

    assert refused.value.params["seq"] in {SEQ, SEQ + 1}


@pytest.mark.parametrize("first", [1, 2, SEQ])
def test_a_fold_refuses_a_journal_with_a_gap(world, first):
    world.documents.commit([Delete(entry_path(UID, SEQ))])

    with pytest.raises(IntegrityFailed) as refused:
        world.ledger.bodies(UID, first, LAST)

    assert refused.value.params == {"uid": UID, "seq": SEQ, "rule": "sequence"}


def test_the_last_entry_must_be_the_head_of_the_state(world):
    write(world, LAST, {**body(world, LAST), "posted": 1}, is_signed=True)

    with pytest.raises(IntegrityFailed) as refused:
        world.ledger.history(UID, before=None, limit=1)

    assert refused.value.params == {"uid": UID, "seq": LAST, "rule": "link"}


def test_an_entry_of_an_unknown_key_is_no_tampering(world):
    write(world, SEQ, {**body(world), "kid": "later"})

    with pytest.raises(UnknownKey):
        world.ledger.entry(UID, SEQ)

    assert world.alerts.raised == []


def test_an_entry_that_is_not_there_is_not_found(world):
    with pytest.raises(EntryNotFound):
        world.ledger.entry(UID, LAST + 1)
