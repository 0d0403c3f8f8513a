"""Money of the outside world: exact, in one currency, as its providers write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import MINOR_DIGITS, MINOR_MAX, Fiat


@pytest.mark.parametrize(
    ("decimal", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5", "USD", 1250),
        ("12", "USD", 1200),
        ("12.500", "USD", 1250),
        ("0.01", "EUR", 1),
        ("1250", "JPY", 1250),
        ("1250.00", "JPY", 1250),
        ("1.234", "KWD", 1234),
    ],
)
def test_a_decimal_names_an_exact_amount(decimal, currency, minor):
    assert Fiat.parse(decimal, currency) == Fiat(minor, currency)


@pytest.mark.parametrize(
    ("decimal", "currency"),
    [("12.505", "USD"), ("1.5", "JPY"), ("-1.00", "USD"), ("", "USD"), (".5", "USD"), ("1e3", "USD"), ("1,00", "USD"),
     ("١", "USD"), ("1.0.0", "USD"), (" 1", "USD"), ("9" * 20, "USD")],
)  # fmt: skip
def test_what_the_currency_cannot_say_is_refused(decimal, currency):
    with pytest.raises(InvalidValue):
        Fiat.parse(decimal, currency)


@pytest.mark.parametrize("currency", ["usd", "US", "USDT", "U$D", ""])
def test_a_currency_is_its_code(currency):
    with pytest.raises(InvalidValue):
        Fiat(1, currency)


@given(st.integers(0, MINOR_MAX), st.sampled_from(["USD", *MINOR_DIGITS]))
def test_what_is_written_is_read_back(minor, currency):
    amount = Fiat(minor, currency)

    assert Fiat.parse(amount.decimal, currency) == amount
