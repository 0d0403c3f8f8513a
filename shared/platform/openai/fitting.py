"""Adjustment of requests to one upstream: fields that the profile, or a refusal, marks as unknown there."""

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from shared.ai.models.profiles import LIMIT_FIELDS, UpstreamProfile
from shared.ai.openai.passthrough import Json

ADDED_HERE = ("stream_options", "user", "safety_identifier", "store", "response_format", "include")
"""Fields that this backend adds, and that answers do not depend on. Only these fields are ever left out."""
CHAT = "/chat/completions"
IMAGES = "/images/generations"
MODELS_MAX = 10_000
"""Number of models of an upstream for which the name of the limit is remembered."""


class Fitting:
    """Request fields that one upstream accepts, by its profile and its refusals. Safe to share between threads."""

    def __init__(self, profile: UpstreamProfile) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._refused: set[tuple[str, str]] = set()
        self._limits: dict[str, str] = {}

    def fitted(self, path: str, body: Json) -> dict[str, Any]:
        """Return a request as this upstream accepts requests, as far as known."""
        with self._lock:
            refused = {name for where, name in self._refused if where == path}
            limit = self._limits.get(str(body.get("model")))
        sent = {name: value for name, value in body.items() if name not in refused}
        if not self._profile.knows_stream_options:
            sent.pop("stream_options", None)
        return _limited(sent, limit or self._profile.limit_field) if path == CHAT else sent

    def without(self, path: str, sent: Json, words: object) -> dict[str, Any] | None:
        """Return the request without the fields that a refusal names; None if the refusal names none of our fields."""
        named = {name for name in (*ADDED_HERE, *LIMIT_FIELDS) if name in sent and _is_named(name, words)}
        if path != IMAGES:
            named.discard("response_format")
        if not named:
            return None
        kept = {name: value for name, value in sent.items() if name not in named or name in LIMIT_FIELDS}
        limits = [name for name in LIMIT_FIELDS if name in named]
        return _limited(kept, _other(limits[0])) if limits and path == CHAT else (kept if kept != sent else None)

    def remember(self, path: str, sent: Json, taken: Json) -> None:
        """Remember the difference between a refused request and an accepted request."""
        with self._lock:
            self._refused |= {(path, name) for name in ADDED_HERE if name in sent and name not in taken}
            limit = next((name for name in LIMIT_FIELDS if name in taken), None)
            if limit is not None and limit not in sent and len(self._limits) < MODELS_MAX:
                self._limits[str(taken.get("model"))] = limit


def _limited(body: Json, name: str | None) -> dict[str, Any]:
    """Return the body with its limit under this name; None keeps the names in the body."""
    limits = [body[each] for each in LIMIT_FIELDS if isinstance(body.get(each), int)]
    if name is None or not limits:
        return dict(body)
    return {**{n: v for n, v in body.items() if n not in LIMIT_FIELDS}, name: min(limits)}


def _other(limit: str) -> str:
    return LIMIT_FIELDS[1 - LIMIT_FIELDS.index(limit)]


def _is_named(name: str, words: object) -> bool:
    """Return True if a refusal names this field: as `param`, as `loc`, or in a text."""
    quoted = re.compile(rf"""(?:['"`\[(]|: ){name}\b""")
    is_word = re.compile(rf"\b{name}\b") if "_" in name else quoted
    return any(text == name if key in {"param", "loc"} else is_word.search(text) for key, text in _texts(words))


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a JSON value, with the name of the member that holds the text."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, key)
