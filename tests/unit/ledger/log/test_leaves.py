"""The bytes of leaves: an outsider who has the entry can make the leaf again, and no leaf has two readings."""

from typing import Any

import pytest

from shared.ledger.keys import to_base64
from shared.ledger.log.leaves import (
    LEAF_BYTES_MAX,
    LEAF_KINDS,
    InvalidLeaf,
    entry_leaf,
    read_typed_leaf,
    typed_leaf,
)

HASH, SIGNATURE = "ab" * 32, to_base64(bytes(range(64)))


def test_entry_leaf_is_context_hash_and_signature():
    assert entry_leaf(HASH, SIGNATURE) == b"ics-leaf-v1\n" + bytes.fromhex(HASH) + bytes(range(64))


@pytest.mark.parametrize("bad", ["", "ab" * 31, "AB" * 32, "ab" * 33, "zz" * 32, HASH + "\n", " " + HASH])
def test_entry_leaf_is_refused_for_another_text_of_a_hash(bad):
    with pytest.raises(InvalidLeaf, match=r"hash of an entry"):
        entry_leaf(bad, SIGNATURE)


@pytest.mark.parametrize("bad", ["", to_base64(bytes(63)), to_base64(bytes(65)), "=", SIGNATURE[:-3] + "x==", "é"])
def test_entry_leaf_is_refused_for_another_text_of_a_signature(bad):
    with pytest.raises(InvalidLeaf, match=r"signature of an entry"):
        entry_leaf(HASH, bad)


@pytest.mark.parametrize("kind", LEAF_KINDS)
def test_typed_leaf_is_read_as_written(kind):
    data = typed_leaf(kind, {"b": 1, "a": ["x"]})

    assert data == f'ics-{kind}-v1\n{{"a":["x"],"b":1}}'.encode()
    assert read_typed_leaf(data) == (kind, {"a": ["x"], "b": 1})


def test_typed_leaf_is_refused_without_canonical_form_or_when_large():
    bodies: list[Any] = [{"a": 1.5}, {"a": "x" * LEAF_BYTES_MAX}]
    for body in bodies:
        with pytest.raises(InvalidLeaf):
            typed_leaf("day", body)


@pytest.mark.parametrize(
    "data", [b"", b"ics-leaf-v1\n{}", b"ics-day-v1\n", b"ics-day-v1\n[]", b'ics-day-v1\n{"a": 1}', b"ics-day-v1\n\xff"]
)
def test_other_data_are_no_typed_leaf(data):
    with pytest.raises(InvalidLeaf):
        read_typed_leaf(data)
