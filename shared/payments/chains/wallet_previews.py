"""First addresses of each key in the settings, for operators to compare with their wallets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.payments.chains.address_book import Derivation, agreed_address
from shared.payments.chains.index_table import IndexTables, WalletKey
from shared.payments.chains.networks import Family

PREVIEWED = 3
"""Number of addresses that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletPreview:
    """First addresses of a key, at 0/0, 0/1 and so on.

    `is_in_use` is True for the key that new addresses come from. `taken` is the number of steps of the key's path that
    were taken for payments, from 0/0 on.
    """

    family: Family
    is_in_use: bool
    addresses: tuple[str, ...]
    taken: int


class WalletPreviews:
    """Reader of the first addresses of all keys."""

    def __init__(
        self,
        keys: Mapping[Family, Sequence[WalletKey]],
        derivations: Callable[[], tuple[Derivation, Derivation]],
        tables: IndexTables,
    ) -> None:
        self._keys = keys
        self._derivations = derivations
        self._tables = tables

    def previews(self, family: Family) -> list[WalletPreview]:
        """Return the first addresses of a family's keys. Raises AddressesDisagree."""
        keys = self._keys.get(family, ())
        table = self._tables.read(family)
        return [
            WalletPreview(
                family=family,
                is_in_use=key == keys[0],
                addresses=tuple(agreed_address(self._derivations(), family, key, step) for step in range(PREVIEWED)),
                taken=table.steps_taken(key.fingerprint),
            )
            for key in keys
        ]
