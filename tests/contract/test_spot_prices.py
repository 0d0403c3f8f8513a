"""Spot prices over HTTP, on a stand-in with every fault: read from text, never a float, and no answer is no price."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from emulator.stand_ins.spot import SpotStandIn
from shared.kernel.clock import HOUR
from shared.payments.chains.networks import Asset
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.prices import NoPrice, PriceSource
from shared.platform.memory.clock import ManualClock
from shared.platform.spot import fetching
from shared.platform.spot.coinbase import CoinbasePrices
from shared.platform.spot.kraken import KrakenPrices

NETWORK = PRESETS["base"]
NOW = ManualClock().now()
MAKERS: dict[str, Callable[[str], PriceSource]] = {"coinbase": CoinbasePrices, "kraken": KrakenPrices}


def coin(name: str) -> Asset:
    return Asset(name=name, contract="", decimals=18)


def rate_of(source: PriceSource, asset: str) -> Fraction | None:
    answer = source.price(NETWORK, coin(asset))
    return None if answer is None else answer.rate


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spot() -> Iterator[SpotStandIn]:
    with SpotStandIn(clock=ManualClock()) as stand_in:
        yield stand_in


@pytest.fixture
def source(name: str, spot: SpotStandIn) -> PriceSource:
    return MAKERS[name](spot.url)


@pytest.mark.parametrize(
    ("asset", "rate"), [("ETH", "2500.25"), ("BTC", "60001.5"), ("POL", "0.4012"), ("USDT", "1.0001")]
)
def test_the_last_trade_is_read_exactly(source, name, asset, rate):
    answer = source.price(NETWORK, coin(asset))

    assert answer is not None
    assert (answer.source, answer.rate) == (name, Fraction(rate))
    assert answer.at == NOW


def test_a_price_with_many_digits_loses_none(source, spot):
    spot.trade("ETH", "2500.1234567890123456789")

    assert rate_of(source, "ETH") == Fraction("2500.1234567890123456789")


def test_an_asset_that_is_not_traded_has_no_price(source):
    assert source.price(NETWORK, coin("ACM")) is None


@pytest.mark.parametrize(("how", "age"), [("stale", HOUR), ("ahead", -HOUR)])
def test_a_price_tells_its_own_time(source, spot, how, age):
    spot.behave(how)

    assert source.price(NETWORK, coin("ETH")).at == NOW - age


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("silent", "does not answer"),
        ("refusing", "refuses"),
        ("nonsense", "cannot be read"),
        ("zero", "cannot be read"),
    ],
)
def test_a_fault_of_an_exchange_is_no_price(source, spot, how, reason):
    spot.behave(how)

    with pytest.raises(NoPrice, match=reason):
        source.price(NETWORK, coin("ETH"))


def test_a_slow_exchange_is_left_in_time(source, spot, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.2)
    spot.behave("slow")

    with pytest.raises(NoPrice, match="does not answer"):
        source.price(NETWORK, coin("ETH"))


def test_an_address_where_nobody_listens_is_no_price(name):
    with pytest.raises(NoPrice, match="does not answer"):
        MAKERS[name]("http://127.0.0.1:9").price(NETWORK, coin("ETH"))


def test_usdc_has_its_price_where_it_is_traded(spot):
    assert CoinbasePrices(spot.url).price(NETWORK, coin("USDC")) is None
    assert rate_of(KrakenPrices(spot.url), "USDC") == Fraction("0.9999")
