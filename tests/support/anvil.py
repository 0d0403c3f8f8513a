"""Nodes of the tests: an EVM network of its own with contracts, as the backend sees it."""

from dataclasses import dataclass

from emulator.chains.anvil import Anvil
from emulator.chains.hands import Contract, Hands
from shared.payments.chains.networks import Asset, Network, Tier

ETHER = 10**18
BURNING = "0x" + "fe" * 20
REVERTING = "0x" + "fd" * 20
EMPTY = "0x" + "ee" * 20
"""Addresses of tokens that burn all gas, revert, and do not exist."""


@dataclass(frozen=True, slots=True)
class Town:
    """Node with contracts: hands at it, and the network as the settings would list it."""

    hands: Hands
    usdc: Contract
    usdt: Contract
    network: Network


def town(node: Anvil, *, name: str = "laptop", broken: bool = False) -> Town:
    """Deploy USDC and USDT on a node. `broken` lists tokens that fail beside them."""
    hands = Hands(node)
    usdc, usdt = hands.deploy("usdc"), hands.deploy("usdt")
    contracts = {"USDC": usdc.address, "USDT": usdt.address}
    if broken:
        node.rpc("anvil_setCode", BURNING, "0xfe")
        node.rpc("anvil_setCode", REVERTING, "0x60006000fd")
        contracts |= {"BURN": BURNING, "REV": REVERTING, "NONE": EMPTY}
    for token in (usdc, usdt):
        hands.call(token, "mint", hands.accounts[0], 10**15)
    hands.mine()
    return Town(hands, usdc, usdt, network_of(node, name, contracts))


def network_of(node: Anvil, name: str, contracts: dict[str, str]) -> Network:
    """Return the network of a node, with these tokens of six decimals."""
    tokens = [Asset(name=asset, contract=place, decimals=6, is_stable=True) for asset, place in contracts.items()]
    return Network(
        name=name,
        title=name.title(),
        family="evm",
        chain_id=int(node.rpc("eth_chainId"), 16),
        genesis=node.genesis,
        is_live=False,
        block_seconds=1.0,
        tiers=(Tier(usd_max=100, depth=3), Tier(usd_max=None, depth="finalized")),
        minimum_usd_cents=1,
        assets={asset.name: asset for asset in (Asset(name="ETH", contract="", decimals=18), *tokens)},
    )
