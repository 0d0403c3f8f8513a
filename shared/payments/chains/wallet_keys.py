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


KNOWN_KEYS = frozenset(
    {
        "02eae4b876a8696134b868f88cc2f51f715f2dbedb7446b8e6edf3d4541c4eb67b",
        "02707a62fdacc26ea9b63b1c197906f56ee0180d0bcf1966e1a2da34f5f3a09a9b",
        "03418278a2885c8bb98148158d1474634097a179c642f23cf1cc04da629ac6f0fb",
        "0206b81bac860f5a7442a85664d339809955b3ac9a5782200095127ac78aab71f5",
        "03bf254e6c9527703800e117017923e910babf8658978790ae28271e514fd3ef20",
        "02ea81f923a172e22d91c2d4a33e74023a50621a104b56a6f9c0007031caec19e3",
    }
)
"""Account keys of the seed phrases in examples everywhere, `abandon … about` and `test … junk`: EVM, BIP 84, BIP 86."""


def require_wallets(settings: Settings) -> None:
    """Raise SettingsError if a key does not fit the networks in use, or if everybody can spend its coins of value."""
    wallet_keys_of(settings)
    live = {each.family for each in networks_of(settings.crypto_networks).values() if each.is_live}
    keys: Mapping[Family, Sequence[AccountKey]] = {"evm": settings.evm_xpub, "bitcoin": settings.bitcoin_key}
    for family in live:
        if any(key.public_key.hex() in KNOWN_KEYS for key in keys[family]):
            raise SettingsError(
                f"{SETTINGS[family]} is the key of an example, whose seed phrase everybody knows: anyone could take "
                "the coins. Set the key of a wallet of your own"
            )


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
