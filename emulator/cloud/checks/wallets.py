"""Checks of crypto payments: the wallets' keys, and the networks that coins come from."""

from collections.abc import Iterator

from emulator.cloud.checks.check import check
from emulator.cloud.checks.payments import OF_TESTS
from emulator.cloud.checks.project import ProjectFacts
from shared.kernel.settings import SettingsError
from shared.payments.chains.configured import networks_of
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


CHECKS = (wallet_key_unfit, wallet_key_missing, coins_without_value)
