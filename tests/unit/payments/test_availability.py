"""Availability of networks and assets: one look for all instances, and operators are told of a mismatch once."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.kernel.clock import HOUR, MINUTE
from shared.kernel.documents import Document
from shared.kernel.errors import InvalidValue
from shared.payments.chains.availability import KEPT, LOOK_LIFETIME, CoinAvailability, NetworkCheck, PayingUnavailable
from shared.payments.chains.ports import OTHER_NETWORK, Block, ChainUnavailable
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.quotes import Quotes
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.prices import MemoryPrices

NETWORKS = {name: PRESETS[name] for name in ("base", "bitcoin")}


class Node:
    """Chain and contracts of one network, told by a test."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        self.preset = PRESETS[name]
        self.clock = clock
        self.genesis = self.preset.genesis
        self.id = self.preset.chain_id
        self.stated = {asset.contract: asset.decimals for asset in self.preset.assets.values()}
        self.age = 0
        self.failure = ""
        self.calls = 0
        self.pause: Callable[[], object] = lambda: None

    def block(self, at: int | str) -> Block:
        self.calls += 1
        self.pause()
        if self.failure:
            raise ChainUnavailable(self.preset.name, self.failure)
        name = self.genesis if at == 0 else "head"
        return Block(height=0 if at == 0 else 9, hash=name, parent="", time=self.clock.now() - self.age)

    def chain_id(self) -> int | None:
        self.calls += 1
        return self.id

    def decimals(self, contract: str) -> int:
        self.calls += 1
        return self.stated[contract]


class CountedDocuments(MemoryDocuments):
    """Documents that count their reads."""

    reads = 0

    def get(self, path: str) -> Document | None:
        self.reads += 1
        return super().get(path)


class Town:
    """Two networks with all that availability looks at; `instance` is one more process."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.nodes = {name: Node(name, self.clock) for name in NETWORKS}
        self.prices = MemoryPrices(self.clock)
        self.documents = CountedDocuments()
        self.alerts = MemoryAlerts()
        self.keys = {"evm", "bitcoin"}
        self.networks = NETWORKS
        self.chains = self.nodes

    def instance(self) -> CoinAvailability:
        quotes = Quotes(self.networks, lambda: [self.prices], self.clock)
        check = NetworkCheck(self.networks, lambda: self.chains, quotes, self.keys.__contains__, self.clock)  # type: ignore[arg-type, return-value]  # nodes
        return CoinAvailability(self.documents, self.networks, check, self.alerts, self.clock)

    def reason(self, network: str = "base", asset: str = "USDC") -> str:
        return self.instance().current()[network].reason_for(asset)

    def later(self) -> None:
        self.clock.advance(LOOK_LIFETIME)


@pytest.fixture
def town() -> Town:
    return Town()


def test_everything_that_works_has_no_reason(town):
    states = town.instance().current()

    assert {name: (state.reason, dict(state.assets)) for name, state in states.items()} == {
        "base": ("", {"ETH": "", "USDC": ""}),
        "bitcoin": ("", {"BTC": ""}),
    }


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda town: town.keys.discard("evm"), "no wallet is set up for it"),
        (lambda town: town.chains.pop("base"), "no source is set up for it"),
        (lambda town: setattr(town.nodes["base"], "failure", "silent"), "the network cannot be asked"),
        (lambda town: setattr(town.nodes["base"], "failure", OTHER_NETWORK), "its sources belong to another network"),
        (lambda town: setattr(town.nodes["base"], "genesis", "0x12"), "its sources belong to another network"),
        (lambda town: setattr(town.nodes["base"], "id", 1), "its sources belong to another network"),
        (lambda town: setattr(town.nodes["base"], "age", 10 * MINUTE + 1), "the network is not making blocks"),
        (lambda town: town.prices.set_rate("USDC", "0.9"), "USDC is more than 1 % away from one dollar"),
        (lambda town: town.prices.set_rate("USDC", None), "no source has a price"),
    ],
)
def test_each_fault_of_a_network_is_told_and_spoils_no_other(town, fault, reason):
    fault(town)

    assert town.reason() == reason
    assert town.reason("bitcoin", "BTC") == ""


def test_an_hour_without_a_block_is_no_halt_of_bitcoin(town):
    town.nodes["bitcoin"].age = HOUR

    assert town.reason("bitcoin", "BTC") == ""


def test_a_price_that_is_missing_stops_its_asset_alone(town):
    town.prices.set_rate("ETH", None)

    assert town.reason(asset="ETH") == "no source has a price"
    assert town.reason(asset="USDC") == ""


def test_a_token_with_other_decimals_stops_the_network_and_tells_operators_once(town):
    contract = PRESETS["base"].assets["USDC"].contract
    town.nodes["base"].stated[contract] = 18

    for _ in range(3):
        assert town.reason(asset="ETH") == "the contract of USDC states 18 decimals, not 6"
        town.later()

    raised = [(alert.event, alert.fields["network"]) for alert in town.alerts.raised]
    assert raised == [("crypto_network_mismatch", "base")]


def test_operators_are_told_again_after_a_mismatch_was_mended(town):
    town.nodes["base"].id = 1
    town.instance().current()
    town.later()
    town.nodes["base"].id = 8453
    town.instance().current()
    town.later()
    town.nodes["base"].id = 1

    town.instance().current()

    assert len(town.alerts.raised) == 2


def test_a_look_serves_all_instances_for_a_minute(town):
    town.instance().current()
    calls = town.nodes["base"].calls

    for _ in range(20):
        town.instance().current()
    town.clock.advance(LOOK_LIFETIME - 1)
    town.instance().current()
    assert town.nodes["base"].calls == calls

    town.clock.advance(1)
    town.instance().current()
    assert town.nodes["base"].calls > calls


def test_a_network_is_verified_once_per_instance(town):
    instance = town.instance()
    instance.current()
    before = town.nodes["base"].calls
    town.later()

    instance.current()

    assert town.nodes["base"].calls == before + 1


def test_an_instance_reads_the_shared_look_once_per_moment(town):
    instance = town.instance()
    instance.current()
    reads = town.documents.reads

    instance.current()
    town.clock.advance(KEPT - 1)
    instance.current()
    assert town.documents.reads == reads

    town.clock.advance(1)
    instance.current()
    assert town.documents.reads == reads + 1


def test_a_slow_network_keeps_no_other_caller_waiting(town):
    instance = town.instance()
    instance.current()
    town.later()
    asked, answer = threading.Event(), threading.Event()

    def pause() -> None:
        asked.set()
        answer.wait()

    town.nodes["base"].pause = pause
    slow = threading.Thread(target=instance.current)
    slow.start()
    asked.wait()

    states = instance.current()

    assert states["base"].reason == ""
    answer.set()
    slow.join()


def test_other_settings_make_a_new_look(town):
    town.instance().current()
    dai = replace(PRESETS["base"].assets["USDC"], name="DAI")
    town.networks = {**NETWORKS, "base": replace(PRESETS["base"], assets={**PRESETS["base"].assets, "DAI": dai})}

    assert town.reason(asset="DAI") == "no source has a price"


def test_what_cannot_be_used_is_refused_with_the_reason(town):
    town.nodes["base"].failure = "silent"

    with pytest.raises(PayingUnavailable) as refusal:
        town.instance().require("base", "USDC")

    assert refusal.value.detail == (
        "USDC on Base cannot be used right now: the network cannot be asked. Choose another way to pay, or try again."
    )


@pytest.mark.parametrize(("network", "asset"), [("solana", "SOL"), ("base", "DOGE"), ("ethereum", "ETH")])
def test_what_is_not_listed_is_refused_by_name(town, network, asset):
    with pytest.raises(InvalidValue, match="GET /v1/payments/options"):
        town.instance().require(network, asset)


def test_without_networks_nothing_is_asked(town):
    town.networks = {}

    assert town.instance().current() == {}
