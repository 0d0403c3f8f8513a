"""Amounts of coins: exact against fractions at every scale, due rounded up, values rounded down."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import InvalidValue
from shared.payments.chains import amounts
from shared.payments.fiat import MINOR_MAX, Fiat

DECIMALS = st.integers(0, 18)
AMOUNTS = st.integers(0, 2**255)
RATES = st.builds(
    lambda digits, places: Fraction(digits, 10**places), st.integers(1, 10**12), st.integers(0, 12)
).filter(lambda rate: rate > 0)
PRICES = st.integers(1, MINOR_MAX).map(lambda minor: Fiat(minor, "USD"))


@given(AMOUNTS, DECIMALS, RATES)
def test_a_value_is_the_fraction_rounded_down(amount, decimals, rate):
    cents = amounts.value_cents(amount, decimals, rate)

    exact = Fraction(amount) / Fraction(10) ** decimals * rate * 100
    assert cents <= exact < cents + 1


@given(PRICES, RATES, DECIMALS)
def test_an_amount_due_pays_the_price_for_at_most_one_step_more(price, rate, decimals):
    due = amounts.due(price, rate, decimals)

    exact = Fraction(price.minor, 100) / rate * 10**decimals
    step = 10 ** (decimals - amounts.typed_decimals(rate, decimals))
    assert exact <= due < exact + step
    assert due % step == 0
    assert amounts.value_cents(due, decimals, rate) >= price.minor


@given(PRICES, RATES)
def test_rounding_adds_a_cent_at_most_where_units_are_fine(price, rate):
    due = amounts.due(price, rate, 30)

    assert amounts.usd_of(due, 30, rate) - Fraction(price.minor, 100) < amounts.TYPED_STEP_USD


@given(AMOUNTS, DECIMALS)
def test_a_decimal_text_reads_back_as_the_same_amount(amount, decimals):
    assert amounts.atomic_of(amounts.decimal_text(amount, decimals), decimals) == amount


@given(RATES)
def test_a_rate_reads_back_as_the_same_rate(rate):
    assert amounts.rate_of(amounts.rate_text(rate)) == rate


@pytest.mark.parametrize(
    ("price", "rate", "decimals", "due"),
    [
        (1_000, "1", 0, "10"),
        (1_050, "1", 0, "11"),
        (1_050, "1", 2, "10.5"),
        (1_000, "1", 6, "10"),
        (999, "1", 6, "9.99"),
        (1_000, "64321.5", 8, "0.0001555"),
        (1_000, "2871.345", 18, "0.003483"),
        (1_000, "0.4127", 18, "24.24"),
        (100, "0.00001", 18, "100000"),
    ],
)
def test_due_is_a_number_that_people_can_type(price, rate, decimals, due):
    atomic = amounts.due(Fiat(price, "USD"), amounts.rate_of(rate), decimals)

    assert amounts.decimal_text(atomic, decimals) == due


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_the_largest_level_of_a_chain_has_an_exact_value(decimals):
    cents = amounts.value_cents(2**255, decimals, Fraction(1))

    assert cents == 2**255 * 100 // 10**decimals


@pytest.mark.parametrize(("text", "rate"), [("6.4e4", 64_000), ("1E-2", Fraction(1, 100)), ("0.10", Fraction(1, 10))])
def test_a_rate_with_an_exponent_is_exact(text, rate):
    assert amounts.rate_of(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0", "0.0", "-1", "+1", "1,5", ".5", "5.", "NaN", "Infinity", "1e99", "1e-99", "1e999", "١", "0x1",
             "1_000", " 1", "1 ", "9" * 41]
)  # fmt: skip
def test_a_rate_that_is_no_number_above_zero_is_refused(text):
    with pytest.raises(InvalidValue):
        amounts.rate_of(text)


@pytest.mark.parametrize("text", ["", "1.0000001", "-1", "1e6", ".5", "1.", "١", "1.5.0", " 1"])
def test_an_amount_that_the_asset_cannot_have_is_refused(text):
    with pytest.raises(InvalidValue):
        amounts.atomic_of(text, 6)


def test_a_value_may_be_above_the_largest_payment():
    assert amounts.value_cents(2**255, 6, Fraction(1)) == 2**255 // 10**4


def test_a_price_in_another_currency_has_no_amount_due():
    with pytest.raises(InvalidValue, match="must be USD"):
        amounts.due(Fiat(1_000, "EUR"), Fraction(1), 6)
