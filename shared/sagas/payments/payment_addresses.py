"""Addresses that the watch looks for: derived once in an instance, by index and back."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from shared.kernel.events import log
from shared.payments.chains.address_book import AddressesDisagree
from shared.payments.chains.networks import Family

DERIVED_AT_ONCE = 500
"""Addresses that are derived between two looks at the clock."""


class AddressSource(Protocol):
    """Source of addresses, such as the address book."""

    def addresses(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        """Return the addresses by index, without those that are unknown."""
        ...


class TakenIndices(Protocol):
    """Record of the indices that payments have taken."""

    def taken(self, family: Family) -> int:
        """Return the number of indices that are taken: each is below this number."""
        ...


class PaymentAddresses:
    """Addresses of indices, derived at the first use. Safe to share between threads."""

    def __init__(self, source: Callable[[], AddressSource]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._known: dict[Family, dict[int, str]] = {}
        self._indices: dict[Family, dict[str, int]] = {}
        self._complete: dict[Family, int] = {}
        self._refused: set[tuple[Family, int]] = set()

    def of(self, family: Family, indices: Iterable[int]) -> Mapping[int, str]:
        """Return the addresses of these indices, by index, without those that are unknown."""
        asked = sorted(indices)
        known = self._known_of(family)
        missing = [index for index in asked if index not in known]
        if missing:
            known.update(self._derived(family, missing))
        return {index: known[index] for index in asked if index in known}

    def all(self, family: Family, taken: int, is_over: Callable[[], bool]) -> Mapping[str, int] | None:
        """Return the index by address, of all taken indices; None if the time was up before all were derived.

        The next call continues with the addresses that are missing. One thread at a time may call this method.
        """
        known = self._indices.setdefault(family, {})
        for first in range(self._complete.get(family, 0), taken, DERIVED_AT_ONCE):
            if is_over():
                return None
            part = range(first, min(first + DERIVED_AT_ONCE, taken))
            known.update({address: index for index, address in self.of(family, part).items()})
            self._complete[family] = part.stop
        return known

    def _derived(self, family: Family, indices: Sequence[int]) -> Mapping[int, str]:
        """Derive addresses. One that two implementations derive differently hides no other."""
        asked = [index for index in indices if (family, index) not in self._refused]
        try:
            return self._source().addresses(family, asked)
        except AddressesDisagree as error:
            if len(asked) > 1:
                half = len(asked) // 2
                return {**self._derived(family, asked[:half]), **self._derived(family, asked[half:])}
            log("address_not_watched", "ERROR", family=family, index=asked[0], code=error.code)
            self._refused.add((family, asked[0]))
            return {}

    def _known_of(self, family: Family) -> dict[int, str]:
        with self._lock:
            return self._known.setdefault(family, {})
