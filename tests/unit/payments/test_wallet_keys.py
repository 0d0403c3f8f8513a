"""A key is used only for networks of its kind, and addresses are written as the network writes them."""

import pytest

from shared.bootstrap import MEMORY_ENVIRONMENT, require_fitting_keys
from shared.kernel.public_keys import parse_bitcoin_keys, parse_evm_keys
from shared.kernel.settings import SettingsError, parse_settings
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.wallet_keys import wallet_keys
from tests.support.keys import EVM, OWN_ZPUB, TAPROOT_XPUB, VPUB, ZPUB, summed

TPUB_EVM = (
    "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M"
)


def checked(evm: str, bitcoin: str, *networks: str):
    used = [PRESETS[name] for name in networks]
    return wallet_keys(evm=parse_evm_keys(evm), bitcoin=parse_bitcoin_keys(bitcoin), networks=used)


@pytest.mark.parametrize(
    ("evm", "bitcoin", "network", "named"),
    [
        (EVM, VPUB, "bitcoin", "BITCOIN_KEY holds a key for test networks, but CRYPTO_NETWORKS names bitcoin,"),
        (EVM, ZPUB, "bitcoin-testnet4", "BITCOIN_KEY holds a key for coins of value"),
        (EVM, ZPUB, "bitcoin-regtest", "bitcoin-regtest, which is a test network"),
        (TPUB_EVM, ZPUB, "base", "EVM_XPUB holds a key for test networks, but CRYPTO_NETWORKS names base,"),
    ],
)
def test_key_of_the_other_mode_is_refused_by_name(evm, bitcoin, network, named):
    with pytest.raises(SettingsError, match=named):
        checked(evm, bitcoin, network)


def test_old_key_of_the_other_mode_is_refused_too():
    with pytest.raises(SettingsError, match="BITCOIN_KEY"):
        checked(EVM, f"{ZPUB},{VPUB}", "bitcoin")


@pytest.mark.parametrize(
    ("bitcoin", "network", "prefix"),
    [
        (ZPUB, "bitcoin", "bc"),
        (VPUB, "bitcoin-testnet4", "tb"),
        (VPUB, "bitcoin-signet", "tb"),
        (VPUB, "bitcoin-regtest", "bcrt"),
    ],
)
def test_address_has_the_prefix_of_its_network(bitcoin, network, prefix):
    assert [key.prefix for key in checked(EVM, bitcoin, network, "base")["bitcoin"]] == [prefix]


def test_one_evm_key_serves_live_and_test_networks():
    assert checked(EVM, "", "base", "sepolia")["evm"][0].prefix == ""


def test_two_bitcoin_networks_with_other_addresses_are_refused():
    with pytest.raises(SettingsError, match="keep one"):
        checked(EVM, VPUB, "bitcoin-testnet4", "bitcoin-regtest")


def test_same_key_on_another_network_has_other_addresses():
    test, regtest = (checked("", VPUB, name)["bitcoin"][0] for name in ("bitcoin-testnet4", "bitcoin-regtest"))

    assert test.fingerprint != regtest.fingerprint


def test_start_refuses_a_key_of_the_other_mode():
    env = {**MEMORY_ENVIRONMENT, "CRYPTO_NETWORKS": "bitcoin", "BITCOIN_KEY": VPUB}

    with pytest.raises(SettingsError, match="BITCOIN_KEY holds a key for test networks"):
        require_fitting_keys(parse_settings(env))


@pytest.mark.parametrize(
    ("networks", "changes", "named"),
    [
        ("base", {}, "EVM_XPUB is the key of an example"),
        ("bitcoin", {}, "BITCOIN_KEY is the key of an example"),
        ("bitcoin", {"BITCOIN_KEY": summed(f"tr({TAPROOT_XPUB}/0/*)")}, "BITCOIN_KEY is the key of an example"),
        ("bitcoin", {"BITCOIN_KEY": f"{OWN_ZPUB},{ZPUB}"}, "BITCOIN_KEY is the key of an example"),
    ],
)
def test_start_refuses_keys_of_examples_for_coins_of_value(networks, changes, named):
    env = {**MEMORY_ENVIRONMENT, "CRYPTO_NETWORKS": networks, **changes}

    with pytest.raises(SettingsError, match=named):
        require_fitting_keys(parse_settings(env))


@pytest.mark.parametrize("networks", ["sepolia,bitcoin-regtest", "bitcoin"])
def test_start_takes_fitting_keys(networks):
    key = OWN_ZPUB if networks == "bitcoin" else VPUB

    require_fitting_keys(parse_settings({**MEMORY_ENVIRONMENT, "CRYPTO_NETWORKS": networks, "BITCOIN_KEY": key}))


def test_start_without_networks_takes_any_key():
    require_fitting_keys(parse_settings({**MEMORY_ENVIRONMENT, "BITCOIN_KEY": VPUB}))
