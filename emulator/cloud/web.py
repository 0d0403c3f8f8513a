"""Calls to a project's own addresses: its functions, and Firebase Auth as an app sees it. No credentials are added."""

import json
import os
from collections.abc import Mapping
from typing import Any

import requests

CALL_SECONDS_MAX = 120
DETAIL_CHARACTERS_MAX = 200


class Web:
    """HTTP without Google credentials. `base` leads all addresses to a stand-in, as in `Google`."""

    def __init__(self, base: str | None = None) -> None:
        self._base = base
        self._session = requests.Session()
        if base is not None:
            self._session.trust_env = False

    def call(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send JSON. Return the status and the answered object; status 0 without an answer."""
        status, text = self._send(method, url, {"json": body}, headers or {})
        return status, _object(text)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Send these bytes as JSON, and return the answered object; empty without such an answer."""
        return _object(self._send("POST", url, {"data": body}, {"Content-Type": "application/json", **headers})[1])

    def text(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return the status and the answered text; status 0 without an answer."""
        return self._send(method, url, {}, headers)

    def _send(self, method: str, url: str, content: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, str]:
        address = url if self._base is None else f"{self._base}/{url.removeprefix('https://')}"
        try:
            answer = self._session.request(
                method, address, headers=dict(headers), timeout=CALL_SECONDS_MAX, allow_redirects=False, **content
            )
        except requests.RequestException:
            return 0, ""
        answer.encoding = "utf-8"
        return answer.status_code, answer.text


def _object(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {"detail": text[:DETAIL_CHARACTERS_MAX]} if text else {}
    return told if isinstance(told, dict) else {}


def web_of(environment: Mapping[str, str] = os.environ) -> Web:
    """Return the web, or the stand-in that GOOGLE_APIS names."""
    base = environment.get("GOOGLE_APIS")
    return Web(base.rstrip("/") if base else None)
