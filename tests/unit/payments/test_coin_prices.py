"""Prices of coins: a quote exists only while independent sources agree, and says why otherwise."""

import threading
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import HOUR, MINUTE, SECOND
from shared.kernel.errors import InvalidValue
from shared.payments.chains.amounts import value_cents
from shared.payments.chains.chainlink import ChainlinkPrices
from shared.payments.chains.networks import Asset
from shared.payments.chains.ports import ChainUnavailable, FeedRound
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.prices import NoPrice, PriceAnswer, PriceUnavailable, agreed_rate
from shared.payments.chains.quotes import RATE_LIFETIME, Quotes
from shared.payments.fiat import Fiat
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.prices import AGE_MAX, MemoryPrices

NOW = ManualClock().now()
ETH = Asset(name="ETH", contract="", decimals=18)
USDC = Asset(name="USDC", contract="0x", decimals=6, is_stable=True)
BASE, BITCOIN = PRESETS["base"], PRESETS["bitcoin"]


def answer(rate: str, source: str = "one", age: int = 0) -> PriceAnswer:
    return PriceAnswer(source=source, rate=Fraction(rate), at=NOW - age, stale_at=NOW - age + MINUTE)


class Feeds:
    """Contracts of one chain, with the rounds that a test sets by contract."""

    def __init__(self, rounds: dict[str, FeedRound] | None) -> None:
        self.rounds = rounds

    def feed_round(self, contract: str) -> FeedRound:
        if self.rounds is None:
            raise ChainUnavailable("base", "silent")
        return self.rounds[contract]


def told(value: int, *, decimals: int = 8, age: int = 0) -> FeedRound:
    return FeedRound(answer=value, decimals=decimals, started_at=NOW - age, updated_at=NOW - age)


def chainlink(rounds: dict[str, FeedRound] | None, *networks: str) -> ChainlinkPrices:
    used = {name: PRESETS[name] for name in networks or ("base",)}
    return ChainlinkPrices(used, lambda: {"base": Feeds(rounds)}, ManualClock())  # type: ignore[dict-item]  # Contracts


def base_feeds(**changes: FeedRound) -> dict[str, FeedRound]:
    rounds = {"ETH": told(250_000_000_000), "BTC": told(6_000_000_000_000), "USDC": told(99_990_000), **changes}
    up = changes.get("sequencer", told(0, decimals=0, age=2 * HOUR))
    return {BASE.sequencer_feed: up, **{BASE.feeds[name].contract: rounds[name] for name in ("ETH", "BTC", "USDC")}}


def test_the_lowest_of_agreeing_answers_counts():
    rate = agreed_rate(ETH, [answer("2510", "one"), answer("2500", "two")], NOW)

    assert (rate.rate, rate.sources, rate.text) == (Fraction(2500), ("one", "two"), "2500")


@pytest.mark.parametrize(("high", "agrees"), [("2525", True), ("2525.00000001", False)])
def test_answers_may_be_one_percent_apart_and_no_more(high, agrees):
    found = [answer("2500"), answer(high, "two")]

    if agrees:
        assert agreed_rate(ETH, found, NOW).rate == 2500
    else:
        with pytest.raises(NoPrice, match="1 % apart"):
            agreed_rate(ETH, found, NOW)


@pytest.mark.parametrize(("rate", "is_pegged"), [("0.99", True), ("1.01", True), ("0.9899", False), ("1.0101", False)])
def test_a_stablecoin_counts_one_dollar_while_near_one(rate, is_pegged):
    if is_pegged:
        assert agreed_rate(USDC, [answer(rate)], NOW).rate == 1
    else:
        with pytest.raises(NoPrice, match="USDC is more than 1 % away"):
            agreed_rate(USDC, [answer(rate)], NOW)


@pytest.mark.parametrize(
    ("age", "is_fresh"), [(MINUTE, True), (MINUTE + 1, False), (-MINUTE, True), (-MINUTE - 1, False)]
)
def test_a_price_is_fresh_to_the_millisecond(age, is_fresh):
    if is_fresh:
        assert agreed_rate(ETH, [answer("2500", age=age)], NOW).rate == 2500
    else:
        with pytest.raises(NoPrice, match=r"out of date|from the future"):
            agreed_rate(ETH, [answer("2500", age=age)], NOW)


@pytest.mark.parametrize("fault", [NoPrice("down"), answer("2500", age=HOUR), answer("0"), answer("-1")])
def test_a_source_without_a_fresh_price_needs_two_others_that_agree(fault):
    with pytest.raises(NoPrice):
        agreed_rate(ETH, [answer("2500"), fault], NOW)

    assert agreed_rate(ETH, [answer("2500"), fault, answer("2501", "two")], NOW).sources == ("one", "two")


def test_no_other_source_stands_in_for_a_network_that_makes_no_blocks():
    halted = NoPrice("Base is not making blocks", is_final=True)

    with pytest.raises(NoPrice, match="not making blocks"):
        agreed_rate(ETH, [answer("2500"), answer("2500", "two"), halted], NOW)


def test_no_source_means_no_price():
    with pytest.raises(NoPrice, match="no source has a price"):
        agreed_rate(ETH, [], NOW)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=4))
def test_no_agreed_rate_is_above_any_answer(rates):
    found = [answer(str(rate), str(place)) for place, rate in enumerate(rates)]

    try:
        rate = agreed_rate(ETH, found, NOW).rate
    except NoPrice:
        assert max(rates) > min(rates) * Fraction(101, 100)
    else:
        assert rate == min(rates)
        assert max(rates) <= min(rates) * Fraction(101, 100)


def test_a_feed_tells_an_exact_price_with_its_own_heartbeat():
    price = chainlink(base_feeds()).price(BASE, BASE.assets["ETH"])

    assert price is not None
    assert (price.rate, price.source) == (Fraction(2500), "chainlink")
    assert price.stale_at == NOW + BASE.feeds["ETH"].heartbeat_seconds * SECOND + MINUTE


@pytest.mark.parametrize(
    ("changes", "reason", "is_final"),
    [
        ({"ETH": told(0)}, "not above zero", False),
        ({"ETH": told(-1)}, "not above zero", False),
        ({"sequencer": told(1, decimals=0, age=2 * HOUR)}, "Base is not making blocks", True),
        ({"sequencer": told(0, decimals=0, age=HOUR - 1)}, "back for less than an hour", True),
        ({"sequencer": FeedRound(answer=0, decimals=0, started_at=0, updated_at=0)}, "not making blocks", True),
    ],
)
def test_a_feed_that_cannot_be_right_has_no_price(changes, reason, is_final):
    with pytest.raises(NoPrice, match=reason) as failure:
        chainlink(base_feeds(**changes)).price(BASE, BASE.assets["ETH"])

    assert failure.value.is_final is is_final


def test_a_sequencer_past_its_grace_period_lets_prices_count():
    feeds = base_feeds(sequencer=told(0, decimals=0, age=HOUR))

    assert chainlink(feeds).price(BASE, BASE.assets["ETH"]) is not None


def test_a_silent_node_has_no_price():
    with pytest.raises(NoPrice, match="cannot be read"):
        chainlink(None).price(BASE, BASE.assets["ETH"])


def test_bitcoin_has_its_price_from_a_feed_on_another_network():
    price = chainlink(base_feeds(), "bitcoin", "base").price(BITCOIN, BITCOIN.assets["BTC"])

    assert price is not None
    assert price.rate == 60_000


def test_a_halt_of_another_network_is_no_halt_of_bitcoin():
    feeds = base_feeds(sequencer=told(1, decimals=0))

    with pytest.raises(NoPrice) as failure:
        chainlink(feeds, "bitcoin", "base").price(BITCOIN, BITCOIN.assets["BTC"])

    assert not failure.value.is_final


def test_bitcoin_alone_has_no_feed():
    assert chainlink(base_feeds(), "bitcoin").price(BITCOIN, BITCOIN.assets["BTC"]) is None


class Bench:
    """Quotes over two sources that tests move, at a time that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.one, self.two = MemoryPrices(self.clock, "one"), MemoryPrices(self.clock, "two")
        self.quotes = Quotes(PRESETS, lambda: (self.one, self.two), self.clock)

    def later(self) -> None:
        self.clock.advance(RATE_LIFETIME)


def test_a_quote_has_the_amount_due_and_its_sources():
    quoted = Bench().quotes.quote("base", "ETH", Fiat(1_000, "USD"))

    assert quoted.due == 4 * 10**15
    assert (quoted.rate.text, quoted.rate.sources) == ("2500", ("one", "two"))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda bench: bench.two.fail("two does not answer"), "two does not answer"),
        (lambda bench: bench.two.age(AGE_MAX + 1), "out of date"),
        (lambda bench: bench.two.age(-HOUR), "from the future"),
        (lambda bench: bench.two.set_rate("ETH", "2526"), "1 % apart"),
        (lambda bench: bench.one.set_rate("ETH", "25000"), "1 % apart"),
    ],
)
def test_each_fault_of_either_source_stops_quotes_and_says_why(fault, reason):
    bench = Bench()
    fault(bench)

    with pytest.raises(PriceUnavailable, match=reason) as failure:
        bench.quotes.quote("base", "ETH", Fiat(1_000, "USD"))

    assert failure.value.detail.startswith("There is no reliable price of ETH right now: ")


def test_quotes_begin_again_once_the_fault_ends():
    bench = Bench()
    bench.two.fail()
    with pytest.raises(PriceUnavailable):
        bench.quotes.rate("base", "ETH")

    bench.two.fail("")
    bench.later()

    assert bench.quotes.rate("base", "ETH").rate == 2500


def test_a_stablecoin_off_its_peg_is_not_quoted_and_another_coin_is():
    bench = Bench()
    for source in (bench.one, bench.two):
        source.set_rate("USDC", "0.98")

    with pytest.raises(PriceUnavailable, match="USDC is more than 1 % away"):
        bench.quotes.rate("base", "USDC")

    assert bench.quotes.rate("base", "ETH").rate == 2500


def test_many_checkouts_ask_each_source_once():
    bench = Bench()

    threads = [threading.Thread(target=bench.quotes.rate, args=("base", "ETH")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (bench.one.calls, bench.two.calls) == (1, 1)


def test_a_source_that_lists_no_such_coin_is_not_missed():
    bench = Bench()
    bench.two.set_rate("ETH", None)

    assert bench.quotes.rate("base", "ETH").sources == ("one",)


@pytest.mark.parametrize(("network", "asset"), [("solana", "SOL"), ("base", "DOGE"), ("bitcoin", "ETH")])
def test_an_unlisted_network_or_asset_is_refused(network, asset):
    with pytest.raises(InvalidValue, match="GET /v1/payments/options"):
        Bench().quotes.quote(network, asset, Fiat(1_000, "USD"))


def test_a_value_at_a_rate_is_rounded_down_to_cents():
    assert value_cents(9_999_999, 6, Fraction(1)) == 999
