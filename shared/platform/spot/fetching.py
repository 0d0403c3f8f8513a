"""One small JSON answer of an exchange's public API: no redirect, no cookie, and a limit for size and time."""

import json
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from shared.payments.chains.prices import NoPrice

TIMEOUT_SECONDS = 3.0
BYTES_MAX = 64 * 1024
OK = 200
HEADERS = {"Accept": "application/json", "User-Agent": "integrated-credits"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotAnswer:
    """Answer of an exchange: the HTTP status, and the JSON with all numbers as their texts."""

    status: int
    body: Any


def fetch_json(base: str, path: str, title: str) -> SpotAnswer:
    """Return the answer to GET `path`. Numbers stay decimal texts, so that no float touches a price.

    Raises NoPrice if the exchange, named by `title`, does not answer in time, or not with JSON.
    """
    parts = urlsplit(base)
    connection = _connection(parts.scheme, parts.netloc)
    try:
        connection.request("GET", f"{parts.path}{path}", headers=HEADERS)
        answer = connection.getresponse()
        status, body = answer.status, _body(answer, time.monotonic() + TIMEOUT_SECONDS)
    except (OSError, HTTPException):
        raise NoPrice(f"{title} does not answer") from None
    finally:
        connection.close()
    if len(body) > BYTES_MAX:
        raise NoPrice(f"{title}'s answer cannot be read")
    try:
        return SpotAnswer(status=status, body=json.loads(body, parse_float=str, parse_int=str, parse_constant=str))
    except (ValueError, RecursionError):
        raise NoPrice(f"{title}'s answer cannot be read") from None


def _body(answer: HTTPResponse, deadline: float) -> bytes:
    """Return the body, up to one byte more than BYTES_MAX. Raises TimeoutError for a body that comes too slowly."""
    body = b""
    while len(body) <= BYTES_MAX and (part := answer.read1(BYTES_MAX)):
        body += part
        if time.monotonic() > deadline:
            raise TimeoutError
    return body


def _connection(scheme: str, host: str) -> HTTPConnection:
    if scheme == "http":  # a stand-in on this machine
        return HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    return HTTPSConnection(host, timeout=TIMEOUT_SECONDS, context=context)
