"""Settings with the sources of each network, and when their values are secrets."""

import pytest

from shared.bootstrap.secrets import chain_secrets, secrets_of
from shared.kernel.chain_settings import ChainSources, holds_key
from shared.kernel.settings import SettingsError, parse_settings

REQUIRED = {"GCLOUD_PROJECT": "demo"}


def test_sources_are_read_by_the_names_of_their_networks():
    env = {"BASE_SEPOLIA_RPC_URLS": "https://one.example, https://two.example/v2/", "BITCOIN_API_URLS": "http://b:1"}

    settings = parse_settings({**REQUIRED, **env}, secrets=())

    assert settings.chain_sources == (
        ChainSources(network="base-sepolia", urls=("https://one.example", "https://two.example/v2")),
        ChainSources(network="bitcoin", urls=("http://b:1",)),
    )


@pytest.mark.parametrize("text", ["geheim", "ftp://geheim", "https://geheim,https://geheim", ",", "https://geheim,x"])
def test_a_wrong_source_is_named_without_its_value(text: str):
    with pytest.raises(SettingsError, match=r"^BASE_RPC_URLS must be ") as raised:
        parse_settings({**REQUIRED, "BASE_RPC_URLS": text}, secrets=())

    assert "geheim" not in str(raised.value)


def test_settings_never_show_a_source():
    settings = parse_settings({**REQUIRED, "BASE_RPC_URLS": "https://geheim.example"}, secrets=())

    assert "geheim" not in repr(settings)


def test_sources_are_secrets_unless_they_are_plain_settings():
    env = {"CRYPTO_NETWORKS": "base, bitcoin-signet,polygon", "POLYGON_RPC_URLS": "https://polygon-rpc.com"}

    assert chain_secrets(env) == ("BASE_RPC_URLS", "BITCOIN_SIGNET_API_URLS")
    assert {"BASE_RPC_URLS", "BITCOIN_SIGNET_API_URLS"} <= set(secrets_of("every_minute", env))
    assert "BASE_RPC_URLS" not in secrets_of("run_agent_step", env)


@pytest.mark.parametrize(
    ("url", "is_keyed"),
    [
        ("https://mainnet.base.org", False),
        ("https://ethereum-rpc.publicnode.com,https://eth.llamarpc.com", False),
        ("https://mempool.space/testnet4/api", False),
        ("https://base-mainnet.g.alchemy.com/v2/Abc_def-0123456789abcdef", True),
        ("https://mainnet.infura.io/v3/0123456789abcdef0123456789abcdef", True),
        ("https://one.example,https://user:word@two.example", True),
        ("https://rpc.example/?apikey=1", True),
    ],
)
def test_a_source_with_a_key_is_told_from_a_public_one(url: str, is_keyed: bool):
    assert holds_key(url) is is_keyed
