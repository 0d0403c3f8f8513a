"""Both stores keep the same rules: what holds in memory holds on Firestore."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from emulator.suite import Suite
from shared.kernel.clock import to_datetime
from shared.kernel.documents import (
    Create,
    Delete,
    Documents,
    InvalidWrite,
    Order,
    OutcomeUnknown,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    StoreUnavailable,
    Upsert,
    Value,
    Where,
)
from shared.kernel.due import DueList, due_place
from shared.platform.firestore.documents import connect
from shared.platform.memory.documents import MemoryDocuments
from tests.support.uids import SUPPORTED


@pytest.fixture(params=["memory", "firestore"])
def documents(request: pytest.FixtureRequest, firestore_emulator: Suite, project: str) -> Documents:
    return MemoryDocuments() if request.param == "memory" else connect(project)


def test_every_kind_of_value_comes_back_as_it_was(documents):
    data = {
        "none": None,
        "yes": True,
        "zero": 0,
        "large": 2**63 - 1,
        "negative": -(2**53),
        "text": "höld µ 🙂 \u0000",
        "bytes": b"\x00\xff",
        "time": datetime(2026, 11, 22, 14, 43, 0, 125_000, tzinfo=UTC),
        "list": [1, "a", {"b": [True]}, None],
        "map": {"with.dot": {"and `tick`": 1}, "empty": {}},
        "empty": [],
    }

    documents.commit([Create("things/a", data)])

    read = documents.get("things/a")
    assert read is not None
    assert read.data == data
    assert read.id == "a"


@pytest.mark.parametrize("uid", SUPPORTED)
def test_a_document_is_found_under_any_uid(documents, uid):
    documents.commit([Create(f"things/{uid}", {"uid": uid}), Create(f"things/{uid}/parts/1", {"n": 1})])

    read = documents.get(f"things/{uid}")
    assert (read.id, read.data) == (uid, {"uid": uid})
    assert [each.path for each in documents.get_all([f"things/{uid}"])] == [f"things/{uid}"]
    assert [each.id for each in documents.query(Query(collection="things", limit=2))] == [uid]
    assert [each.data for each in documents.query(Query(collection=f"things/{uid}/parts", limit=2))] == [{"n": 1}]


@pytest.mark.parametrize(
    "value",
    [1.5, 2**63, -(2**63) - 1, {"deep": 0.1}, [[1]], datetime(2026, 1, 1), object(), "\ud800"],  # noqa: DTZ001
)
def test_a_value_that_would_be_stored_inexactly_is_refused(documents, value):
    with pytest.raises(InvalidWrite):
        documents.commit([Create("things/a", {"value": value})])

    assert documents.get("things/a") is None


def test_a_document_is_created_once(documents):
    documents.commit([Create("things/a", {"n": 1})])

    with pytest.raises(PreconditionFailed):
        documents.commit([Create("things/a", {"n": 2})])

    assert documents.get("things/a").data == {"n": 1}


def test_a_commit_is_applied_whole_or_not_at_all(documents):
    documents.commit([Create("things/a", {"n": 1})])

    with pytest.raises(PreconditionFailed):
        documents.commit([Put("things/b", {"n": 1}), Create("things/a", {"n": 2})])

    assert documents.get_all(["things/b", "things/a"])[0] is None


def test_the_version_of_a_commit_is_the_next_commit_s_precondition(documents):
    first = documents.commit([Create("things/a", {"n": 1}), Create("things/b", {"n": 1})])

    second = documents.commit([Put("things/a", {"n": 2}, first[0])])

    with pytest.raises(PreconditionFailed):
        documents.commit([Put("things/a", {"n": 3}, first[0])])
    documents.commit([Put("things/a", {"n": 4}, second[0])])
    assert documents.get("things/a").data == {"n": 4}


def test_the_version_read_is_the_version_written(documents):
    written = documents.commit([Create("things/a", {"n": 1})])[0]

    assert documents.get("things/a").version == written


def test_a_put_replaces_the_whole_document(documents):
    documents.commit([Create("things/a", {"old": 1, "both": 1})])

    documents.commit([Put("things/a", {"both": 2})])

    assert documents.get("things/a").data == {"both": 2}


def test_a_put_with_a_version_needs_the_document_to_be_there(documents):
    version = documents.commit([Create("things/a", {"n": 1})])[0]
    documents.commit([Delete("things/a")])

    with pytest.raises(PreconditionFailed):
        documents.commit([Put("things/a", {"n": 2}, version)])


def test_a_patch_keeps_the_other_fields(documents):
    documents.commit([Create("things/a", {"kept": 1, "map": {"x": 1}})])

    documents.commit([Patch("things/a", {"map": {"y": 2}, "new.name": 3})])

    assert documents.get("things/a").data == {"kept": 1, "map": {"y": 2}, "new.name": 3}


def test_a_patch_needs_a_document(documents):
    with pytest.raises(PreconditionFailed):
        documents.commit([Patch("things/a", {"n": 1})])


def test_upsert_creates_a_document_with_its_minima(documents):
    documents.commit([Upsert("things/a", {"seq": 1, "with.dot": "x"}, {"oldest": 30, "other.dot": -5})])

    assert documents.get("things/a").data == {"seq": 1, "with.dot": "x", "oldest": 30, "other.dot": -5}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [({"oldest": 20}, 20), ({"oldest": 40}, 30), ({"oldest": None}, 30), ({"oldest": "20"}, 30), ({}, 30)],
    ids=["smaller", "larger", "null", "text", "missing"],
)
def test_upsert_keeps_the_smaller_number_and_all_other_fields(documents, stored, expected):
    documents.commit([Create("things/a", {"seq": 1, "kept": [1], **stored})])

    documents.commit([Upsert("things/a", {"seq": 2}, {"oldest": 30})])

    assert documents.get("things/a").data == {"seq": 2, "kept": [1], "oldest": expected}


def test_upsert_changes_the_version_that_a_patch_has_read(documents):
    version = documents.commit([Create("things/a", {"seq": 1, "oldest": 20})])[0]
    documents.commit([Upsert("things/a", {"seq": 2}, {"oldest": 30})])

    with pytest.raises(PreconditionFailed):
        documents.commit([Patch("things/a", {"oldest": None}, version)])

    assert documents.get("things/a").data == {"seq": 2, "oldest": 20}


def test_upsert_answers_the_version_of_the_next_commit(documents):
    first = documents.commit([Upsert("things/a", {"seq": 1}, {"oldest": 20}), Create("things/b", {"n": 1})])

    documents.commit([Patch("things/a", {"oldest": None}, first[0])])

    assert documents.get("things/a").data == {"seq": 1, "oldest": None}
    assert documents.get("things/b").version == first[1]


def test_upsert_is_refused_with_its_commit(documents):
    documents.commit([Create("things/b", {"n": 1})])

    with pytest.raises(PreconditionFailed):
        documents.commit([Upsert("things/a", {"seq": 1}, {"oldest": 20}), Create("things/b", {"n": 2})])

    assert documents.get("things/a") is None


@pytest.mark.parametrize("minima", [{"seq": 1}, {"oldest": 2**63}], ids=["named twice", "beyond 64 bits"])
def test_upsert_of_an_impossible_minimum_is_refused(documents, minima):
    with pytest.raises(InvalidWrite):
        documents.commit([Upsert("things/a", {"seq": 1}, minima)])

    assert documents.get("things/a") is None


def test_a_document_left_as_it_was_keeps_its_version(documents):
    before = documents.commit([Create("things/a", {"n": 1})])[0]

    documents.commit([Put("things/a", {"n": 1})])

    assert documents.get("things/a").version == before


def test_deleting_is_possible_twice_and_can_be_conditional(documents):
    version = documents.commit([Create("things/a", {"n": 1})])[0]
    documents.commit([Put("things/a", {"n": 2})])

    with pytest.raises(PreconditionFailed):
        documents.commit([Delete("things/a", version)])

    documents.commit([Delete("things/a")])
    documents.commit([Delete("things/a")])
    assert documents.get("things/a") is None


def test_a_path_stands_in_one_write_of_a_commit(documents):
    with pytest.raises(InvalidWrite):
        documents.commit([Create("things/a", {"n": 1}), Put("things/a", {"n": 2})])


def test_documents_come_in_the_order_asked_for_even_twice(documents):
    documents.commit([Create("things/a", {"n": 1}), Create("things/c", {"n": 3})])

    found = documents.get_all(["things/c", "things/b", "things/a", "things/c"])

    assert [document and document.data["n"] for document in found] == [3, None, 1, 3]


def test_a_query_without_an_order_goes_by_path_and_pages(documents):
    documents.commit([Create(f"things/{name}", {"n": 1}) for name in "cabde"])

    first = documents.query(Query(collection="things", limit=2))
    rest = documents.query(Query(collection="things", limit=9, after=(first[-1].path,)))

    assert [document.id for document in first + rest] == list("abcde")


def test_a_query_bounds_ids_inclusively(documents):
    documents.commit([Create(f"things/{name}", {"n": 1}) for name in "abcde"])

    found = documents.query(Query(collection="things", limit=9, id_from="b", id_to="d"))

    assert [document.id for document in found] == ["b", "c", "d"]


def test_query_bounds_ids_among_documents_of_some_kinds(documents):
    kinds = dict(zip("abcdef", ("x", "y", "x", "z", "y", "x"), strict=True))
    documents.commit([Create(f"things/{name}", {"kind": kind}) for name, kind in kinds.items()])
    wanted = (Where("kind", "in", ["x", "y"]),)

    found = documents.query(Query(collection="things", limit=9, where=wanted, id_from="b", id_to="e"))

    assert [document.id for document in found] == ["b", "c", "e"]


def test_query_returns_the_newest_ids_of_some_kinds_first(documents):
    kinds = dict(zip("abcdef", ("x", "y", "x", "z", "y", "x"), strict=True))
    documents.commit([Create(f"things/{name}", {"kind": kind}) for name, kind in kinds.items()])
    wanted = (Where("kind", "in", ["x", "y"]),)
    query = Query(collection="things", limit=2, where=wanted, id_from="b", id_to="e", is_newest_first=True)

    found = documents.query(query)
    one = documents.query(replace(query, where=(Where("kind", "in", ["x"]),)))

    assert [document.id for document in found] == ["e", "c"]
    assert [document.id for document in one] == ["c"]


def test_a_query_filters_sorts_and_pages_by_fields(documents):
    documents.commit([Create(f"things/{n}", {"n": n, "even": n % 2 == 0}) for n in range(10)])
    query = Query(
        collection="things",
        limit=2,
        where=(Where("even", "==", True), Where("n", ">", 0)),
        order_by=(Order("n", descending=True),),
    )

    first = documents.query(query)
    last_n = first[-1].data["n"]
    rest = documents.query(
        Query(collection="things", limit=9, where=query.where, order_by=query.order_by, after=(last_n,))
    )

    assert [document.data["n"] for document in first + rest] == [8, 6, 4, 2]


@pytest.mark.parametrize("is_descending", [False, True])
def test_a_query_pages_through_equal_values_by_path(documents, is_descending):
    times: dict[str, Value] = {"a": "2026", "b": "2026", "c": "2026", "d": "2025", "e": 7, "f": 7}
    documents.commit([Create(f"things/{name}", {"at": at}) for name, at in times.items()])
    order = (Order("at", descending=is_descending),)

    found, after = [], None
    while page := documents.query(Query(collection="things", limit=2, order_by=order, after=after)):
        found += [document.id for document in page]
        after = (page[-1].data["at"], page[-1].path)

    assert found == (["c", "b", "a", "d", "f", "e"] if is_descending else ["e", "f", "d", "a", "b", "c"])


def test_documents_without_the_sort_field_or_with_another_type_are_not_found(documents):
    documents.commit(
        [Create("things/a", {"at": 5}), Create("things/b", {"other": 1}), Create("things/c", {"at": None})]
    )

    sorted_ones = documents.query(Query(collection="things", limit=9, order_by=(Order("at"),)))
    filtered = documents.query(Query(collection="things", limit=9, where=(Where("at", "<=", 9),)))

    assert [document.id for document in sorted_ones] == ["c", "a"]
    assert [document.id for document in filtered] == ["a"]


def test_a_group_query_sees_all_collections_of_the_name_and_no_other(documents):
    documents.commit(
        [
            Create("accounts/u2/outbox/log", {"seq": 2}),
            Create("accounts/u1/outbox/log", {"seq": 1}),
            Create("accounts/u1/entries/1", {"seq": 9}),
        ]
    )

    found = documents.query(Query(collection="outbox", group=True, limit=9))
    after = documents.query(Query(collection="outbox", group=True, limit=9, after=(found[0].path,)))

    assert [document.path for document in found] == ["accounts/u1/outbox/log", "accounts/u2/outbox/log"]
    assert [document.path for document in after] == ["accounts/u2/outbox/log"]


def test_membership_queries(documents):
    documents.commit([Create("things/a", {"tags": ["x", "y"]}), Create("things/b", {"tags": ["z"]})])

    tagged = documents.query(Query(collection="things", limit=9, where=(Where("tags", "array_contains", "y"),)))

    assert [document.id for document in tagged] == ["a"]


def test_a_store_that_cannot_be_reached_is_named_so(monkeypatch, project):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    nowhere = connect(project)

    with pytest.raises((OutcomeUnknown, StoreUnavailable)):
        nowhere.commit([Create("things/a", {"n": 1})], timeout_seconds=0.5)


@pytest.mark.parametrize("is_group", [False, True])
def test_due_documents_of_all_shards_come_in_pages_the_most_overdue_first(documents, is_group):
    kind = "things/{}" if not is_group else "owners/{}/things/state"
    for number in range(9):
        due: dict[str, Value] = {"due_at": to_datetime(1_000 + number // 2), "due_shard": number % 3}
        documents.commit([Create(kind.format(f"t{number}"), due)])
    documents.commit([Create(kind.format("later"), {"due_at": to_datetime(9_000), "due_shard": 0})])
    due_list = DueList(collection="things", shards=3, is_group=is_group)

    first = due_list.page(documents, 2_000, 4)
    rest = due_list.page(documents, 2_000, 9, due_place(first[-1]))

    found = [document.path for document in (*first, *rest)]
    assert found == [kind.format(f"t{number}") for number in range(9)]


@pytest.mark.parametrize("is_group", [False, True])
def test_a_query_of_paths_only_brings_no_data_and_the_same_versions(documents, is_group):
    documents.commit([Create(f"things/{name}", {"uid": "ann", "text": "x" * 1_000}) for name in "abc"])
    where = (Where("uid", "==", "ann"),)

    whole = documents.query(Query(collection="things", group=is_group, limit=2, where=where))
    found = documents.query(Query(collection="things", group=is_group, limit=2, where=where, is_paths_only=True))

    assert [(each.path, each.version) for each in found] == [(each.path, each.version) for each in whole]
    assert [each.data for each in found] == [{}, {}]


@pytest.mark.parametrize("is_group", [False, True])
def test_a_query_of_paths_only_begins_behind_a_document_that_is_gone(documents, is_group):
    documents.commit([Create(f"things/{name}", {"uid": "ann"}) for name in "abcd"])
    where = (Where("uid", "==", "ann"),)
    documents.commit([Delete("things/b")])

    query = Query(collection="things", group=is_group, limit=2, where=where, after=("things/b",), is_paths_only=True)

    assert [each.path for each in documents.query(query)] == ["things/c", "things/d"]
