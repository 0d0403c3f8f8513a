import pytest

from emulator.seed import PACKAGES
from shared.payments.packages import package_of
from shared.payments.worth import Worth

PACKAGE = {"title": "P", "currency": "USD", "price_minor": 1_000, "credits": 1_000_000_000}
LAPTOP = Worth(credits_per_usd=100, markup_percent=0)


@pytest.mark.parametrize(
    ("fields", "markup", "is_warned"),
    [
        ({}, 0, False),
        ({"price_minor": 999}, 0, True),
        ({"bonus": 1}, 0, True),
        ({"price_minor": 715}, 40, False),
        ({"price_minor": 714}, 40, True),
        ({"price_minor": 1, "currency": "EUR"}, 0, False),
    ],
)
def test_a_price_in_dollars_below_cost_is_warned_of(fields, markup, is_warned):
    package = package_of("p", {**PACKAGE, **fields})

    warning = Worth(credits_per_usd=100, markup_percent=markup).warning(package)

    assert (warning is not None) is is_warned


def test_a_warning_names_price_and_cost():
    package = package_of("p", {**PACKAGE, "price_minor": 199, "credits": 500_000_000})

    assert LAPTOP.warning(package) == (
        "Priced below cost: 1.99 USD buys credits for which providers charge up to 5.00 USD."
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_the_seeded_packages_earn_after_the_fee_of_a_card(name):
    package = package_of(name, PACKAGES[name])
    fee = 0.30 + 0.029 * package.price.minor / 100

    assert LAPTOP.cost_usd(package) < package.price.minor / 100 - fee
