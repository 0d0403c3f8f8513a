"""Follows of the watch: an address is followed until nothing is under way there any more."""

from collections.abc import Collection
from typing import Protocol

from shared.kernel.events import log
from shared.payments.chains.networks import Family
from shared.payments.chains.ports import ChainUnavailable, NetworkName
from shared.payments.chains.seen import AddressView
from shared.payments.ports import UnknownAtProvider


class FollowsAddresses(Protocol):
    """Part of `AddressFollower` that the watch needs."""

    def follow(self, family: str, index: int, networks: Collection[NetworkName] | None = None) -> AddressView:
        """Look at the address on these networks, and settle the payments that moved."""
        ...


class WatchFollows:
    """Adapter from `AddressFollower` to the `WatchFollower` of the watch: tells only whether everything is final."""

    def __init__(self, follower: FollowsAddresses) -> None:
        self._follower = follower

    def follow(self, family: Family, index: int, networks: Collection[NetworkName] | None = None) -> bool:
        """Follow an address. Return True once nothing is under way there; see `WatchFollower.follow`.

        Coins at an address that was never given out are nobody's: they are logged, and an operator finds them at the
        wallet. Raises ChainUnavailable if a network gave no answer.
        """
        try:
            seen = self._follower.follow(family, index, networks)
        except UnknownAtProvider:
            log("coins_at_unused_address", "ERROR", family=family, index=index)
            return True
        silent = sorted(set(networks or ()) & set(seen.unavailable))
        if silent:
            raise ChainUnavailable(silent[0], "not_followed")
        return seen.record.due_at is None
