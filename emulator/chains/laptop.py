"""Chains of a laptop: two EVM networks with contracts, blocks that come by themselves, and prices.

A network is a node behind a proxy, which can be told to misbehave (`emulator/chains/proxy.py`). The settings of the
functions name the networks, unless the person's own settings name others.
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from emulator.chains.anvil import Anvil
from emulator.chains.facilitator import FacilitatorStandIn
from emulator.chains.forms import form
from emulator.chains.hands import Contract, Hands
from emulator.chains.proxy import ChainProxy
from emulator.ports import binding
from emulator.stand_ins.spot import RATES, SpotStandIn
from shared.bootstrap import MEMORY_ENVIRONMENT
from shared.kernel.network_settings import HEARTBEAT_SECONDS_MAX, network_prefix

BLOCK_SECONDS = 2
FEED_DECIMALS = 8
SEQUENCER_UP = 0
SEQUENCER_SECONDS = 2 * 3_600
"""Time for which the sequencer has been up: prices are used after an hour."""
DOLLARS = 10_000 * 10**6
RICH = 3
"""Number of accounts that own tokens; all own coins."""
SPOT, FACILITATOR = "spot", "facilitator"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaptopNetwork:
    """EVM network of the laptop. `port` is the name of the port under which the network is reached."""

    name: str
    title: str
    port: str
    chain_id: int
    coin: str
    tokens: Mapping[str, str]
    """Form of the contract by token."""
    feeds: Sequence[str]
    tiers: str
    has_sequencer: bool = False


NETWORKS = (
    LaptopNetwork(
        name="local-base",
        title="Base (this laptop)",
        port="evm",
        chain_id=31_337,
        coin="ETH",
        tokens={"USDC": "usdc"},
        feeds=("ETH", "BTC", "USDC"),
        tiers="100:2,1000:safe,any:finalized",
        has_sequencer=True,
    ),
    LaptopNetwork(
        name="local-polygon",
        title="Polygon (this laptop)",
        port="evm_polygon",
        chain_id=31_338,
        coin="POL",
        tokens={"USDC": "usdc", "USDT": "usdt"},
        feeds=("POL", "USDC", "USDT"),
        tiers="any:finalized",
    ),
)
PORTS = {"evm": 8545, "evm_polygon": 8546, SPOT: 4020, FACILITATOR: 4021}
"""Ports of the networks, of the exchanges' prices, and of the facilitator of agents' payments, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """Wallet of a person on a laptop's network, who owns the network's tokens."""

    network: LaptopNetwork
    node: Anvil

    def send(self, token: str, contract: str, address: str, amount: int) -> str:
        """Send `amount` atomic units of a token, and return the transaction's hash once a block holds it."""
        hands = Hands(self.node, is_mining=True)
        sent = hands.call(Contract(contract, form(self.network.tokens[token])), "transfer", address, amount)
        hands.mined(sent)
        return sent


@dataclass(slots=True, kw_only=True)
class LaptopChains:
    """Settings for the functions, addresses, the running nodes, and a wallet on the first network."""

    purse: Purse | None = None
    settings: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    nodes: list[Anvil] = field(default_factory=list)

    def are_running(self) -> bool:
        """Return False if a node has ended by itself."""
        return all(node.is_running() for node in self.nodes)


def laptop_chains(stack: contextlib.ExitStack, settings: Mapping[str, str], ports: Mapping[str, int]) -> LaptopChains:
    """Start the networks, prices and a facilitator; none if the settings name networks. `stack` ends them."""
    found = LaptopChains()
    given = {**settings, **{name: value for name, value in os.environ.items() if value}}
    if given.get("CRYPTO_NETWORKS"):
        return found
    with binding(SPOT, ports[SPOT]):
        spot = stack.enter_context(SpotStandIn(port=ports[SPOT]))
    found.addresses[SPOT] = spot.url
    found.settings |= {"COINBASE_API_BASE": spot.url, "KRAKEN_API_BASE": spot.url}
    found.settings["EVM_XPUB"] = given.get("EVM_XPUB") or MEMORY_ENVIRONMENT["EVM_XPUB"]
    found.settings["CRYPTO_NETWORKS"] = ",".join(network.name for network in NETWORKS)
    for network in NETWORKS:
        node = stack.enter_context(Anvil(chain_id=network.chain_id, block_seconds=BLOCK_SECONDS))
        with binding(network.port, ports[network.port]):
            proxy = stack.enter_context(ChainProxy(node.url, port=ports[network.port]))
        found.nodes.append(node)
        found.addresses[network.port] = proxy.url
        found.settings |= settings_of(network, node, proxy.url)
        found.purse = found.purse or Purse(network=network, node=node)
    if not given.get("X402_FACILITATOR_URL"):
        with binding(FACILITATOR, ports[FACILITATOR]):
            facilitator = stack.enter_context(FacilitatorStandIn(found.nodes, port=ports[FACILITATOR]))
        found.addresses[FACILITATOR] = facilitator.url
        found.settings["X402_FACILITATOR_URL"] = facilitator.url
    return found


def settings_of(network: LaptopNetwork, node: Anvil, url: str) -> dict[str, str]:
    """Put the network's contracts on the node, and return the settings that describe the network."""
    hands = Hands(node)
    tokens = {name: hands.deploy(form) for name, form in network.tokens.items()}
    for token in tokens.values():
        for owner in hands.accounts[:RICH]:
            hands.mined(hands.call(token, "mint", owner, DOLLARS))
    feeds = {name: _feed(hands, name) for name in network.feeds}
    told = {
        "TITLE": network.title,
        "CHAIN_ID": str(network.chain_id),
        "GENESIS": node.genesis,
        "IS_LIVE": "false",
        "COIN": network.coin,
        "TOKENS": ",".join(f"{name}:{token.address}:6:stable" for name, token in tokens.items()),
        "FEEDS": ",".join(f"{name}:{place}:{HEARTBEAT_SECONDS_MAX}" for name, place in feeds.items()),
        "TIERS": network.tiers,
        "MINIMUM_USD": "0.01",
        "BLOCK_SECONDS": str(BLOCK_SECONDS),
        "RPC_URLS": url,
        "WALLET_RPC": url,
    }
    if network.has_sequencer:
        told["SEQUENCER_FEED"] = _sequencer_feed(hands)
    return {f"{network_prefix(network.name)}_{name}": value for name, value in told.items()}


def _feed(hands: Hands, asset: str) -> str:
    answer = int(Decimal(RATES[asset]) * 10**FEED_DECIMALS)
    return hands.deploy("price_feed", f"{asset} / USD", FEED_DECIMALS, answer).address


def _sequencer_feed(hands: Hands) -> str:
    feed = hands.deploy("price_feed", "L2 Sequencer Uptime", 0, SEQUENCER_UP)
    since = int(time.time()) - SEQUENCER_SECONDS
    hands.mined(hands.call(feed, "set_answer_at", SEQUENCER_UP, since))
    return feed.address
