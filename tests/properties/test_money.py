"""Amounts survive the wire exactly, and only amounts get through."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import InvalidValue
from shared.kernel.money import AMOUNT_MAX, format_credits, parse_credits
from shared.kernel.prices import parse_price, round_up

AMOUNTS = st.integers(1, AMOUNT_MAX)
WIRE = re.compile(r"(0|[1-9]\d{0,9})(\.\d{1,6})?", re.ASCII)


@given(AMOUNTS)
def test_an_amount_on_the_wire_is_the_same_amount(amount):
    assert parse_credits(format_credits(amount)) == amount


@given(st.integers(-(2**70), 2**70))
def test_what_we_write_has_no_trailing_zeros_and_no_exponent(amount):
    text = format_credits(amount)

    assert re.fullmatch(r"-?(0|[1-9]\d*)(\.\d{0,5}[1-9])?", text, re.ASCII)
    assert Fraction(text) == Fraction(amount, 10**6)


@given(st.text() | st.from_regex(WIRE, fullmatch=True))
def test_a_text_is_an_amount_or_named_as_none(text):
    try:
        amount = parse_credits(text)
    except InvalidValue:
        return
    assert WIRE.fullmatch(text)
    assert 0 < amount <= AMOUNT_MAX
    assert Fraction(amount, 10**6) == Fraction(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0.0", "-1", "+1", "-0", "1e400", "NaN", "Infinity", "1.", ".5", "01", "1,5", " 1", "1\n", "1_0"),
        *("٣", "１", "0.0000001", "10000000000", "9000000000.000001", "1" * 400, "0." + "1" * 30),
    ],
)
def test_an_absurd_amount_is_refused(text):
    with pytest.raises(InvalidValue):
        parse_credits(text)


@given(st.fractions(min_value=0, max_value=10**9))
def test_a_price_is_rounded_up_once_and_by_less_than_one(price):
    rounded = round_up(price)

    assert 0 <= rounded - price < 1
    assert round_up(Fraction(rounded)) == rounded


@pytest.mark.parametrize(
    "text", ["-1", "NaN", "1e3", "", "0x1", ".5", 1, 1.5, None, True, "1.0000000000000000001", "٣"]
)
def test_a_price_is_a_decimal_string_or_refused(text):
    with pytest.raises(ValueError, match="^" + re.escape(str(text))):
        parse_price(text)


@given(st.integers(0, 999_999_999), st.integers(0, 10**18 - 1))
def test_a_price_is_exact_to_eighteen_decimals(whole, rest):
    assert parse_price(f"{whole}.{rest:018d}") == whole + Fraction(rest, 10**18)
