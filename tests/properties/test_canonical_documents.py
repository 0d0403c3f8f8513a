"""Canonical JSON against the published pairs of RFC 8785, and random documents against a reference encoder."""

import json
import os
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785

from shared.kernel.canonical import INTEGER_MAX, Json, NotCanonical, canonical, parse_canonical

PAIRS: list[dict[str, str]] = json.loads((Path(__file__).parents[1] / "data" / "jcs_vectors.json").read_text())["pairs"]
INSIDE_AS_VALUES = {"unicode"}
INSIDE_AS_TEXTS = {"unicode", "structures"}
"""Pairs inside our profile. The others hold floats, nulls or keys beyond ASCII; an input of `structures` says 56.0."""
DOCUMENTS = int(os.environ.get("DOCUMENTS", "4000"))
SEED = int(os.environ.get("SEED", "1"))
DEPTH_MAX = 5
LETTERS = 'aZ0 "\\/\b\f\n\r\t\x00\x1f\x7f\x80é€\u2028\u2029\ufeff\ufb33\U0001f602{}[]:,'
KEY_LETTERS = 'aZ0_ "\\/\n\x00\x1f\x7f{}[]:,'
INTEGERS = (0, 1, -1, 10**15, -(10**15), INTEGER_MAX, -INTEGER_MAX)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_a_published_input_has_the_published_form_or_is_refused(pair):
    try:
        found = canonical(orjson.loads(pair["input"])).decode()
    except NotCanonical:
        found = None

    assert found == (pair["output"] if pair["name"] in INSIDE_AS_VALUES else None)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_a_published_output_is_read_or_refused_by_the_profile(pair):
    try:
        found = canonical(parse_canonical(pair["output"])).decode()
    except NotCanonical:
        found = None

    assert found == (pair["output"] if pair["name"] in INSIDE_AS_TEXTS else None)


def test_random_documents_have_the_form_of_a_reference_encoder():
    random_ = random.Random(SEED)
    for number in range(DOCUMENTS):
        value = _document(random_, 0)
        text = canonical(value)

        assert text == rfc8785.dumps(value), f"document {number} of seed {SEED}"
        assert parse_canonical(text) == value


def _document(random_: random.Random, depth: int) -> Json:
    pick = random_.random()
    if depth == 0 or (pick < 0.2 and depth < DEPTH_MAX):
        return {_text(random_, KEY_LETTERS): _document(random_, depth + 1) for _ in range(random_.randrange(5))}
    if pick < 0.3 and depth < DEPTH_MAX:
        return [_document(random_, depth + 1) for _ in range(random_.randrange(4))]
    choices: list[Any] = [random_.choice(INTEGERS), random_.randint(-INTEGER_MAX, INTEGER_MAX), pick < 0.5]
    return random_.choice([*choices, _text(random_, LETTERS)])


def _text(random_: random.Random, letters: str) -> str:
    return "".join(random_.choices(letters, k=random_.randrange(8)))
