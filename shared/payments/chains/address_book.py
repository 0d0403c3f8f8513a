"""Addresses of payments, each derived from a wallet's public key by two independent implementations.

Every family of chains counts addresses by an index from 0, for ever. `crypto_indices/{family}` says which indices
belong to which key, and at which step of the key's path 0/i they begin. So the index of an address stays unique when
the operator changes the key, and `crypto_addresses/{family}:{index}` names one address for ever.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from shared.kernel.errors import Unavailable
from shared.kernel.events import Alerts
from shared.payments.chains.index_table import IndexTable, IndexTables, WalletKey
from shared.payments.chains.networks import Family

ADDRESSES_KEPT_MAX = 20_000
"""Most derived addresses that one instance keeps in memory."""


class AddressBook(Protocol):
    """Addresses by family of chains and index. All EVM chains share their addresses."""

    def has(self, family: Family) -> bool:
        """Return True if a key for this family is set."""
        ...

    def address(self, family: Family, index: int) -> str:
        """Return the address with this index: EIP-55 for EVM, bech32 for Bitcoin.

        Raises AddressUnknown for an index that was never taken, and for an index of a key that is not set any more.
        Raises AddressesDisagree.
        """
        ...

    def addresses(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        """Return the addresses by index, without those that are unknown; see `address`. Raises AddressesDisagree."""
        ...


class Derivation(Protocol):
    """One implementation that derives addresses from an account's public key."""

    def address(self, key: WalletKey, step: int) -> str:
        """Return the address at the path 0/step below the key."""
        ...


class AddressUnknown(Unavailable):
    """Error for an index of no known key: the index was never taken, or the key has left the settings."""

    code = "address_unknown"

    def __init__(self, family: Family, index: int) -> None:
        super().__init__("No key that is set derives this address.", family=family, index=index)


class AddressesDisagree(Unavailable):
    """Error for an address that two implementations derive differently. Nobody may pay to such an address."""

    code = "addresses_disagree"

    def __init__(self, family: Family, step: int) -> None:
        super().__init__("No safe address can be made right now. Nothing is lost.", family=family, step=step)


class DerivedAddressBook:
    """Address book over the keys of the settings. Safe between threads.

    `derivations` are the two implementations. Derived addresses are kept in memory, since two derivations take 0.2 ms.
    """

    def __init__(
        self,
        keys: Mapping[Family, Sequence[WalletKey]],
        derivations: Callable[[], tuple[Derivation, Derivation]],
        tables: IndexTables,
        alerts: Alerts,
    ) -> None:
        self._keys = {family: {key.fingerprint: key for key in known} for family, known in keys.items()}
        self._derivations = derivations
        self._tables = tables
        self._alerts = alerts
        self._agreed = lru_cache(maxsize=ADDRESSES_KEPT_MAX)(self._derive)

    def has(self, family: Family) -> bool:
        return bool(self._keys.get(family))

    def address(self, family: Family, index: int) -> str:
        found = self._found(family, self._tables.with_index(family, index), index)
        if found is None:
            raise AddressUnknown(family, index)
        return found

    def addresses(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        if not indices:
            return {}
        table = self._tables.with_index(family, max(indices))
        found = ((index, self._found(family, table, index)) for index in indices)
        return {index: address for index, address in found if address is not None}

    def _found(self, family: Family, table: IndexTable, index: int) -> str | None:
        place = table.place(index)
        key = None if place is None else self._keys.get(family, {}).get(place.fingerprint)
        return None if place is None or key is None else self._agreed(family, key, place.step, index)

    def _derive(self, family: Family, key: WalletKey, step: int, index: int) -> str:
        """Return the address that both implementations derive. Raises AddressesDisagree, and alerts operators."""
        try:
            return agreed_address(self._derivations(), family, key, step)
        except AddressesDisagree:
            self._alerts.alert("crypto_addresses_disagree", family=family, index=index)
            raise


def agreed_address(derivations: tuple[Derivation, Derivation], family: Family, key: WalletKey, step: int) -> str:
    """Return the address that both implementations derive at the path 0/step. Raises AddressesDisagree."""
    one, other = (each.address(key, step) for each in derivations)
    if one != other:
        raise AddressesDisagree(family, step)
    return one
