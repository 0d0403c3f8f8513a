from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ai.models import ModelUnpriced, parse_model
from shared.ai.tariff import SizeNotOffered, Tariff
from shared.ai.tokens import Usage

PRICES = st.decimals(min_value=0, max_value=100_000, places=12).map(lambda price: f"{price:f}")
TOKENS = st.integers(0, 5_000_000)


def model(input_price, output_price):
    return parse_model(
        "m",
        {
            "kind": "chat",
            "input_usd_per_mtok": input_price,
            "output_usd_per_mtok": output_price,
            "context_window": 100,
            "max_output_tokens": 10,
        },
    )


def usage(input_tokens, output_tokens):
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


def test_a_million_tokens_cost_their_price_in_credits():
    tariff = Tariff(credits_per_usd=100)

    assert tariff.price(model("0.15", "0.60"), usage(1_000_000, 1_000_000)) == 75_000_000


def test_a_price_is_rounded_up_once():
    tariff = Tariff(credits_per_usd=1)

    assert tariff.price(model("0.3", "0.3"), usage(1, 1)) == 1
    assert tariff.price(model("0.5", "0.5"), usage(1, 1)) == 1
    assert tariff.price(model("0.000000000000000001", "0"), usage(1, 0)) == 1
    assert tariff.price(model("0", "0"), usage(1, 1)) == 0


def test_the_markup_comes_on_top():
    assert Tariff(credits_per_usd=100, markup_percent=25).price(model("2", "0"), usage(4, 0)) == 1_000


@given(PRICES, PRICES, TOKENS, TOKENS, st.integers(1, 1_000_000), st.integers(0, 10_000))
def test_a_price_is_the_exact_sum_rounded_up(input_price, output_price, tokens_in, tokens_out, credits_per_usd, markup):
    tariff = Tariff(credits_per_usd=credits_per_usd, markup_percent=markup)

    price = tariff.price(model(input_price, output_price), usage(tokens_in, tokens_out))

    usd = tokens_in * Fraction(Decimal(input_price)) + tokens_out * Fraction(Decimal(output_price))
    exact = usd / 1_000_000 * credits_per_usd * 1_000_000 * (100 + markup) / 100
    assert exact <= price < exact + 1


@given(PRICES, PRICES, TOKENS, TOKENS, TOKENS, TOKENS)
def test_the_ceiling_of_more_tokens_is_never_lower(input_price, output_price, tokens_in, tokens_out, more_in, more_out):
    tariff, priced = Tariff(credits_per_usd=100), model(input_price, output_price)

    ceiling = tariff.ceiling(priced, tokens_in + more_in, tokens_out + more_out)

    assert tariff.price(priced, usage(tokens_in, tokens_out)) <= ceiling


@given(PRICES, PRICES, TOKENS, st.integers(0, 10**12))
def test_affordable_output_is_the_most_that_is_paid_for(input_price, output_price, tokens_in, amount):
    rate = Tariff(credits_per_usd=100).rate(model(input_price, output_price))

    most = rate.affordable_output(amount, tokens_in)

    if most is None:
        assert Fraction(output_price) == 0
    elif rate.price(usage(tokens_in, 0)) <= amount:
        assert rate.price(usage(tokens_in, most)) <= amount < rate.price(usage(tokens_in, most + 1))
    else:
        assert most == 0


def test_a_model_priced_by_the_image_has_no_price_per_token():
    image = parse_model("i", {"kind": "image", "image_usd": "0.04"})

    with pytest.raises(ModelUnpriced):
        Tariff(credits_per_usd=100).rate(image)


@pytest.mark.parametrize(
    ("usd", "tariff", "expected"),
    [
        ("0.04", Tariff(credits_per_usd=100), 4_000_000),
        ("0.04", Tariff(credits_per_usd=100, markup_percent=50), 6_000_000),
        ("0.000000001", Tariff(credits_per_usd=100), 1),
        ("0", Tariff(credits_per_usd=100), 0),
        ("0.0000000101", Tariff(credits_per_usd=100), 2),
    ],
)
def test_an_image_costs_its_price_rounded_up_once(usd, tariff, expected):
    image = parse_model("i", {"kind": "image", "image_usd": usd})

    assert tariff.image_price(image, "1024x1024") == expected


def test_a_size_without_a_price_is_not_painted():
    image = parse_model("i", {"kind": "image", "image_usd": "0.04"})

    with pytest.raises(SizeNotOffered) as refused:
        Tariff(credits_per_usd=100).image_price(image, "64x64")

    assert refused.value.params == {"model": "i", "size": "64x64", "offered": "1024x1024"}
