"""PayPal's SDK as a transport: OAuth and JSON over HTTP, without the defects of the SDK's own `Api`.

The SDK's own `Api` waits without a limit. While a token is refused, the SDK requests new tokens without end. The SDK
returns some errors instead of raising them, and sends a body with GET. The SDK also sends a call's headers to the token
endpoint.
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
    """Hardened transport; see the module.

    Safe to share between threads: each thread has a connection, all share one token.
    """

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
        """Send one request and return PayPal's answer; `path` begins with a slash.

        Raises errors of the SDK and of requests.
        """
        return _object(self.request(f"{self.endpoint}{path}", method, body, dict(headers or {})))

    def post_bytes(self, path: str, body: bytes) -> dict[str, Any]:
        """Send a body of JSON unchanged, and return PayPal's answer. Raises as `call` does."""
        return _object(self.request(f"{self.endpoint}{path}", "POST", body))

    def request(
        self,
        url: str,
        method: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        refresh_token: str | None = None,
    ) -> Any:
        """Send one request with a valid token, and return PayPal's answer; see `Api.request`.

        A refused token is replaced once.
        """
        token = self._token_now(refused="")
        try:
            return self._send(url, method, body, headers, token)
        except exceptions.UnauthorizedAccess:
            token = self._token_now(refused=token)
        return self._send(url, method, body, headers, token)

    def http_call(self, url: str, method: str, **kwargs: Any) -> Any:
        """Send one HTTP request, and return the parsed answer; see `Api.http_call`.

        Every wait has a limit. No redirect is followed, so that no other host gets our token.
        """
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
        """Return a valid token other than the one that was `refused`.

        One thread requests a token while the others wait.
        """
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
    """Log PayPal's errors, and raise them as errors of our port.

    Raises ProviderUnavailable, ProviderRefused and UnknownAtProvider. If PayPal refuses our credentials, an operator
    must correct them: ProviderUnavailable is raised, so that no payment fails for good.
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
    """Return PayPal's code of the error in lower case: the issue, or else the error's name, or else `status_…`."""
    try:
        told = json.loads(error.content or "{}")
        details = told.get("details") or [{}]
        found = details[0].get("issue") or told.get("name") or told.get("error")
    except (ValueError, AttributeError, TypeError, LookupError):
        found = None
    return str(found or f"status_{_status(error)}").lower()


def _status(error: exceptions.ConnectionError) -> int:
    return int(getattr(error.response, "status_code", 0))
