"""Networks in use: presets, with the changes that the settings make. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

from shared.kernel.network_settings import NetworkSettings, network_prefix
from shared.kernel.settings import SettingsError
from shared.payments.chains.networks import Asset, Feed, Network, Tier
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.presets import ETHER_DECIMALS, FINALIZED_TIERS, PRESETS

OWN_BLOCK_SECONDS = 12
OWN_MINIMUM_USD_CENTS = 10


def networks_of(settings: Sequence[NetworkSettings]) -> Mapping[NetworkName, Network]:
    """Return the networks in use by name, in the order of the settings.

    Raises SettingsError if live and test networks are mixed by their genesis, or a token has the name of the coin.
    """
    networks = {each.name: network_of(each) for each in settings}
    if len({network.is_live for network in networks.values()}) > 1:
        raise SettingsError("CRYPTO_NETWORKS mixes networks whose coins have value with networks for tests")
    return networks


def network_of(settings: NetworkSettings) -> Network:
    """Return the network that the settings describe.

    Live is said by the first block: a network with the genesis of a live preset is live. Raises SettingsError.
    """
    network = PRESETS.get(settings.name) or _own_chain(settings)
    if network.coin.name in _tokens(settings):
        raise SettingsError(f"{network_prefix(settings.name)}_TOKENS names the network's own coin")
    genesis = settings.genesis or network.genesis
    live = {preset.genesis for preset in PRESETS.values() if preset.is_live}
    return replace(
        network,
        title=settings.title or network.title,
        chain_id=network.chain_id if settings.chain_id is None else settings.chain_id,
        genesis=genesis,
        is_live=settings.is_live or genesis in live,
        block_seconds=float(settings.block_seconds or network.block_seconds),
        tiers=_tiers(settings) or network.tiers,
        minimum_usd_cents=settings.minimum_usd_cents or network.minimum_usd_cents,
        assets={**network.assets, **_tokens(settings)},
        feeds={**network.feeds, **_feeds(settings)},
        sequencer_feed=settings.sequencer_feed or network.sequencer_feed,
        explorer=settings.explorer or network.explorer,
        wallet_rpc=settings.wallet_rpc or network.wallet_rpc,
    )


def _own_chain(settings: NetworkSettings) -> Network:
    """Return an EVM chain without a preset, as far as settings need not say more. Coins count once final."""
    return Network(
        name=settings.name,
        title=settings.name.replace("-", " ").title(),
        family="evm",
        chain_id=settings.chain_id,
        genesis=settings.genesis,
        is_live=settings.is_live,
        block_seconds=OWN_BLOCK_SECONDS,
        tiers=FINALIZED_TIERS,
        minimum_usd_cents=OWN_MINIMUM_USD_CENTS,
        assets={settings.coin: Asset(name=settings.coin, contract="", decimals=ETHER_DECIMALS)},
    )


def _tokens(settings: NetworkSettings) -> Mapping[AssetName, Asset]:
    return {
        each.name: Asset(name=each.name, contract=each.contract, decimals=each.decimals, is_stable=each.is_stable)
        for each in settings.tokens
    }


def _feeds(settings: NetworkSettings) -> Mapping[AssetName, Feed]:
    return {
        each.name: Feed(contract=each.contract, heartbeat_seconds=each.heartbeat_seconds) for each in settings.feeds
    }


def _tiers(settings: NetworkSettings) -> tuple[Tier, ...]:
    return tuple(
        Tier(usd_max=each.usd_max, depth=cast("int | Literal['safe', 'finalized']", each.depth))
        for each in settings.tiers
    )
