"""Presets of networks, each checked against the chain before its first use.

Chain ids, block times: https://chainlist.org and the networks' own pages. Genesis hashes: go-ethereum
`params/config.go` (Ethereum, Sepolia), superchain-registry `superchain/configs/mainnet/base.toml` (Base),
https://docs.base.org (Base Sepolia), maticnetwork/bor `params/config.go` (Polygon), Bitcoin Core
`src/kernel/chainparams.cpp`.

USDC: https://developers.circle.com/stablecoins/usdc-contract-addresses. USDT:
https://tether.to/en/supported-protocols (Ethereum), https://docs.usdt0.to (Polygon).

Feeds, heartbeats: https://docs.chain.link/data-feeds/price-feeds/addresses. Feed of Base's sequencer:
https://docs.chain.link/data-feeds/l2-sequencer-feeds.

Public nodes: https://docs.base.org/base-chain/quickstart/connecting-to-base (Base),
https://docs.polygon.technology/pos/reference/rpc-endpoints (Polygon). Every wallet knows Ethereum.

Finality: https://docs.base.org/base-chain/network-information/transaction-finality (Base),
https://docs.polygon.technology/pos/concepts/finality (Polygon),
https://ethereum.org/developers/docs/consensus-mechanisms/pos (Ethereum).
"""

from collections.abc import Iterable, Mapping

from shared.payments.chains.networks import Asset, Feed, Network, Tier
from shared.payments.chains.ports import AssetName, NetworkName

ETHER_DECIMALS = 18
BITCOIN_DECIMALS = 8
STABLE_DECIMALS = 6
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
BASE_HEARTBEAT_SECONDS = 1_200
POLYGON_HEARTBEAT_SECONDS = 27
BITCOIN_FINAL_DEPTH = 6
BASE_FINALIZED_SECONDS = 1_200
POLYGON_FINALIZED_SECONDS = 5

BASE_TIERS = (
    Tier(usd_max=100, depth=10),
    Tier(usd_max=1_000, depth="safe"),
    Tier(usd_max=None, depth="finalized"),
)
ETHEREUM_TIERS = (
    Tier(usd_max=100, depth=6),
    Tier(usd_max=1_000, depth="safe"),
    Tier(usd_max=None, depth="finalized"),
)
FINALIZED_TIERS = (Tier(usd_max=None, depth="finalized"),)
BITCOIN_TIERS = (
    Tier(usd_max=50, depth=1),
    Tier(usd_max=1_000, depth=3),
    Tier(usd_max=None, depth=BITCOIN_FINAL_DEPTH),
)


def _assets(coin: AssetName, tokens: Mapping[AssetName, str]) -> Mapping[AssetName, Asset]:
    own = Asset(name=coin, contract="", decimals=ETHER_DECIMALS)
    stable = (
        Asset(name=name, contract=contract, decimals=STABLE_DECIMALS, is_stable=True)
        for name, contract in tokens.items()
    )
    return {asset.name: asset for asset in (own, *stable)}


def _bitcoin(name: NetworkName, title: str, genesis: str, explorer: str, *, is_live: bool = False) -> Network:
    return Network(
        name=name,
        title=title,
        family="bitcoin",
        chain_id=None,
        genesis=genesis,
        is_live=is_live,
        block_seconds=600.0,
        tiers=BITCOIN_TIERS,
        minimum_usd_cents=500,
        assets={"BTC": Asset(name="BTC", contract="", decimals=BITCOIN_DECIMALS)},
        final_depth=BITCOIN_FINAL_DEPTH,
        explorer=explorer,
    )


def _by_name(networks: Iterable[Network]) -> Mapping[NetworkName, Network]:
    return {network.name: network for network in networks}


PRESETS: Mapping[NetworkName, Network] = _by_name(
    (
        Network(
            name="base",
            title="Base",
            family="evm",
            chain_id=8453,
            genesis="0xf712aa9241cc24369b143cf6dce85f0902a9731e70d66818a3a5845b296c73dd",
            is_live=True,
            block_seconds=2.0,
            tiers=BASE_TIERS,
            minimum_usd_cents=10,
            assets=_assets("ETH", {"USDC": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"}),
            feeds={
                "ETH": Feed(
                    contract="0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70", heartbeat_seconds=BASE_HEARTBEAT_SECONDS
                ),
                "BTC": Feed(
                    contract="0x64c911996D3c6aC71f9b455B1E8E7266BcbD848F", heartbeat_seconds=BASE_HEARTBEAT_SECONDS
                ),
                "USDC": Feed(contract="0x7e860098F58bBFC8648a4311b374B1D669a2bc6B", heartbeat_seconds=DAY_SECONDS),
            },
            finalized_seconds=BASE_FINALIZED_SECONDS,
            sequencer_feed="0xBCF85224fc0756B9Fa45aA7892530B47e10b6433",
            explorer="https://basescan.org",
            wallet_rpc="https://mainnet.base.org",
        ),
        Network(
            name="polygon",
            finalized_seconds=POLYGON_FINALIZED_SECONDS,
            title="Polygon",
            family="evm",
            chain_id=137,
            genesis="0xa9c28ce2141b56c474f1dc504bee9b01eb1bd7d1a507580d5519d4437a97de1b",
            is_live=True,
            block_seconds=2.0,
            tiers=FINALIZED_TIERS,
            minimum_usd_cents=10,
            assets=_assets(
                "POL",
                {
                    "USDC": "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359",
                    "USDT": "0xc2132D05D31c914a87C6611C10748AEb04B58e8F",
                },
            ),
            feeds={
                "POL": Feed(
                    contract="0xAB594600376Ec9fD91F8e885dADF0CE036862dE0", heartbeat_seconds=POLYGON_HEARTBEAT_SECONDS
                ),
                "BTC": Feed(
                    contract="0xc907E116054Ad103354f2D350FD2514433D57F6f", heartbeat_seconds=POLYGON_HEARTBEAT_SECONDS
                ),
                "USDC": Feed(contract="0xfE4A8cc5b5B2366C1B58Bea3858e81843581b2F7", heartbeat_seconds=DAY_SECONDS),
                "USDT": Feed(contract="0x0A6513e40db6EB1b165753AD52E80663aeA50545", heartbeat_seconds=DAY_SECONDS),
            },
            explorer="https://polygonscan.com",
            wallet_rpc="https://polygon-rpc.com",
        ),
        Network(
            name="ethereum",
            title="Ethereum",
            family="evm",
            chain_id=1,
            genesis="0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
            is_live=True,
            block_seconds=12.0,
            tiers=ETHEREUM_TIERS,
            minimum_usd_cents=500,
            assets=_assets(
                "ETH",
                {
                    "USDC": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
                    "USDT": "0xdAC17F958D2ee523a2206206994597C13D831ec7",
                },
            ),
            feeds={
                "ETH": Feed(contract="0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419", heartbeat_seconds=HOUR_SECONDS),
                "BTC": Feed(contract="0xF4030086522a5bEEa4988F8cA5B36dbC97BeE88c", heartbeat_seconds=HOUR_SECONDS),
                "USDC": Feed(contract="0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6", heartbeat_seconds=DAY_SECONDS),
                "USDT": Feed(contract="0x3E7d1eAB13ad0104d2750B8863b489D65364e32D", heartbeat_seconds=DAY_SECONDS),
            },
            explorer="https://etherscan.io",
        ),
        Network(
            name="base-sepolia",
            finalized_seconds=BASE_FINALIZED_SECONDS,
            title="Base Sepolia (test)",
            family="evm",
            chain_id=84532,
            genesis="0x0dcc9e089e30b90ddfc55be9a37dd15bc551aeee999d2e2b51414c54eaf934e4",
            is_live=False,
            block_seconds=2.0,
            tiers=BASE_TIERS,
            minimum_usd_cents=1,
            assets=_assets("ETH", {"USDC": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"}),
            feeds={
                "ETH": Feed(contract="0x4aDC67696bA383F43DD60A9e78F2C97Fbbfc7cb1", heartbeat_seconds=HOUR_SECONDS),
                "BTC": Feed(contract="0x0FB99723Aee6f420beAD13e6bBB79b7E6F034298", heartbeat_seconds=HOUR_SECONDS),
                "USDC": Feed(contract="0xd30e2101a97dcbAeBCBC04F14C3f624E67A35165", heartbeat_seconds=DAY_SECONDS),
            },
            explorer="https://sepolia.basescan.org",
            wallet_rpc="https://sepolia.base.org",
        ),
        Network(
            name="sepolia",
            title="Sepolia (test)",
            family="evm",
            chain_id=11155111,
            genesis="0x25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9",
            is_live=False,
            block_seconds=12.0,
            tiers=ETHEREUM_TIERS,
            minimum_usd_cents=1,
            assets=_assets("ETH", {"USDC": "0x1c7D4B196Cb0C7B01d743Fbc6116a902379C7238"}),
            feeds={
                "ETH": Feed(contract="0x694AA1769357215DE4FAC081bf1f309aDC325306", heartbeat_seconds=HOUR_SECONDS),
                "BTC": Feed(contract="0x1b44F3514812d835EB1BDB0acB33d3fA3351Ee43", heartbeat_seconds=HOUR_SECONDS),
                "USDC": Feed(contract="0xA2F78ab2355fe2f984D808B5CeE7FD0A93D5270E", heartbeat_seconds=DAY_SECONDS),
            },
            explorer="https://sepolia.etherscan.io",
        ),
        _bitcoin(
            "bitcoin",
            "Bitcoin",
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
            "https://mempool.space",
            is_live=True,
        ),
        _bitcoin(
            "bitcoin-testnet4",
            "Bitcoin testnet4",
            "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
            "https://mempool.space/testnet4",
        ),
        _bitcoin(
            "bitcoin-signet",
            "Bitcoin signet (test)",
            "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
            "https://mempool.space/signet",
        ),
        _bitcoin(
            "bitcoin-regtest",
            "Bitcoin regtest (test)",
            "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            "",
        ),
    )
)
