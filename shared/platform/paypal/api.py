"""PayPal's SDK as a transport: OAuth and JSON over HTTP, with what it lacks.

The SDK's own `Api` waits for ever, asks for a new token without end while the old one is refused, returns some errors
instead of raising them, sends a body with GET, and tells the token endpoint the headers of the call it is for.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from paypalrestsdk import Api, exceptions

from shared.kernel.errors import InvalidValue
from shared.kernel.events import log
from shared.payments.lockout import Lockout
from shared.payments.ports import ProviderRefused, ProviderUnavailable, UnknownAtProvider

CONNECT_SECONDS = 4.0
READ_SECONDS = 20.0
TOKEN_MARGIN_SECONDS = 60
TOKEN_PATH = "/v1/oauth2/token"  # noqa: S105  # a path
STATUS_RETRY = frozenset({408, 409, 425, 429})


class PayPalApi(Api):  # type: ignore[misc]  # the SDK has no types
    """See the module. Safe to share between threads: each has its own connection, all share one token."""

    def __init__(self, *, api_base: str, client_id: str, client_secret: str) -> None:
        # In the mode `sandbox` the SDK writes whole requests, tokens included, to its log.
        super().__init__(mode="live", endpoint=api_base, client_id=client_id, client_secret=client_secret)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._token = ""
        self._token_until = 0.0

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What PayPal answers to this; `path` begins with a slash. Raises the SDK's errors, and requests' own."""
        return _object(self.request(f"{self.endpoint}{path}", method, body, dict(headers or {})))

    def post_bytes(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a body of JSON as it is. Raises as `call` does."""
        return _object(self.request(f"{self.endpoint}{path}", "POST", body))

    def request(
        self,
        url: str,
        method: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        refresh_token: str | None = None,
    ) -> Any:
        """See `Api.request`. A refused token is replaced once."""
        token = self._token_now(refused="")
        try:
            return self._send(url, method, body, headers, token)
        except exceptions.UnauthorizedAccess:
            token = self._token_now(refused=token)
        return self._send(url, method, body, headers, token)

    def http_call(self, url: str, method: str, **kwargs: Any) -> Any:
        """See `Api.http_call`. Every wait has its limit, and nobody is followed elsewhere with our token."""
        response = self._session().request(
            method, url, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, **kwargs
        )
        return self.handle_response(response, response.content.decode())

    def _send(
        self,
        url: str,
        method: str,
        body: Mapping[str, Any] | bytes | None,
        headers: Mapping[str, str] | None,
        token: str,
    ) -> Any:
        own = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": self.user_agent}
        if body is None:
            return self.http_call(url, method, headers={**own, **(headers or {})})
        typed = {**own, "Content-Type": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.http_call(url, method, data=data, headers={**typed, **(headers or {})})

    def _token_now(self, *, refused: str) -> str:
        """A token that is good, and not the one that was just refused. Threads wait for one to ask."""
        with self._lock:
            if self._token and self._token != refused and time.monotonic() < self._token_until:
                return self._token
            answer = self.http_call(
                f"{self.endpoint}{TOKEN_PATH}",
                "POST",
                data="grant_type=client_credentials",
                headers={
                    "Authorization": f"Basic {self.basic_auth()}",
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                    "User-Agent": self.user_agent,
                },
            )
            self._token = str(answer["access_token"])
            self._token_until = time.monotonic() + int(answer["expires_in"]) - TOKEN_MARGIN_SECONDS
            return self._token

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise TypeError("PayPal answered something else than an object")
    return answer


@contextmanager
def calling(call: str, lockout: Lockout) -> Iterator[None]:
    """Raise what happened in our words; PayPal's own go to the log.

    Credentials that are not accepted are our fault, and mended by an operator: they must not fail a payment for good.
    """
    try:
        yield
    except (exceptions.UnauthorizedAccess, exceptions.ForbiddenAccess) as error:
        log("paypal_locked_out", "CRITICAL", call=call, status=_status(error), issue=issue_of(error))
        lockout.tell(call)
        raise ProviderUnavailable("paypal") from None
    except exceptions.ResourceNotFound as error:
        log("paypal_unknown", "WARNING", call=call, issue=issue_of(error))
        raise UnknownAtProvider("paypal") from None
    except exceptions.ConnectionError as error:
        log("paypal_refused", "WARNING", call=call, status=_status(error), issue=issue_of(error))
        if isinstance(error, exceptions.ClientError) and _status(error) not in STATUS_RETRY:
            raise ProviderRefused("paypal", issue_of(error)) from None
        raise ProviderUnavailable("paypal") from None
    except (requests.RequestException, AttributeError, KeyError, TypeError, ValueError, InvalidValue) as error:
        # Not reached, or an answer that cannot be read.
        log("paypal_failed", "WARNING", call=call, kind=type(error).__name__)
        raise ProviderUnavailable("paypal") from None


def issue_of(error: exceptions.ConnectionError) -> str:
    """PayPal's own word for what is wrong, in lower case: the issue, or the name of the error."""
    try:
        told = json.loads(error.content or "{}")
        details = told.get("details") or [{}]
        found = details[0].get("issue") or told.get("name") or told.get("error")
    except (ValueError, AttributeError, TypeError, LookupError):
        found = None
    return str(found or f"status_{_status(error)}").lower()


def _status(error: exceptions.ConnectionError) -> int:
    return int(getattr(error.response, "status_code", 0))
