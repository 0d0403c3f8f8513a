"""Prices that no buyer could pay are refused when a package is put on sale."""

import pytest

from shared.kernel.errors import InvalidValue
from shared.payments.fiat import Fiat
from shared.payments.prices import require_payable, takers


@pytest.mark.parametrize(
    ("price", "currency"),
    [
        ("5.120", "KWD"),
        ("1000", "HUF"),
        ("1000.00", "UGX"),
        ("500.00", "ISK"),
        ("1250", "JPY"),
        ("0.50", "USD"),
        ("0.30", "GBP"),
        ("30.00", "TWD"),
        ("7.770", "TND"),
    ],
)
def test_price_that_providers_take_is_accepted(price, currency):
    require_payable(Fiat.parse(price, currency))


@pytest.mark.parametrize(
    ("price", "currency", "field"),
    [
        ("5.124", "KWD", "price"),
        ("999.50", "HUF", "price"),
        ("1000.50", "UGX", "price"),
        ("500.01", "ISK", "price"),
        ("30.50", "TWD", "price"),
        ("0.49", "USD", "price"),
        ("49", "JPY", "price"),
        ("174", "HUF", "price"),
        ("1000000.00", "USD", "price"),
        ("5.00", "USX", "currency"),
        ("5.00", "XXX", "currency"),
    ],
)
def test_price_that_a_provider_cannot_take_is_refused(price, currency, field):
    with pytest.raises(InvalidValue) as error:
        require_payable(Fiat.parse(price, currency))

    assert error.value.params["field"] == field


def test_currency_of_one_provider_only_is_taken_by_that_one():
    assert (takers("KWD"), takers("EUR"), takers("USX")) == (["stripe"], ["stripe", "paypal"], [])
