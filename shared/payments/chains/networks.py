"""Networks and their assets, as the settings list them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.kernel.errors import InvalidValue
from shared.payments.chains.ports import AssetName, NetworkName

Family = Literal["evm", "bitcoin"]
"""Family of chains, and the name of the payment provider. All networks of a family share addresses and adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Asset on a network. `contract` is "" for the network's own coin. `is_stable` is True for a dollar stablecoin."""

    name: AssetName
    contract: str
    decimals: int
    is_stable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Contract of a Chainlink price feed in USD. A price older than `heartbeat_seconds` is stale."""

    contract: str
    heartbeat_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Depth at which a payment counts, for a value up to `usd_max` (None: any).

    `depth` is a number of blocks (1: the block itself), or the chain's own tag.
    """

    usd_max: int | None
    depth: int | Literal["safe", "finalized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Network of crypto payments.

    `chain_id` is None for Bitcoin. `genesis` is the hash of the first block, which tells the network. `is_live` is True
    for coins of value. `final_depth` is the number of blocks after which a chain without tags counts as final.
    `feeds` are price feeds on this network by asset, also of assets of other networks. `sequencer_feed` is Chainlink's
    feed of the sequencer's state, "" for a chain without a sequencer. `explorer` is the address of a block explorer.
    `wallet_rpc` is a public node that the page tells to a wallet without this network; "" if none is known. An
    operator's own node is never told.
    """

    name: NetworkName
    title: str
    family: Family
    chain_id: int | None
    genesis: str
    is_live: bool
    block_seconds: float
    tiers: tuple[Tier, ...]
    minimum_usd_cents: int
    assets: Mapping[AssetName, Asset]
    final_depth: int | None = None
    feeds: Mapping[AssetName, Feed] = field(default_factory=dict)
    sequencer_feed: str = ""
    explorer: str = ""
    wallet_rpc: str = ""
    safe_seconds: int = 420
    """Usual time until a block is `safe`, if the network has this tag."""
    finalized_seconds: int = 900
    """Usual time until a block is `finalized`, if the network has this tag."""

    @property
    def coin(self) -> Asset:
        """Return the network's own coin."""
        return next(asset for asset in self.assets.values() if not asset.contract)

    def transaction_url(self, transaction: str) -> str | None:
        """Return the page of a transaction at the block explorer; None if the network has no explorer."""
        return f"{self.explorer}/tx/{transaction}" if self.explorer else None


def listed_asset(networks: Mapping[NetworkName, Network], network: NetworkName, asset: AssetName) -> Asset:
    """Return an asset of a network in use. Raises InvalidValue for a network or asset that users cannot choose."""
    if network not in networks:
        raise InvalidValue("network", "must be a network that GET /v1/payments/options lists")
    if asset not in networks[network].assets:
        raise InvalidValue("asset", "must be an asset that GET /v1/payments/options lists for this network")
    return networks[network].assets[asset]
