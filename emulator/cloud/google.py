"""Calls to Google's REST APIs, with the operator's own credentials. GOOGLE_APIS leads all calls to a stand-in."""

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import requests

from emulator.cloud.problems import GoogleRefused, GoogleSilent, NoCredentials, OperationFailed

Json = dict[str, Any]

CALL_TIMEOUT_SECONDS = 60
ATTEMPTS_MAX = 6
BACKOFF_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 32.0
TOO_MANY = 429
"""Status after which any call is repeated: Google did nothing."""
UNAVAILABLE = 503
"""Status after which each call but POST is repeated: Google may have done it, and a second POST makes two things."""
BROKEN = frozenset({500, 502, 504})
"""Statuses after which only a read is repeated: a write may have happened."""
FRESH_ATTEMPTS = 8
"""More attempts for an API that was just turned on: some five minutes."""
OPERATION_SECONDS_MAX = 1_800
OPERATION_POLL_SECONDS = 2.0
PAGES_MAX = 1_000
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/firebase")
UNREADABLE_CHARACTERS_MAX = 200
STAND_IN_SECONDS = 0.02
"""Longest pause between calls of a stand-in, whose work takes a moment only."""
AUTHORIZED_SESSION = "google.auth.transport.requests"


class Session(Protocol):
    """Connection that adds credentials to each call: `requests.Session`, or google-auth's `AuthorizedSession`."""

    def request(self, method: str, url: str, *, json: Any, timeout: float) -> requests.Response: ...


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


class Google:
    """Google's APIs as one project's operator calls them. Addresses are complete: `https://HOST/PATH`.

    `base` replaces `https:/` in each address, so that `http://127.0.0.1:PORT/HOST/PATH` is called.
    """

    def __init__(
        self, project: str, session: Session, base: str | None = None, pause: Callable[[float], None] = _pause
    ) -> None:
        self.project = project
        self._session = session
        self._base = base
        self._fresh: set[str] = set()
        self.pause = pause

    def get(self, url: str, **query: str | int) -> Json:
        return self._call("GET", url, None, query)

    def post(self, url: str, body: Mapping[str, Any] | None = None, **query: str | int) -> Json:
        return self._call("POST", url, body or {}, query)

    def put(self, url: str, body: Mapping[str, Any] | None = None, **query: str | int) -> Json:
        return self._call("PUT", url, body or {}, query)

    def patch(self, url: str, body: Mapping[str, Any] | None = None, **query: str | int) -> Json:
        return self._call("PATCH", url, body or {}, query)

    def delete(self, url: str, **query: str | int) -> Json:
        return self._call("DELETE", url, None, query)

    def find(self, url: str, **query: str | int) -> Json | None:
        """Return the thing at the address; None if Google says that it does not exist."""
        try:
            return self.get(url, **query)
        except GoogleRefused as error:
            if error.is_missing:
                return None
            raise

    def create(self, url: str, body: Mapping[str, Any], *, method: str = "POST", **query: str | int) -> Json | None:
        """Create a thing. Return Google's answer; None if the name is taken already, by us or another operator."""
        try:
            return self._call(method, url, body, query)
        except GoogleRefused as error:
            if error.is_there_already:
                return None
            raise

    def items(self, url: str, field: str, **query: str | int) -> Iterator[Json]:
        """Yield the things of all pages of a list. `field` is the field of the answer that holds them."""
        token = ""
        for _ in range(PAGES_MAX):
            page = self.get(url, **query, **({"pageToken": token} if token else {}))
            yield from page.get(field) or ()
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
        raise GoogleSilent(f"The list at {url} has more than {PAGES_MAX} pages: too many to go through.")

    def expect(self, hosts: Iterable[str]) -> None:
        """Repeat calls of these APIs, which were just turned on, if Google still answers that the API is off."""
        self._fresh.update(hosts)

    def rows(self, url: str, body: Mapping[str, Any]) -> list[Json]:
        """Return the objects of an answer that is a list, such as the answer to a query of Firestore."""
        return _rows(self._answer("POST", url, body, {}), f"POST {url}")

    def wait(self, operation: Mapping[str, Any], asked: str) -> Json:
        """Wait until a long operation has ended, and return its response.

        `asked` is the address that answered with the operation; the operation is read below the same version
        (`/v1/`). Raises OperationFailed.
        """
        waited = 0.0
        found = dict(operation)
        while not (found.get("done") or found.get("status") == "DONE"):
            if waited >= OPERATION_SECONDS_MAX:
                raise OperationFailed(
                    f"Google did not finish {found.get('name')} within {OPERATION_SECONDS_MAX // 60} minutes: "
                    "look at it in the Cloud Console, then run the command again."
                )
            self.pause(OPERATION_POLL_SECONDS)
            waited += OPERATION_POLL_SECONDS
            found = self.get(_operation_address(asked, str(found["name"])))
        if error := found.get("error"):
            raise OperationFailed(f"Google could not finish {found.get('name')}: {error.get('message') or error}")
        response: Json = found.get("response") or {}
        return response

    def _call(self, method: str, url: str, body: Mapping[str, Any] | None, query: Mapping[str, str | int]) -> Json:
        return _json(self._answer(method, url, body, query), f"{method} {url}")

    def _answer(
        self, method: str, url: str, body: Mapping[str, Any] | None, query: Mapping[str, str | int]
    ) -> requests.Response:
        asked = f"{method} {url}"
        address = self._address(url) + (f"?{urlencode(query)}" if query else "")
        attempts = ATTEMPTS_MAX + (FRESH_ATTEMPTS if urlsplit(url).netloc in self._fresh else 0)
        for attempt in range(attempts):
            is_last = attempt == attempts - 1
            try:
                answer = self._session.request(method, address, json=body, timeout=CALL_TIMEOUT_SECONDS)
            except requests.RequestException as error:
                if is_last or method != "GET":
                    raise GoogleSilent(
                        f"{asked} was not answered ({type(error).__name__}): check the network, then try again."
                    ) from error
                self.pause(_backoff(attempt, None))
                continue
            if answer.ok:
                return answer
            refusal = _refusal(answer, asked)
            is_waking = refusal.is_api_off and urlsplit(url).netloc in self._fresh
            if is_last or not (is_waking or _is_repeatable(method, answer.status_code)):
                raise refusal
            self.pause(_backoff(attempt, answer.headers.get("Retry-After")))
        raise AssertionError("the last attempt returns or raises")

    def _address(self, url: str) -> str:
        return url if self._base is None else f"{self._base}/{url.removeprefix('https://')}"


def google_of(project: str, environment: Mapping[str, str] = os.environ) -> Google:
    """Return Google's APIs with this machine's credentials, or the stand-in that GOOGLE_APIS names.

    Raises NoCredentials.
    """
    if base := environment.get("GOOGLE_APIS"):
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = "Bearer stand-in"
        return Google(project, session, base.rstrip("/"), lambda seconds: _pause(min(seconds, STAND_IN_SECONDS)))
    return Google(project, _authorized_session(project))


class _WithCredentials:
    """Session with google-auth's credentials. Expired or revoked credentials are an error for the operator."""

    def __init__(self, session: Any, failure: type[Exception]) -> None:
        self._session = session
        self._failure = failure

    def request(self, method: str, url: str, *, json: Any, timeout: float) -> requests.Response:
        try:
            answer: requests.Response = self._session.request(method, url, json=json, timeout=timeout)
        except self._failure as error:
            raise NoCredentials from error
        return answer


def _authorized_session(project: str) -> Session:
    auth, errors, transport = map(import_module, ("google.auth", "google.auth.exceptions", AUTHORIZED_SESSION))
    try:
        credentials, _ = auth.default(scopes=SCOPES, quota_project_id=project)
    except errors.DefaultCredentialsError as error:
        raise NoCredentials from error
    return _WithCredentials(transport.AuthorizedSession(credentials), errors.GoogleAuthError)


def _is_repeatable(method: str, status: int) -> bool:
    if status == UNAVAILABLE:
        return method != "POST"
    return status == TOO_MANY or (method == "GET" and status in BROKEN)


def _backoff(attempt: int, asked: str | None) -> float:
    """Return the seconds to wait before the next attempt: as Google asked, else doubling, with chance."""
    if asked is not None and asked.isdigit():
        return min(float(asked), BACKOFF_SECONDS_MAX)
    return min(BACKOFF_SECONDS * 2.0**attempt, BACKOFF_SECONDS_MAX) * random.uniform(0.5, 1.0)


def _json(answer: requests.Response, asked: str) -> Json:
    if not answer.content.strip():
        return {}
    try:
        found = answer.json()
    except ValueError as error:
        raise GoogleSilent(f"{asked} was answered with text that is no JSON: try again.") from error
    if not isinstance(found, dict):
        raise GoogleSilent(f"{asked} was answered with JSON that is no object: try again.")
    return found


def _rows(answer: requests.Response, asked: str) -> list[Json]:
    try:
        found = answer.json()
    except ValueError as error:
        raise GoogleSilent(f"{asked} was answered with text that is no JSON: try again.") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise GoogleSilent(f"{asked} was answered with JSON that is no list of objects: try again.")
    return found


def _refusal(answer: requests.Response, asked: str) -> GoogleRefused:
    """Return the error of an answer, with the most exact reason that the answer gives."""
    try:
        error = answer.json()["error"]
        details = [each for each in error.get("details") or () if each.get("reason")]
        reasons = [each for each in error.get("errors") or () if each.get("reason")]
        reason = (details or [{"reason": error.get("status")}])[0]["reason"] or (reasons or [{}])[0].get("reason")
        message = str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        reason, message = None, answer.text[:UNREADABLE_CHARACTERS_MAX]
    return GoogleRefused(answer.status_code, str(reason or answer.reason or "error"), message, asked)


def _operation_address(asked: str, name: str) -> str:
    """Return the address of an operation: its name below the version in the address that started the operation."""
    if name.startswith("https://"):
        return name
    parts = urlsplit(asked)
    version = parts.path.split("/")[1]
    return f"https://{parts.netloc}/{version}/{name}"
