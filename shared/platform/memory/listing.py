"""Providers' listings that a test writes itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.ai.ports import UpstreamUnavailable


@dataclass(slots=True)
class MemoryListing:
    """Listings of models that a test writes, by upstream; see `ModelListing`."""

    by_upstream: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    """Upstreams that do not answer."""

    def fetch(self, upstream: str) -> Sequence[Mapping[str, Any]]:
        """Return each model as the provider describes the model; numbers with a point come as `Decimal`.

        See `ModelListing.fetch`.
        """
        return self.by_upstream.get(upstream, ())

    def reach(self, upstream: str) -> None:
        """Return if the upstream is not among `down`; see `ModelListing.reach`."""
        if upstream in self.down:
            raise UpstreamUnavailable
