"""Documents with schema versions: writes are numbered, older forms are converted, unknown forms are refused whole."""

from itertools import pairwise
from typing import Any

import pytest

from shared.kernel.documents import Create, Data, Delete, Document, Patch, Put, Query, Upsert, Where
from shared.kernel.schemas import SCHEMA_VERSION, RefusedData, Schema, Schemas, SchemaUnknown
from shared.kernel.watching import BrokenWatch
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.versioned.documents import VersionedDocuments
from tests.support.indexes import IndexCheckedDocuments


def with_full_name(path: str, data: Data) -> Data:
    del path
    return {"name": " ".join(str(data[name]) for name in ("first", "last"))}


def with_two_names(path: str, data: Data) -> Data:
    del path
    first, _, last = str(data["name"]).partition(" ")
    return {"first": first, "last": last}


BEFORE: Schemas = {"people": Schema()}
EXPAND: Schemas = {"people": Schema(version=1, reads={2: with_two_names})}
MIGRATE: Schemas = {"people": Schema(version=2, reads={1: with_full_name})}
CONTRACT: Schemas = {"people": Schema(version=2)}
ADA = {"first": "Ada", "last": "Lovelace"}
ADA_2 = {"name": "Ada Lovelace"}


@pytest.fixture
def memory() -> MemoryDocuments:
    return MemoryDocuments()


def data_of(documents: MemoryDocuments | VersionedDocuments, path: str = "people/ada") -> Any:
    found = documents.get(path)
    assert found is not None
    return found.data


@pytest.mark.parametrize("write", [Create, Put])
def test_written_document_says_the_version_of_its_kind(memory, write):
    VersionedDocuments(memory, MIGRATE).commit([write("people/ada", ADA_2), write("people/ada/pets/1", {"n": 1})])

    assert data_of(memory) == {**ADA_2, SCHEMA_VERSION: 2}
    assert data_of(memory, "people/ada/pets/1") == {"n": 1, SCHEMA_VERSION: 1}


@pytest.mark.parametrize("stored", [(), (Create("people/ada", {"name": "Ada"}),)], ids=["new", "without a number"])
def test_upsert_writes_the_version_when_the_document_is_new_or_not(memory, stored):
    memory.commit([*stored, Create("people/eve", {"name": "Eve"})])

    VersionedDocuments(memory, MIGRATE).commit([Upsert("people/ada", ADA_2, {"age": 36})])

    assert data_of(memory) == {**ADA_2, "age": 36, SCHEMA_VERSION: 2}


def test_read_document_shows_no_number_among_its_fields(memory):
    documents = VersionedDocuments(memory, BEFORE)
    versions = documents.commit([Create("people/ada", ADA)])

    expected = Document(path="people/ada", data=ADA, version=versions[0], schema_version=1)
    assert documents.get("people/ada") == expected
    assert documents.get_all(["people/bob", "people/ada"]) == [None, expected]
    assert documents.query(Query(collection="people", limit=9, where=(Where("first", "==", "Ada"),))) == [expected]


def test_patch_and_delete_leave_the_number_of_the_document(memory):
    documents = VersionedDocuments(memory, MIGRATE)
    memory.commit([Create("people/ada", {**ADA, SCHEMA_VERSION: 1})])

    documents.commit([Patch("people/ada", {"last": "King"})])

    assert data_of(memory) == {"first": "Ada", "last": "King", SCHEMA_VERSION: 1}
    documents.commit([Delete("people/ada")])
    assert memory.get("people/ada") is None


@pytest.mark.parametrize("number", [{}, {SCHEMA_VERSION: 1}], ids=["without a number", "numbered"])
def test_older_form_is_converted_when_read(memory, number):
    memory.commit([Create("people/ada", {**ADA, **number})])

    assert data_of(VersionedDocuments(memory, MIGRATE)) == ADA_2
    assert data_of(memory) == {**ADA, **number}


def test_neighbouring_releases_read_and_write_the_same_document_in_turn(memory):
    releases = [VersionedDocuments(memory, each) for each in (BEFORE, EXPAND, MIGRATE, CONTRACT)]

    for (older, of_older), (newer, of_newer) in pairwise(zip(releases, (ADA, ADA, ADA_2, ADA_2), strict=True)):
        older.commit([Put("people/ada", of_older)])
        assert data_of(newer) == of_newer
        newer.commit([Put("people/ada", of_newer)])
        assert data_of(older) == of_older


@pytest.mark.parametrize("number", [3, 0, -1, True, "2", None], ids=repr)
def test_unknown_version_is_refused_at_every_look_and_stays(memory, number):
    stored = {**ADA, SCHEMA_VERSION: number if number is not None else [1]}
    memory.commit([Create("people/ada", stored)])

    found = VersionedDocuments(memory, MIGRATE).get("people/ada")

    assert found is not None
    assert found.id == "ada"
    for look in (len, list, dict, lambda data: data["first"], lambda data: data.get("first"), lambda data: "x" in data):
        with pytest.raises(SchemaUnknown, match="Nothing was changed"):
            look(found.data)
    with pytest.raises(SchemaUnknown):
        assert found.data == ADA
    assert data_of(memory) == stored


def test_release_after_the_last_old_document_refuses_old_ones(memory):
    memory.commit([Create("people/ada", ADA)])

    with pytest.raises(SchemaUnknown):
        dict(data_of(VersionedDocuments(memory, CONTRACT)))


def test_form_that_fields_tell_apart_is_numbered_by_its_fields(memory):
    told: Schemas = {"people": Schema(version=2, reads={1: with_full_name}, told_by=lambda data: 2 - ("first" in data))}
    documents = VersionedDocuments(memory, told)
    memory.commit([Create("people/ada", ADA), Create("people/bob", {"name": "Bob"})])

    documents.commit([Create("people/eve", {"first": "Eve", "last": "E"}), Create("people/ian", {"name": "Ian"})])

    assert [each.data for each in documents.query(Query(collection="people", limit=9))] == [
        ADA_2,
        {"name": "Bob"},
        {"name": "Eve E"},
        {"name": "Ian"},
    ]
    assert [data_of(memory, f"people/{name}")[SCHEMA_VERSION] for name in ("eve", "ian")] == [1, 2]


class Heard:
    def __init__(self):
        self.documents: list[Document] = []
        self.is_caught_up = self.is_broken = False

    def changed(self, documents):
        self.documents += documents

    def caught_up(self):
        self.is_caught_up = True

    def broken(self):
        self.is_broken = True


def test_listener_hears_documents_in_the_form_of_the_release(memory):
    documents, heard = VersionedDocuments(memory, MIGRATE), Heard()
    documents.watch(Query(collection="people", limit=9), heard)

    documents.commit([Create("people/ada", ADA_2)])
    memory.commit([Create("people/bob", {"first": "Bob", "last": "B"}), Create("people/eve", {SCHEMA_VERSION: 9})])

    assert [each.data for each in heard.documents] == [ADA_2, {"name": "Bob B"}]
    assert heard.is_caught_up
    assert not any(isinstance(each.data, RefusedData) for each in heard.documents)


def test_watch_over_a_store_that_tells_nothing_is_broken():
    class Silent(IndexCheckedDocuments):
        watch = None  # type: ignore[assignment]  # as in a store without watches

    heard = Heard()

    watch = VersionedDocuments(Silent(MemoryDocuments()), BEFORE).watch(Query(collection="people", limit=9), heard)

    assert isinstance(watch, BrokenWatch)
    assert heard.is_broken
