"""The SDK's client, made when it is first needed: the SDK takes half a second to import."""

import threading
from typing import TYPE_CHECKING

from shared.ai.ports import UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.events import log

if TYPE_CHECKING:
    from openai import OpenAI

STATUS_REFUSED = range(400, 500)
STATUS_RETRY = frozenset({408, 409, 425, 429})
NO_KEY = "none"
"""The SDK insists on a key; an upstream without authentication ignores it."""


class Provider:
    """One provider, and one client for all calls, so that connections are kept alive between them."""

    def __init__(self, *, base_url: str, api_key: str) -> None:
        self.base_url = base_url
        self._api_key = api_key
        self._lock = threading.Lock()
        self._client: OpenAI | None = None

    def client(self) -> "OpenAI":
        """The SDK's client."""
        with self._lock:
            if self._client is None:
                from openai import OpenAI

                from shared.platform.openai.network import http_client

                self._client = OpenAI(
                    api_key=self._api_key or NO_KEY,
                    base_url=self.base_url,
                    max_retries=0,  # a second try would be a second bill
                    http_client=http_client(),
                )
            return self._client

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def failure(error: Exception, model: str) -> UpstreamUnavailable | UpstreamRejected:
    """What a failure of the SDK means: a refusal for good, or anything else, from no answer to nonsense.

    To be called where the call still is this thread's.
    """
    import openai

    from shared.platform.openai.network import is_late, is_sent

    if is_late() and not isinstance(error, openai.APIStatusError):
        log("upstream_too_slow", "WARNING", model=model)
        return UpstreamTimedOut()
    if not isinstance(error, openai.APIStatusError):
        log("upstream_failed", "WARNING", kind=type(error).__name__, model=model)
        return UpstreamUnavailable(has_begun=is_sent())
    log("upstream_refused", "WARNING", status=error.status_code, model=model)
    is_refused = error.status_code in STATUS_REFUSED and error.status_code not in STATUS_RETRY
    return UpstreamRejected() if is_refused else UpstreamUnavailable()
