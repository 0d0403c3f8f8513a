"""Facilitator over HTTP: `POST {base}/settle`, no redirect, and a limit for size and time.

https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v2.md
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from http.client import HTTPException
from typing import Any

from shared.kernel.small_answers import SmallAnswer, small_answer
from shared.payments.chains.x402 import EXACT, VERSION
from shared.payments.facilitator import FacilitatorAnswer, FacilitatorUnavailable

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
        answer = self._asked("/supported")
        try:
            kinds = json.loads(answer.body)["kinds"]
            if answer.status != OK:
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
        answer = self._asked("/settle", json.dumps(asked).encode())
        try:
            return _answer_in(answer.status, json.loads(answer.body))
        except (ValueError, RecursionError):
            raise FacilitatorUnavailable from None

    def _written(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload with the checksums of its addresses."""
        inner = payload["payload"]
        signed = inner["authorization"]
        plain = {name: bytes.fromhex(signed[name].removeprefix("0x")) for name in ("from", "to")}
        written = {name: self._checksummed(address) for name, address in plain.items()}
        return {**payload, "payload": {**inner, "authorization": {**signed, **written}}}

    def _asked(self, path: str, content: bytes | None = None) -> SmallAnswer:
        """Return the answer to a GET, or to a POST of `content`. Raises FacilitatorUnavailable."""
        try:
            answer = small_answer(
                f"{self._base}{path}", HEADERS, seconds=ANSWER_SECONDS_MAX, bytes_max=BYTES_MAX, content=content
            )
        except (OSError, HTTPException, ValueError):
            raise FacilitatorUnavailable from None
        if len(answer.body) > BYTES_MAX:
            raise FacilitatorUnavailable
        return answer


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
