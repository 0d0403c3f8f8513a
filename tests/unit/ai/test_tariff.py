from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ai.models.catalogue import ModelUnpriced, parse_model
from shared.ai.models.tariff import QualityNotOffered, SizeNotOffered, Tariff
from shared.ai.tokens import Usage, expected_tokens

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


TIERED = {
    "kind": "chat",
    "input_usd_per_mtok": "1.25",
    "output_usd_per_mtok": "10",
    "cached_input_usd_per_mtok": "0.125",
    "cache_write_usd_per_mtok": "1.5625",
    "request_usd": "0.002",
    "context_tiers": [
        {
            "above_input_tokens": 200_000,
            "input_usd_per_mtok": "2.5",
            "output_usd_per_mtok": "15",
            "cached_input_usd_per_mtok": "0.25",
        }
    ],
    "context_window": 1_000_000,
    "max_output_tokens": 64_000,
}


@pytest.mark.parametrize(
    ("used", "usd"),
    [
        (Usage(input_tokens=22_729, output_tokens=457, cached_input_tokens=17_323), "0.01549287500"),
        (Usage(input_tokens=1_000, output_tokens=0, cache_write_tokens=400), "0.003375"),
        (Usage(input_tokens=200_000, output_tokens=1_000), "0.262"),
        (Usage(input_tokens=200_001, output_tokens=1_000), "0.5170025"),
        (Usage(input_tokens=300_000, output_tokens=0, cached_input_tokens=100_000), "0.527"),
        (Usage(input_tokens=300_000, output_tokens=0, cache_write_tokens=300_000), "0.752"),
        (Usage(input_tokens=0, output_tokens=0), "0.002"),
    ],
    ids=["cached", "written", "at the tier", "above the tier", "cached above", "written above", "the request alone"],
)
def test_cached_written_long_and_single_requests_cost_their_own_prices(used, usd):
    price = Tariff(credits_per_usd=100, markup_percent=40).price(parse_model("m", TIERED), used)

    assert price == -(-Fraction(usd) * 140 * 1_000_000 // 1)


def test_a_model_without_the_newer_prices_charges_input_for_cached_input():
    used = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=60, cache_write_tokens=40)

    assert Tariff(credits_per_usd=100).price(model("2", "0"), used) == 20_000


@st.composite
def priced_models(draw):
    """Models with any prices, growing or falling with the context."""

    def prices():
        names = ("cached_input_usd_per_mtok", "cache_write_usd_per_mtok")
        found = {"input_usd_per_mtok": draw(PRICES), "output_usd_per_mtok": draw(PRICES)}
        return found | {name: draw(PRICES) for name in names if draw(st.booleans())}

    above = sorted(draw(st.sets(st.integers(1, 5_000_000), max_size=4)))
    tiers = [{"above_input_tokens": tokens, **prices()} for tokens in above]
    window = {"kind": "chat", "context_window": 100, "max_output_tokens": 10}
    return parse_model("m", {**window, **prices(), "request_usd": draw(PRICES), "context_tiers": tiers})


@given(priced_models(), TOKENS, TOKENS, st.data())
def test_no_usage_within_a_bound_costs_more_than_the_bound(priced, tokens_in, tokens_out, data):
    rate = Tariff(credits_per_usd=100, markup_percent=7).rate(priced)
    used_in = data.draw(st.integers(0, tokens_in))
    cached = data.draw(st.integers(0, used_in))
    written = data.draw(st.integers(0, used_in - cached))
    used_out = data.draw(st.integers(0, tokens_out))
    used = Usage(input_tokens=used_in, output_tokens=used_out, cached_input_tokens=cached, cache_write_tokens=written)

    bound = rate.bound(tokens_in, tokens_out)

    assert rate.price(used) <= bound
    assert bound <= rate.bound(tokens_in, 0) + rate.output_bound(tokens_out, input_tokens=tokens_in)
    assert rate.output_price(used_out, input_tokens=used_in) <= rate.output_bound(tokens_out, input_tokens=tokens_in)


@given(priced_models(), TOKENS, st.integers(0, 10**15))
def test_affordable_output_keeps_each_tier_within_the_amount(priced, tokens_in, amount):
    rate = Tariff(credits_per_usd=100).rate(priced)

    most = rate.affordable_output(amount, tokens_in)

    if most is not None and rate.bound(tokens_in, 0) <= amount:
        assert rate.bound(tokens_in, most) <= amount < rate.bound(tokens_in, most + 1)


PAINTER = {
    "kind": "image",
    "image_usd": "0.042",
    "image_usd_by_size": {"1024x1024": "0.042", "1536x1024": "0.063"},
    "image_usd_by_quality": {"high": {"1024x1024": "0.167", "1536x1024": "0.25"}, "low": {"1024x1024": "0.011"}},
}


def test_a_picture_costs_the_price_of_its_quality():
    tariff, painter = Tariff(credits_per_usd=100), parse_model("i", PAINTER)

    prices = [tariff.image_price(painter, "1024x1024", quality) for quality in (None, "high", "low")]

    assert prices == [4_200_000, 16_700_000, 1_100_000]


@pytest.mark.parametrize(("size", "quality"), [("1536x1024", "low"), ("1024x1024", "ultra")])
def test_a_quality_without_a_price_is_not_painted(size, quality):
    with pytest.raises(QualityNotOffered):
        Tariff(credits_per_usd=100).image_price(parse_model("i", PAINTER), size, quality)


def test_a_picture_costs_its_request_and_the_tokens_of_its_prompt():
    painter = parse_model("i", {**PAINTER, "input_usd_per_mtok": "5", "request_usd": "0.001"})

    price = Tariff(credits_per_usd=100).image_price(painter, "1024x1024", prompt="A fox in the snow")

    assert price == 4_200_000 + 100_000 + 500 * expected_tokens("A fox in the snow")


def test_credits_of_a_price_are_exact_with_the_markup():
    assert Tariff(credits_per_usd=7, markup_percent=33).credits_of(Fraction("0.042")) == "0.39102"


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
