"""Checks of crypto payments: the wallets' keys, and the networks that coins come from."""

from collections.abc import Iterator

from emulator.cloud.checks.check import check
from emulator.cloud.checks.payments import OF_TESTS
from emulator.cloud.checks.project import ProjectFacts
from shared.kernel.chain_settings import sources_setting
from shared.kernel.settings import SettingsError
from shared.payments.chains.configured import networks_of
from shared.payments.chains.sources import ONE_SOURCE_USD_MAX
from shared.payments.chains.wallet_keys import SETTINGS, require_wallets


@check("Set the account's public key from a wallet for the networks in use, or take the networks out.")
def wallet_key_unfit(project: ProjectFacts) -> Iterator[str]:
    """A wallet's key is for other networks than those in use, or is an example's, so no function starts."""
    try:
        require_wallets(project.settings.value)
    except SettingsError as error:
        yield f"{error}."


@check("Set the account's public key, as docs/reference/settings.md says, or take the networks out.")
def wallet_key_missing(project: ProjectFacts) -> Iterator[str]:
    """A network is in use without a key of a wallet, so nobody can pay on that network."""
    settings = project.settings.value
    keys = {"evm": settings.evm_xpub, "bitcoin": settings.bitcoin_key}
    for name, network in networks_of(settings.crypto_networks).items():
        if not keys[network.family]:
            yield f"`{SETTINGS[network.family]}` is not set, although `CRYPTO_NETWORKS` names {name}."


@check("Name networks whose coins have value. A project for tests should have `test` or `staging` in its id.")
def coins_without_value(project: ProjectFacts) -> Iterator[str]:
    """Test networks are in use, so anybody buys credits with coins that cost nothing."""
    networks = networks_of(project.settings.value.crypto_networks).values()
    if not OF_TESTS.search(project.name) and any(not network.is_live for network in networks):
        yield "`CRYPTO_NETWORKS` names test networks: credits cost no money."


@check("Name a second source of another operator in the same setting, separated by a comma.", severity="hint")
def network_of_one_source(project: ProjectFacts) -> Iterator[str]:
    """A network has one source, whose word alone credits large amounts."""
    settings = project.settings.value
    sources = {each.network: each.urls for each in settings.chain_sources}
    for name in networks_of(settings.crypto_networks):
        if len(sources.get(name, ())) == 1:
            yield f"`{sources_setting(name)}` names one source: amounts above ${ONE_SOURCE_USD_MAX} are its word alone."


@check("Name exchanges in `CRYPTO_SPOT_PRICES`, or a network with a price feed of the asset.", severity="hint")
def price_of_one_source(project: ProjectFacts) -> Iterator[str]:
    """An asset has one source of prices, so a mistake of that source sells credits too cheaply, in any amount."""
    settings = project.settings.value
    networks = networks_of(settings.crypto_networks)
    fed = {asset for network in networks.values() for asset in network.feeds}
    for name, network in networks.items():
        alone = sorted(each for each in network.assets if (each in fed) + len(settings.crypto_spot_prices) == 1)
        if alone:
            yield f"The price of {', '.join(alone)} on {name} is the word of one source."


CHECKS = (wallet_key_unfit, wallet_key_missing, coins_without_value, network_of_one_source, price_of_one_source)
