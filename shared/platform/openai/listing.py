"""Providers' own listings of their models."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.ai.models.listing import listed_models
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.errors import InvalidValue

TIMEOUT_SECONDS = 30.0
REACH_SECONDS = 5.0
NO_ACCESS = frozenset({401, 403})
SERVER_ERROR = 500
"""First status of the errors that are the server's own."""
BYTES_MAX = 32 * 1024 * 1024


class OpenAIListings:
    """Client for the lists of models that providers publish; see `ModelListing`.

    `providers` are the providers' addresses and keys, by name.
    """

    def __init__(self, providers: Mapping[str, tuple[str, str]]) -> None:
        self._providers = providers

    def fetch(self, upstream: str) -> Sequence[Mapping[str, Any]]:
        """Return each model as the provider describes the model; numbers with a point come as `Decimal`.

        See `ModelListing.fetch`.
        """
        import httpx2

        if upstream not in self._providers:
            raise InvalidValue("upstream", f"must be one of {', '.join(self._providers)}")
        base_url, api_key = self._providers[upstream]
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            answer = httpx2.get(f"{base_url}/models", headers=headers, timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
            return listed_models(json.loads(answer.content[:BYTES_MAX], parse_float=Decimal))
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UpstreamUnavailable(f"The provider's listing cannot be read ({type(error).__name__}).") from error

    def reach(self, upstream: str) -> None:
        """Ask the provider for the head of its listing; see `ModelListing.reach`."""
        import httpx2

        base_url, api_key = self._providers[upstream]
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            with httpx2.stream("GET", f"{base_url}/models", headers=headers, timeout=REACH_SECONDS) as answer:
                status = answer.status_code
        except httpx2.HTTPError as error:
            raise UpstreamUnavailable(f"The provider does not answer ({type(error).__name__}).") from error
        if status >= SERVER_ERROR or status in NO_ACCESS:
            raise UpstreamUnavailable(f"The provider answers with status {status}.")
