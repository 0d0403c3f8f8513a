"""Facilitator over HTTP: `POST {base}/settle`, no redirect, and a limit for size and time.

https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from shared.payments.chains.x402 import EXACT, VERSION
from shared.payments.facilitator import FacilitatorAnswer, FacilitatorUnavailable

CONNECT_SECONDS_MAX = 15.0
ANSWER_SECONDS_MAX = 20.0
BYTES_MAX = 64 * 1024
REFUSED_FROM, REFUSED_BELOW = 400, 500
OK = 200
TOO_MANY = 429
REASON_CHARACTERS_MAX = 100
HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
PENDING = "settlement_pending"
HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "integrated-credits"}


class HttpFacilitator:
    """Facilitator at an address; see `Facilitator`. Safe to share between threads.

    `checksummed` writes an address with its checksum (EIP-55): libraries of facilitators refuse other forms.
    """

    def __init__(self, base: str, checksummed: Callable[[bytes], str]) -> None:
        self._base = base.rstrip("/")
        self._checksummed = checksummed

    def networks(self) -> Collection[str]:
        """Return the networks on which the facilitator settles; see `Facilitator.networks`."""
        status, body = self._asked("GET", "/supported")
        try:
            kinds = json.loads(body)["kinds"]
            if status != OK:
                raise ValueError("no answer")
            exact = (kind for kind in kinds if kind["x402Version"] == VERSION and kind["scheme"] == EXACT)
            return frozenset(str(kind["network"]) for kind in exact)
        except (ValueError, LookupError, TypeError, RecursionError):
            raise FacilitatorUnavailable from None

    def settle(self, payload: Mapping[str, Any], requirements: Mapping[str, Any]) -> FacilitatorAnswer:
        """Bring a signed authorization to the chain; see `Facilitator.settle`."""
        asked = {
            "x402Version": VERSION,
            "paymentPayload": self._written(payload),
            "paymentRequirements": requirements,
        }
        status, body = self._asked("POST", "/settle", json.dumps(asked).encode())
        try:
            return _answer_in(status, json.loads(body))
        except (ValueError, RecursionError):
            raise FacilitatorUnavailable from None

    def _written(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload with the checksums of its addresses."""
        inner = payload["payload"]
        signed = inner["authorization"]
        plain = {name: bytes.fromhex(signed[name].removeprefix("0x")) for name in ("from", "to")}
        written = {name: self._checksummed(address) for name, address in plain.items()}
        return {**payload, "payload": {**inner, "authorization": {**signed, **written}}}

    def _asked(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        parts = urlsplit(self._base)
        connection = _connection(parts.scheme, parts.netloc)
        try:
            connection.request(method, f"{parts.path}{path}", body=body, headers=HEADERS)
            answer = connection.getresponse()
            return answer.status, _body(answer, time.monotonic() + ANSWER_SECONDS_MAX)
        except (OSError, HTTPException, ValueError):
            raise FacilitatorUnavailable from None
        finally:
            connection.close()


def _answer_in(status: int, told: Any) -> FacilitatorAnswer:
    """Return the answer in a body. Raises ValueError for a body without an answer."""
    is_answer = isinstance(told, dict) and isinstance(told.get("success"), bool)
    if not is_answer or not (status == OK or (REFUSED_FROM <= status < REFUSED_BELOW and status != TOO_MANY)):
        raise ValueError("no answer")
    transaction, reason = told.get("transaction"), told.get("errorReason")
    is_settled = told["success"] and status == OK
    known = reason if isinstance(reason, str) and reason else "refused"
    return FacilitatorAnswer(
        is_settled=is_settled,
        reason="" if is_settled else known[:REASON_CHARACTERS_MAX],
        transaction=transaction if isinstance(transaction, str) and HASH.fullmatch(transaction) else "",
        is_pending=not is_settled and known == PENDING,
    )


def _body(answer: HTTPResponse, deadline: float) -> bytes:
    """Return the body. Raises TimeoutError for a body that comes too slowly, and ValueError for a large one."""
    body = b""
    while part := answer.read1(BYTES_MAX):
        body += part
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(body) > BYTES_MAX:
            raise ValueError("too large")
    return body


def _connection(scheme: str, host: str) -> HTTPConnection:
    if scheme == "http":  # a stand-in on this machine
        return HTTPConnection(host, timeout=CONNECT_SECONDS_MAX)
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    return HTTPSConnection(host, timeout=CONNECT_SECONDS_MAX, context=context)
