"""The shape guard knows Firestore's index rules, and firestore.indexes.json is one Firestore would take."""

import json

import pytest

from shared.kernel.documents import Delete, Order, Put, Query, Where
from shared.platform.memory.documents import MemoryDocuments
from tests.support.indexes import (
    INDEXES_FILE,
    IndexCheckedDocuments,
    Indexes,
    MissingIndex,
    UnknownCollection,
    UnservedShape,
    shape_of,
    unused,
)

NOTHING = Indexes.parse({"indexes": [], "fieldOverrides": []})
BY_OWNER = Indexes.parse(
    {
        "indexes": [
            {
                "collectionGroup": "talks",
                "queryScope": "COLLECTION",
                "fields": [{"fieldPath": "uid", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}],
            },
            {
                "collectionGroup": "talks",
                "queryScope": "COLLECTION",
                "fields": [{"fieldPath": "kind", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}],
            },
            {
                "collectionGroup": "talks",
                "queryScope": "COLLECTION",
                "fields": [
                    {"fieldPath": "tags", "arrayConfig": "CONTAINS"},
                    {"fieldPath": "at", "order": "DESCENDING"},
                ],
            },
            {
                "collectionGroup": "lines",
                "queryScope": "COLLECTION_GROUP",
                "fields": [{"fieldPath": "uid", "order": "ASCENDING"}, {"fieldPath": "at", "order": "ASCENDING"}],
            },
        ],
        "fieldOverrides": [
            {"collectionGroup": "talks", "fieldPath": "body", "indexes": []},
            {"collectionGroup": "talks", "fieldPath": "body.lang", "indexes": [{"order": "ASCENDING"}]},
            {
                "collectionGroup": "marks",
                "fieldPath": "at",
                "indexes": [
                    {"order": "ASCENDING", "queryScope": "COLLECTION"},
                    {"order": "ASCENDING", "queryScope": "COLLECTION_GROUP"},
                ],
            },
        ],
    }
)


def asked(*where, by=(), collection="talks", **more):
    conditions = tuple(Where(*each) for each in where)
    order = tuple(Order(name.lstrip("-"), descending=name.startswith("-")) for name in by)
    return Query(collection=collection, limit=10, where=conditions, order_by=order, **more)


SERVED_BY_ITSELF = {
    "a whole collection": asked(),
    "a collection group by name": asked(group=True),
    "a page by name": asked(after=("talks/t1",)),
    "a range of ids": asked(id_from="a", id_to="b"),
    "one equality": asked(("uid", "==", "u")),
    "several equalities, merged": asked(("uid", "==", "u"), ("kind", "==", "k"), ("open", "==", True)),
    "an equality within a range of ids": asked(("uid", "==", "u"), id_from="a"),
    "any of a list": asked(("uid", "in", ["u", "v"])),
    "any of a list, sorted by it": asked(("uid", "in", ["u", "v"]), by=["uid"]),
    "a member of an array": asked(("tags", "array_contains", "x")),
    "a member of an array, and an equality": asked(("tags", "array_contains", "x"), ("uid", "==", "u")),
    "a range": asked(("at", ">=", 1), ("at", "<", 9)),
    "a range, sorted by it": asked(("at", ">", 1), by=["at"]),
    "a range, sorted down by it": asked(("at", ">", 1), by=["-at"]),
    "an order": asked(by=["at"]),
    "an order down": asked(by=["-at"]),
    "an order by what is held to one value": asked(("uid", "==", "u"), by=["uid"]),
    "in a subcollection": asked(("at", ">", 1), collection="talks/t1/lines"),
}
NEEDS_AN_INDEX = {
    "an equality and an order": asked(("uid", "==", "u"), by=["-at"]),
    "a list and an order": asked(("uid", "in", ["u", "v"]), by=["-at"]),
    "an equality and a range sorted down": asked(("uid", "==", "u"), ("at", "<", 9), by=["-at"]),
    "two equalities and an order, merged of two": asked(("uid", "==", "u"), ("kind", "==", "k"), by=["-at"]),
    "a member and an order": asked(("tags", "array_contains", "x"), by=["-at"]),
    "a group, filtered and sorted": asked(("uid", "==", "u"), by=["at"], collection="lines", group=True),
    "a group, sorted": asked(by=["at"], collection="marks", group=True),
}
SERVED_BY_NOTHING_HERE = {
    "an equality and the other direction": asked(("uid", "==", "u"), by=["at"]),
    "an equality and a range, ascending": asked(("uid", "==", "u"), ("at", "<", 9)),
    "an order of two fields": asked(by=["uid", "-at"], collection="lines"),
    "a prefix of what an index sorts by": asked(("uid", "==", "u"), ("open", "==", True), by=["-at"]),
    "a group by one field": asked(("uid", "==", "u"), group=True),
    "a group index in one collection": asked(("uid", "==", "u"), by=["at"], collection="talks/t1/lines"),
    "a collection index in a group": asked(("uid", "==", "u"), by=["-at"], group=True),
    "an exempt field": asked(("body", "==", "x")),
    "a field of an exempt map": asked(("body.text", "==", "x")),
    "an exempt field among equalities": asked(("uid", "==", "u"), ("body", "==", "x")),
    "a direction that an override left out": asked(by=["-at"], collection="marks"),
    "a scope that an override left out": asked(by=["-at"], collection="marks", group=True),
}
SERVED_BY_NOTHING_EVER = {
    "ranges on two fields": asked(("at", ">", 1), ("size", "<", 9)),
    "sorted by another field than bounded": asked(("at", ">", 1), by=["size"]),
    "two arrays": asked(("tags", "array_contains", "x"), ("kinds", "array_contains", "y")),
    "too many alternatives": asked(("uid", "in", list("abcdef")), ("kind", "in", list("abcdef"))),
    "ids and a field bounded": asked(("at", ">", 1), id_from="a"),
}


@pytest.mark.parametrize("query", SERVED_BY_ITSELF.values(), ids=SERVED_BY_ITSELF.keys())
def test_automatic_indexes_serve(query):
    assert NOTHING.check(query) == shape_of(query)


@pytest.mark.parametrize("query", NEEDS_AN_INDEX.values(), ids=NEEDS_AN_INDEX.keys())
def test_only_a_declared_index_serves(query):
    assert BY_OWNER.check(query) == shape_of(query)
    with pytest.raises(MissingIndex):
        NOTHING.check(query)


@pytest.mark.parametrize("query", SERVED_BY_NOTHING_HERE.values(), ids=SERVED_BY_NOTHING_HERE.keys())
def test_an_index_of_another_form_does_not_serve(query):
    with pytest.raises(MissingIndex):
        BY_OWNER.check(query)


@pytest.mark.parametrize("query", SERVED_BY_NOTHING_EVER.values(), ids=SERVED_BY_NOTHING_EVER.keys())
def test_some_queries_no_index_serves(query):
    with pytest.raises(UnservedShape):
        BY_OWNER.check(query)


def test_an_override_of_a_field_wins_over_that_of_its_map():
    assert BY_OWNER.check(asked(("body.lang", "==", "en"))).equal == {"body.lang"}


def test_a_missing_index_is_named_ready_to_be_declared():
    with pytest.raises(MissingIndex) as missing:
        NOTHING.check(asked(("uid", "==", "u"), by=["-at"]))

    proposal = json.JSONDecoder().raw_decode(str(missing.value).partition(": ")[2])[0]
    declared = Indexes.parse({"indexes": [proposal], "fieldOverrides": []})
    assert declared.serves(shape_of(asked(("uid", "==", "u"), by=["-at"])))


def test_a_checked_store_refuses_what_production_would():
    documents = IndexCheckedDocuments(MemoryDocuments(), BY_OWNER)
    documents.commit([Put("talks/t1", {"uid": "u", "at": 1})])

    found = documents.query(asked(("uid", "==", "u"), by=["-at"]))

    assert [document.path for document in found] == ["talks/t1"]
    with pytest.raises(MissingIndex):
        documents.query(asked(("uid", "==", "u"), by=["at"]))


def test_a_checked_store_refuses_a_collection_that_nobody_decided_about():
    documents = IndexCheckedDocuments(MemoryDocuments(), NOTHING, {"talks", "talks/*/lines"})

    documents.commit([Put("talks/t1", {"uid": "u"}), Put("talks/t1/lines/1", {"text": "x"}), Delete("others/o1")])

    assert documents.fields == {"talks": {"uid"}, "talks/*/lines": {"text"}}
    with pytest.raises(UnknownCollection):
        documents.commit([Put("talks/t1/marks/1", {"at": 1})])


def test_an_index_that_no_query_needs_is_found():
    shapes = [shape_of(query) for query in NEEDS_AN_INDEX.values()]

    assert unused(BY_OWNER.composites, shapes) == []
    assert unused(BY_OWNER.composites, shapes[:1]) == list(BY_OWNER.composites[1:])


def test_what_firestore_refuses_is_refused_here():
    short = {"collectionGroup": "a", "queryScope": "COLLECTION", "fields": [{"fieldPath": "x", "order": "ASCENDING"}]}
    exempt = {"collectionGroup": "a", "fieldPath": "x", "indexes": []}

    with pytest.raises(ValueError, match="one field"):
        Indexes.parse({"indexes": [short], "fieldOverrides": []})
    with pytest.raises(ValueError, match="twice"):
        Indexes.parse({"indexes": [], "fieldOverrides": [exempt, exempt]})


def test_our_indexes_are_ones_firestore_takes():
    definition = json.loads(INDEXES_FILE.read_text(encoding="utf-8"))

    assert Indexes.parse(definition) == Indexes.load()
    assert sorted(definition) == ["fieldOverrides", "indexes"]
    assert all({"collectionGroup", "fieldPath", "indexes"} <= set(each) for each in definition["fieldOverrides"])
