"""One small JSON answer of an exchange's public API: no redirect, no cookie, and a limit for size and time."""

import json
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from shared.kernel.small_answers import small_answer
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
    try:
        answer = small_answer(f"{base}{path}", HEADERS, seconds=TIMEOUT_SECONDS, bytes_max=BYTES_MAX)
    except (OSError, HTTPException):
        raise NoPrice(f"{title} does not answer") from None
    if len(answer.body) > BYTES_MAX:
        raise NoPrice(f"{title}'s answer cannot be read")
    try:
        return SpotAnswer(
            status=answer.status, body=json.loads(answer.body, parse_float=str, parse_int=str, parse_constant=str)
        )
    except (ValueError, RecursionError):
        raise NoPrice(f"{title}'s answer cannot be read") from None
