"""Ways of paying with coins as users see them: per network and asset whether it works now, and why not. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.payments.chains.amounts import DOLLARS
from shared.payments.chains.availability import NetworkAvailability, States
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.tiers import usual_wait_seconds
from shared.payments.fiat import Fiat

UNKNOWN = NetworkAvailability(reason="the network cannot be asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetOption:
    """Asset of a network. `contract` is None for the network's own coin, `reason` is None if the asset works now."""

    asset: AssetName
    decimals: int
    contract: str | None
    is_available: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOption:
    """Network with its assets. `chain_id` is None for Bitcoin.

    `confirmations` and `wait_seconds` are those of a small amount. `confirmations` is None if the chain's own tag tells
    when coins count.
    """

    network: NetworkName
    title: str
    is_test: bool
    chain_id: int | None
    minimum: Fiat
    confirmations: int | None
    wait_seconds: int
    assets: Sequence[AssetOption]


def crypto_options(networks: Mapping[NetworkName, Network], states: States) -> Sequence[NetworkOption]:
    """Return the networks in use with all their assets, those that work and those that do not."""
    return [_network(network, states.get(name, UNKNOWN)) for name, network in networks.items()]


def _network(network: Network, state: NetworkAvailability) -> NetworkOption:
    smallest = network.tiers[0]
    return NetworkOption(
        network=network.name,
        title=network.title,
        is_test=not network.is_live,
        chain_id=network.chain_id,
        minimum=Fiat(network.minimum_usd_cents, DOLLARS),
        confirmations=smallest.depth if isinstance(smallest.depth, int) else None,
        wait_seconds=usual_wait_seconds(network, smallest),
        assets=[_asset(asset, state.reason_for(asset.name)) for asset in network.assets.values()],
    )


def _asset(asset: Asset, reason: str) -> AssetOption:
    return AssetOption(
        asset=asset.name,
        decimals=asset.decimals,
        contract=asset.contract or None,
        is_available=not reason,
        reason=reason or None,
    )
