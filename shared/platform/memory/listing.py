"""Providers' listings that a test writes itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class MemoryListing:
    """See `ModelListing`."""

    by_upstream: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def fetch(self, upstream: str) -> Sequence[Mapping[str, Any]]:
        """See `ModelListing.fetch`."""
        return self.by_upstream.get(upstream, ())
