"""Settings of the networks of crypto payments: `CRYPTO_NETWORKS`, and the settings named after each network."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from shared.kernel import setting_values as values

T = TypeVar("T")

PRESET_NETWORKS: Mapping[str, bool] = {
    "base": True,
    "polygon": True,
    "ethereum": True,
    "base-sepolia": False,
    "sepolia": False,
    "bitcoin": True,
    "bitcoin-testnet4": False,
    "bitcoin-signet": False,
    "bitcoin-regtest": False,
}
"""Networks with a preset, and True for those with coins of value. See `shared.payments.chains.presets`."""
BITCOIN = "bitcoin"
"""Beginning of the names of Bitcoin's networks. All other networks are EVM chains."""
TOKENS_MAX = 50
CHAIN_ID_MAX = 2**53
BLOCK_SECONDS_MAX = 3_600
HEARTBEAT_SECONDS_MAX = 7 * 86_400
DECIMALS_MAX = 18
TIER_USD_MAX = 10**9
DEPTH_MAX = 10_000
MINIMUM_CENTS_MAX = 1_000_000

NETWORK = re.compile(r"(?=.{1,32}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
ASSET = re.compile(r"[A-Z][A-Z0-9]{0,11}", re.ASCII)
CONTRACT = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
GENESIS = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
DOLLARS = re.compile(r"\d{1,6}(\.\d{1,2})?", re.ASCII)
NETWORK_SETTING = re.compile(
    r"[A-Z][A-Z0-9_]*_(CHAIN_ID|GENESIS|COIN|IS_LIVE|TOKENS|FEEDS|SEQUENCER_FEED|TIERS|MINIMUM_USD|BLOCK_SECONDS|TITLE"
    r"|EXPLORER|WALLET_RPC)",
    re.ASCII,
)
"""Names of the settings of single networks."""
STABLE = "stable"
ANY_VALUE = "any"
TAGS = ("safe", "finalized")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Token that a setting lists. `is_stable` is True for a dollar stablecoin."""

    name: str
    contract: str
    decimals: int
    is_stable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """Chainlink price feed that a setting lists, in USD for the asset `name`."""

    name: str
    contract: str
    heartbeat_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSettings:
    """Depth at which coins count up to a value of `usd_max` (None: any): a number of blocks, or a tag of the chain."""

    usd_max: int | None
    depth: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Network in use. Empty values and None stand for the preset's."""

    name: str
    is_live: bool
    chain_id: int | None = None
    genesis: str = ""
    title: str = ""
    coin: str = ""
    block_seconds: int | None = None
    tiers: tuple[TierSettings, ...] = ()
    minimum_usd_cents: int | None = None
    tokens: tuple[TokenSettings, ...] = ()
    feeds: tuple[FeedSettings, ...] = ()
    sequencer_feed: str = ""
    explorer: str = ""
    wallet_rpc: str = ""


def parse_networks(text: str, env: Mapping[str, str]) -> tuple[NetworkSettings, ...]:
    """Parse the names in CRYPTO_NETWORKS, and the settings of each network in `env`.

    Raises ValueError that names each missing or wrong setting. Raises ValueError if live and test networks are mixed:
    all EVM networks share their addresses, and coins without value would buy credits.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not all(NETWORK.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise ValueError("must be different names in lower-case letters, digits and hyphens, comma-separated")
    problems: list[str] = []
    networks = [_network(name, env, problems) for name in names]
    if problems:
        raise ValueError(f"needs other settings: {'; '.join(problems)}")
    live = sorted(network.name for network in networks if network.is_live)
    if live and len(live) != len(networks):
        raise ValueError(f"mixes {live[0]}, whose coins have value, with networks for tests")
    if sum(name.startswith(BITCOIN) for name in names) > 1:
        raise ValueError("names two networks of Bitcoin; BITCOIN_KEY is for one")
    return tuple(networks)


def network_prefix(name: str) -> str:
    """Return the beginning of the names of a network's settings: `base-sepolia` → `BASE_SEPOLIA`."""
    return name.upper().replace("-", "_")


def _network(name: str, env: Mapping[str, str], problems: list[str]) -> NetworkSettings:
    """Return the settings of one network. Add a sentence to `problems` for each missing or wrong setting."""
    prefix = network_prefix(name)

    def read(last: str, default: T, parse: Callable[[str], T]) -> T:
        text = (env.get(f"{prefix}_{last}") or "").strip()
        try:
            return parse(text) if text else default
        except ValueError as error:
            problems.append(f"{prefix}_{last} {error}")
            return default

    network = NetworkSettings(
        name=name,
        is_live=read(
            "IS_LIVE", PRESET_NETWORKS.get(name, True), lambda text: values.one_of("true", "false")(text) == "true"
        ),
        chain_id=read("CHAIN_ID", None, values.between(1, CHAIN_ID_MAX)),
        genesis=read("GENESIS", "", lambda text: _matching(GENESIS, text, "0x and 64 digits in lower case")),
        title=read("TITLE", "", str),
        coin=read("COIN", "", lambda text: _matching(ASSET, text, "a symbol such as ETH")),
        block_seconds=read("BLOCK_SECONDS", None, values.between(1, BLOCK_SECONDS_MAX)),
        tiers=read("TIERS", (), _tiers),
        minimum_usd_cents=read("MINIMUM_USD", None, _cents),
        tokens=read("TOKENS", (), _tokens),
        feeds=read("FEEDS", (), _feeds),
        sequencer_feed=read("SEQUENCER_FEED", "", _contract),
        explorer=read("EXPLORER", "", values.address),
        wallet_rpc=read("WALLET_RPC", "", values.address),
    )
    problems += _missing(network, env)
    return network


def _missing(network: NetworkSettings, env: Mapping[str, str]) -> list[str]:
    """Return a sentence for each setting that a network needs and lacks."""
    prefix, is_preset = network_prefix(network.name), network.name in PRESET_NETWORKS
    needed = dict[str, bool]()
    if not is_preset:
        given = {"CHAIN_ID": network.chain_id is not None, "GENESIS": bool(network.genesis), "COIN": bool(network.coin)}
        needed |= {f"{prefix}_{last}": is_there for last, is_there in given.items()}
    if network.genesis or not is_preset:
        needed[f"{prefix}_IS_LIVE"] = bool(env.get(f"{prefix}_IS_LIVE"))
    return [f"{name} is not set" for name, is_there in needed.items() if not is_there]


def _tokens(text: str) -> tuple[TokenSettings, ...]:
    """Parse `NAME:contract:decimals[:stable]`, comma-separated."""
    found = [part.strip().split(":") for part in text.split(",") if part.strip()]
    for fields in found:
        if len(fields) not in {3, 4} or fields[3:] not in ([], [STABLE]) or not ASSET.fullmatch(fields[0]):
            raise ValueError("must be NAME:contract:decimals or NAME:contract:decimals:stable, comma-separated")
    if len({fields[0] for fields in found}) != len(found) or len(found) > TOKENS_MAX:
        raise ValueError(f"must name up to {TOKENS_MAX} different tokens")
    decimals = values.between(0, DECIMALS_MAX)
    return tuple(
        TokenSettings(name=name, contract=_contract(contract), decimals=decimals(digits), is_stable=bool(stable))
        for name, contract, digits, *stable in found
    )


def _feeds(text: str) -> tuple[FeedSettings, ...]:
    """Parse `NAME:contract:heartbeat in seconds`, comma-separated."""
    found = [part.strip().split(":") for part in text.split(",") if part.strip()]
    if not all(
        len(fields) == len(("name", "contract", "heartbeat")) and ASSET.fullmatch(fields[0]) for fields in found
    ):
        raise ValueError("must be NAME:contract:heartbeat in seconds, comma-separated")
    seconds = values.between(1, HEARTBEAT_SECONDS_MAX)
    return tuple(
        FeedSettings(name=name, contract=_contract(contract), heartbeat_seconds=seconds(heartbeat))
        for name, contract, heartbeat in found
    )


def _tiers(text: str) -> tuple[TierSettings, ...]:
    """Parse `dollars:depth`, comma-separated, the last with `any` in place of the dollars: `100:10,any:finalized`."""
    found = [part.strip().partition(":") for part in text.split(",") if part.strip()]
    dollars, blocks = values.between(1, TIER_USD_MAX), values.between(1, DEPTH_MAX)
    tiers = tuple(
        TierSettings(
            usd_max=None if limit == ANY_VALUE else dollars(limit), depth=depth if depth in TAGS else blocks(depth)
        )
        for limit, _, depth in found
    )
    limits = [tier.usd_max for tier in tiers]
    rising = [limit for limit in limits[:-1] if limit is not None]
    if limits[-1:] != [None] or sorted(set(rising)) != rising or len(rising) != len(limits) - 1:
        raise ValueError("must rise in value and end with any, such as 100:10,1000:safe,any:finalized")
    return tiers


def _cents(text: str) -> int:
    whole, _, part = text.partition(".")
    cents = int(whole) * 100 + int(part.ljust(2, "0")) if DOLLARS.fullmatch(text) else 0
    if not 1 <= cents <= MINIMUM_CENTS_MAX:
        raise ValueError("must be an amount of dollars above zero, such as 0.50")
    return cents


def _contract(text: str) -> str:
    return _matching(CONTRACT, text, "addresses of contracts: 0x and 40 digits")


def _matching(pattern: re.Pattern[str], text: str, form: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"must be {form}")
    return text
