"""Our canonical JSON is RFC 8785 on the restricted profile, and nothing outside the profile has one."""

from typing import cast

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.canonical import INTEGER_MAX, Json, NotCanonical, canonical, parse_canonical

TEXT = st.text(st.characters(codec="utf-8"))
KEYS = st.text(st.characters(max_codepoint=127))
INTEGERS = st.integers(-INTEGER_MAX, INTEGER_MAX)
JSON = st.recursive(
    st.booleans() | INTEGERS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=30
)
OUTSIDE = st.one_of(
    st.none(),
    st.floats(),
    st.integers(min_value=INTEGER_MAX + 1),
    st.integers(max_value=-INTEGER_MAX - 1),
    st.just("\ud800"),
    st.dictionaries(st.text(st.characters(min_codepoint=128, codec="utf-8"), min_size=1), INTEGERS, min_size=1),
)


@given(JSON)
def test_it_is_what_an_implementation_of_the_standard_says(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(JSON)
def test_reading_it_gives_the_value_back(value):
    assert parse_canonical(canonical(value)) == value


@given(OUTSIDE)
def test_what_is_outside_the_profile_is_refused(value):
    for wrapped in (value, [value], {"key": value}, {"key": [1, {"deep": value}]}):
        with pytest.raises(NotCanonical):
            canonical(cast("Json", wrapped))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\ud800",
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
        "[1, 2]",
        "1.0",
        "-0",
        "1e3",
        "null",
        '"\\u0041"',
        "01",
        "[1]\n",
    ],
)
def test_a_text_that_is_not_the_form_of_its_value_is_refused(text):
    with pytest.raises(NotCanonical):
        parse_canonical(text)


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_no_text_does_worse_than_being_refused(text):
    try:
        value = parse_canonical(text)
    except NotCanonical:
        return
    assert canonical(value) == (text.encode() if isinstance(text, str) else text)


LITERALS = st.sampled_from(["1.0", "-1.5e3", "null", "9007199254740992", "-9007199254740992", "9007199254740991", "0"])


@given(LITERALS, st.sampled_from(["[{}]", '{{"a":{}}}', "[1,{}]", '{{"a":[true,{}],"b":"c"}}', '{{"a":":{}"}}']))
def test_a_text_is_read_exactly_if_its_value_is_in_the_profile(literal, form):
    text = form.format(literal)
    try:
        expected = canonical(orjson.loads(text)).decode() == text
    except NotCanonical:
        expected = False

    try:
        parse_canonical(text)
    except NotCanonical:
        assert not expected
    else:
        assert expected


@pytest.mark.parametrize("text", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900])
def test_a_text_that_is_nested_too_deeply_is_refused(text):
    with pytest.raises(NotCanonical):
        parse_canonical(text)
