"""firestore.rules do what the table says, tried with the Firebase JS SDK against the emulators."""

import re
from pathlib import Path

import pytest

from shared.kernel.documents import Order, Query, Where
from tests.rules.table import OPERATIONS, PERSONAS, READERS, ROWS
from tests.support.indexes import Indexes, shape_of
from tests.support.live import collection_of
from tests.support.node import run_script
from tests.support.rules import RULES, collections_in, readable_paths

HERE = Path(__file__).parent
MATRIX_SECONDS_MAX = 300
LET_THROUGH = "allowed"
REFUSED = "permission-denied"


@pytest.fixture(scope="module")
def outcomes(emulators):
    """What happened to every persona, by row and operation."""
    given = {
        "project": emulators.project,
        "authUrl": emulators.endpoints.auth,
        "firestoreUrl": emulators.endpoints.firestore,
        "personas": list(PERSONAS),
        "operations": list(OPERATIONS),
        "rows": [{"path": row.path, "filter": row.filter, "seed": row.seed} for row in ROWS],
    }
    outcomes: dict[tuple, dict] = {}
    for number, operation, persona, outcome in run_script(
        HERE / "matrix.mjs", given, timeout_seconds=MATRIX_SECONDS_MAX
    ):
        outcomes.setdefault((ROWS[number], operation), {})[persona] = outcome
    return outcomes


def _name(row):
    return row.path


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_client_may_do_what_the_table_says(outcomes, row, operation):
    expected = {name: LET_THROUGH if name in row.allowed(operation) else REFUSED for name in PERSONAS}

    assert outcomes[row, operation] == expected


def test_no_rule_lets_anybody_write():
    granted = set(re.findall(r"allow ([\w, ]+): if (?!false)", RULES))

    assert granted == {"get", "read"}


def test_what_is_not_named_is_denied():
    assert "match /{document=**} {\n      allow read, write: if false;" in RULES


def test_every_readable_collection_is_in_the_table():
    assert collections_in(readable_paths(RULES)) == {collection_of(row.path) for row in READERS}


FILTERED = [row for row in READERS if row.filter]
SORTED = {
    "conversations, last used first": Query(
        collection="conversations", limit=20, where=(Where("uid", "==", "u"),), order_by=(Order("updated_at", True),)
    ),
}


@pytest.mark.parametrize("row", FILTERED, ids=_name)
def test_an_index_serves_the_query_that_a_client_should_make(row):
    name, value = row.filter

    query = Query(collection=collection_of(row.path), limit=20, where=(Where(name, "==", value),))
    assert Indexes.load().serves(shape_of(query))


@pytest.mark.parametrize("query", SORTED.values(), ids=SORTED.keys())
def test_an_index_serves_the_order_that_a_client_wants(query):
    assert Indexes.load().serves(shape_of(query))
