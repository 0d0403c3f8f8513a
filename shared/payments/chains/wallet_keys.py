"""Keys of wallets by family of chains, checked against the networks in use."""

from collections.abc import Iterable, Mapping, Sequence

from shared.kernel.account_keys import AccountKey
from shared.kernel.settings import Settings, SettingsError
from shared.payments.chains.configured import networks_of
from shared.payments.chains.index_table import WalletKey
from shared.payments.chains.networks import Family, Network

SETTINGS: Mapping[Family, str] = {"evm": "EVM_XPUB", "bitcoin": "BITCOIN_KEY"}
"""Names of the settings with the keys."""
LIVE_PREFIX, TEST_PREFIX, REGTEST_PREFIX = "bc", "tb", "bcrt"
REGTEST_GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def wallet_keys_of(settings: Settings) -> Mapping[Family, tuple[WalletKey, ...]]:
    """Return the keys in the settings by family, checked against the networks there; see `wallet_keys`."""
    networks = networks_of(settings.crypto_networks).values()
    return wallet_keys(evm=settings.evm_xpub, bitcoin=settings.bitcoin_key, networks=networks)


def wallet_keys(
    *, evm: Sequence[AccountKey], bitcoin: Sequence[AccountKey], networks: Iterable[Network]
) -> Mapping[Family, tuple[WalletKey, ...]]:
    """Return the keys of each family. The first key of a family makes new addresses.

    Raises SettingsError for a key of test networks where a network in use is live, and the reverse, and for Bitcoin
    networks that write addresses differently.
    """
    used = tuple(networks)
    keys: Mapping[Family, Sequence[AccountKey]] = {"evm": evm, "bitcoin": bitcoin}
    for family, known in keys.items():
        for key in known:
            _require_same_value(family, key, used)
    prefixes = {bitcoin_prefix(each) for each in used if each.family == "bitcoin"}
    if len(prefixes) > 1:
        raise SettingsError(
            "CRYPTO_NETWORKS names several Bitcoin networks, but one key has addresses of one: keep one"
        )
    return {
        family: tuple(WalletKey(account=key, prefix=_prefix(family, key, prefixes)) for key in known)
        for family, known in keys.items()
    }


def bitcoin_prefix(network: Network) -> str:
    """Return the human-readable part of addresses on a Bitcoin network: `bc`, `tb` or `bcrt`."""
    if network.is_live:
        return LIVE_PREFIX
    return REGTEST_PREFIX if network.genesis == REGTEST_GENESIS else TEST_PREFIX


def _require_same_value(family: Family, key: AccountKey, networks: Sequence[Network]) -> None:
    for network in networks:
        if network.family == family and key.is_live not in {None, network.is_live}:
            mode, needed = ("test networks", "live") if network.is_live else ("coins of value", "a test network")
            raise SettingsError(
                f"{SETTINGS[family]} holds a key for {mode}, but CRYPTO_NETWORKS names {network.name}, which is "
                f"{needed}: set a key of a wallet for {network.name}, or take the network out"
            )


def _prefix(family: Family, key: AccountKey, prefixes: set[str]) -> str:
    if family == "evm":
        return ""
    return next(iter(prefixes), LIVE_PREFIX if key.is_live else TEST_PREFIX)
