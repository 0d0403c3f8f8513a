"""Settings of networks: every wrong or missing setting is named at start, and test coins never buy beside real ones."""

import pytest

from shared.kernel.network_settings import PRESET_NETWORKS, NetworkSettings, parse_networks
from shared.kernel.settings import SettingsError, parse_settings
from shared.payments.chains.configured import network_of, networks_of
from shared.payments.chains.networks import Asset, Feed, Tier
from shared.payments.chains.presets import PRESETS

TOKEN = "0x" + "aB" * 20
GENESIS = "0x" + "12" * 32
OWN = {
    "ACME_CHAIN_ID": "31337",
    "ACME_GENESIS": GENESIS,
    "ACME_COIN": "ACM",
    "ACME_IS_LIVE": "false",
}
REQUIRED = {"GCLOUD_PROJECT": "p", "LEDGER_SIGNING_KEY": "k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}


def test_the_kernel_knows_every_preset_and_its_coins():
    assert {name: network.is_live for name, network in PRESETS.items()} == PRESET_NETWORKS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_needs_no_further_setting(name):
    (settings,) = parse_networks(name, {})

    assert network_of(settings) == PRESETS[name]


def test_an_own_chain_is_described_by_settings():
    env = {
        **OWN,
        "ACME_TITLE": "Acme Chain",
        "ACME_TOKENS": f"USDC:{TOKEN}:6:stable,WBTC:{TOKEN}:8",
        "ACME_FEEDS": f"ACM:{TOKEN}:3600",
        "ACME_TIERS": "100:10,1000:safe,any:finalized",
        "ACME_MINIMUM_USD": "0.5",
        "ACME_BLOCK_SECONDS": "1",
        "ACME_EXPLORER": "https://scan.example/",
        "ACME_WALLET_RPC": "https://node.example/",
    }
    (settings,) = parse_networks("acme", env)

    network = network_of(settings)

    assert (network.title, network.family, network.chain_id) == ("Acme Chain", "evm", 31337)
    assert (network.genesis, network.is_live) == (GENESIS, False)
    assert network.assets == {
        "ACM": Asset(name="ACM", contract="", decimals=18),
        "USDC": Asset(name="USDC", contract=TOKEN, decimals=6, is_stable=True),
        "WBTC": Asset(name="WBTC", contract=TOKEN, decimals=8),
    }
    assert network.feeds == {"ACM": Feed(contract=TOKEN, heartbeat_seconds=3600)}
    assert network.tiers == (
        Tier(usd_max=100, depth=10),
        Tier(usd_max=1_000, depth="safe"),
        Tier(usd_max=None, depth="finalized"),
    )
    assert (network.minimum_usd_cents, network.block_seconds) == (50, 1.0)
    assert network.transaction_url("0xab") == "https://scan.example/tx/0xab"
    assert network.wallet_rpc == "https://node.example"


def test_settings_change_a_preset_and_keep_the_rest():
    env = {"BASE_TOKENS": f"DAI:{TOKEN}:18:stable", "BASE_MINIMUM_USD": "2"}

    network = network_of(parse_networks("base", env)[0])

    assert network.assets == {
        **PRESETS["base"].assets,
        "DAI": Asset(name="DAI", contract=TOKEN, decimals=18, is_stable=True),
    }
    assert network.minimum_usd_cents == 200
    assert network.tiers == PRESETS["base"].tiers


@pytest.mark.parametrize(
    ("names", "env", "problem"),
    [
        ("base,base", {}, "must be different names"),
        ("Base", {}, "must be different names"),
        ("base,sepolia", {}, "mixes base"),
        ("base,acme", OWN, "mixes base"),
        ("acme", {**OWN, "ACME_GENESIS": ""}, "ACME_GENESIS is not set"),
        ("acme", {**OWN, "ACME_IS_LIVE": ""}, "ACME_IS_LIVE is not set"),
        ("acme", {**OWN, "ACME_COIN": ""}, "ACME_COIN is not set"),
        ("acme", {**OWN, "ACME_CHAIN_ID": "0x7a69"}, "ACME_CHAIN_ID must be a whole number"),
        ("acme", {**OWN, "ACME_GENESIS": "0x12"}, "ACME_GENESIS must be 0x and 64 digits"),
        ("acme", {**OWN, "ACME_IS_LIVE": "no"}, "ACME_IS_LIVE must be one of true, false"),
        ("acme", {**OWN, "ACME_TIERS": "100:10"}, "ACME_TIERS must rise"),
        ("acme", {**OWN, "ACME_TIERS": "100:0,any:finalized"}, "ACME_TIERS must be a whole number from 1"),
        ("acme", {**OWN, "ACME_TIERS": "1000:10,100:safe,any:finalized"}, "ACME_TIERS must rise"),
        ("acme", {**OWN, "ACME_TIERS": "any:latest"}, "ACME_TIERS must be a whole number from 1"),
        ("acme", {**OWN, "ACME_TOKENS": "USDC:0x12:6"}, "ACME_TOKENS must be addresses of contracts"),
        ("acme", {**OWN, "ACME_TOKENS": f"USDC:{TOKEN}:19"}, "ACME_TOKENS must be a whole number from 0 to 18"),
        ("acme", {**OWN, "ACME_TOKENS": f"USDC:{TOKEN}:6:peg"}, "ACME_TOKENS must be NAME:contract:decimals"),
        ("acme", {**OWN, "ACME_FEEDS": f"ETH:{TOKEN}"}, "ACME_FEEDS must be NAME:contract:heartbeat"),
        ("acme", {**OWN, "ACME_MINIMUM_USD": "0"}, "ACME_MINIMUM_USD must be an amount of dollars"),
        ("base", {"BASE_GENESIS": GENESIS}, "BASE_IS_LIVE is not set"),
        ("bitcoin-signet,bitcoin-regtest", {}, "names two networks of Bitcoin"),
    ],
)
def test_a_wrong_setting_of_a_network_is_named(names, env, problem):
    with pytest.raises(ValueError, match=problem):
        parse_networks(names, env)


def test_start_names_all_wrong_settings_of_networks_at_once():
    env = {**REQUIRED, "CRYPTO_NETWORKS": "base,acme", "CRYPTO_SPOT_PRICES": "binance", "ACME_TIERS": "x"}

    with pytest.raises(SettingsError) as failure:
        parse_settings(env)

    for name in ("ACME_COIN", "ACME_CHAIN_ID", "ACME_TIERS", "CRYPTO_SPOT_PRICES must be none"):
        assert name in str(failure.value)


def test_a_live_genesis_under_another_name_stays_live():
    hidden = NetworkSettings(
        name="acme",
        is_live=False,
        chain_id=8453,
        genesis=PRESETS["base"].genesis,
        coin="ETH",
    )
    test = NetworkSettings(name="sepolia", is_live=False)

    assert network_of(hidden).is_live
    with pytest.raises(SettingsError, match="mixes"):
        networks_of((hidden, test))


def test_a_token_cannot_take_the_name_of_the_coin():
    (settings,) = parse_networks("base", {"BASE_TOKENS": f"ETH:{TOKEN}:18"})

    with pytest.raises(SettingsError, match="BASE_TOKENS"):
        network_of(settings)


def test_spot_prices_can_be_switched_off():
    assert parse_settings({**REQUIRED, "CRYPTO_SPOT_PRICES": "none"}).crypto_spot_prices == ()
    assert parse_settings(REQUIRED).crypto_spot_prices == ("coinbase", "kraken")
