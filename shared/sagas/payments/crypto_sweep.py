"""The periodic jobs of crypto payments: watch the chains, follow addresses and payouts, read cold addresses."""

from collections.abc import Callable, Mapping
from typing import Protocol

from shared.payments.chains.networks import Network
from shared.payments.chains.ports import NetworkName
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.cold_addresses import ColdAddresses
from shared.sagas.payments.crypto_following import AddressFollower
from shared.sagas.payments.crypto_watcher import Watcher
from shared.sagas.payments.payouts import Payouts


class CryptoParts(Protocol):
    """Parts of crypto payments that the jobs need, each built at its first use."""

    @property
    def networks(self) -> Mapping[NetworkName, Network]:
        """Return the networks in use."""
        ...

    @property
    def watcher(self) -> Watcher:
        """Return the watch over the chains."""
        ...

    @property
    def follower(self) -> AddressFollower:
        """Return the follower of addresses."""
        ...

    @property
    def payouts(self) -> Payouts:
        """Return the payouts of refunds."""
        ...

    @property
    def cold_addresses(self) -> ColdAddresses:
        """Return the reader of cold addresses."""
        ...


class CryptoJobs:
    """The periodic work for crypto payments."""

    def __init__(self, parts: Callable[[], CryptoParts]) -> None:
        self._parts = parts

    def watch(self, run: JobRun) -> None:
        """Look at each network."""
        parts = self._parts()
        if parts.networks:
            parts.watcher.run(run)

    def follow(self, run: JobRun) -> None:
        """Follow the addresses whose next look is due."""
        parts = self._parts()
        if parts.networks:
            parts.follower.resume(run)

    def follow_payouts(self, run: JobRun) -> None:
        """Look at the payouts whose next look is due."""
        parts = self._parts()
        if parts.networks:
            parts.payouts.resume(run)

    def read_cold(self, run: JobRun) -> None:
        """Read the levels of cold addresses, slice by slice."""
        parts = self._parts()
        if parts.networks:
            parts.cold_addresses.read(run)
