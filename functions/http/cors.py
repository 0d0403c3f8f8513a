"""Origins of pages that may call from a browser: by setting, and on a laptop every port of localhost."""

import re
from collections.abc import Iterable

from werkzeug.datastructures import Headers

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = (
    "Authorization, Api-Key, Content-Type, Idempotency-Key, If-Match, User-Agent, X-Client-Request-Id, "
    "X-Firebase-AppCheck, X-Reason, X-Request-Id, PAYMENT-SIGNATURE"
)
OF_CLIENTS = re.compile(r"(x-stainless|openai|ai-sdk|x-ai-sdk)-[a-z0-9-]{1,40}|http-referer|x-title", re.ASCII)
"""Headers by which SDKs of OpenAI, Vercel and OpenRouter describe themselves; their names differ between versions."""
CLIENT_HEADERS_MAX = 20
EXPOSED_HEADERS = (
    "ETag, X-Request-Id, X-Credits-Cost, X-Credits-Available, X-Dropped-Fields, Retry-After, X-Should-Retry, "
    "PAYMENT-REQUIRED, PAYMENT-RESPONSE"
)
PREFLIGHT_SECONDS = 3_600


class Origins:
    """Web origins whose pages may call the API; `http://localhost:*` means every port."""

    def __init__(self, patterns: Iterable[str]) -> None:
        ports = [re.escape(pattern).replace(r":\*", r"(:\d{1,5})?") for pattern in patterns]
        self._pattern = re.compile("|".join(ports) or r"(?!)", re.ASCII)

    def is_welcome(self, origin: str) -> bool:
        """Return True if pages of this origin may read our answers."""
        return self._pattern.fullmatch(origin) is not None

    def allow(self, headers: Headers, origin: str | None) -> None:
        """Add the headers to a response that let a page of this origin read the response."""
        headers.add("Vary", "Origin")
        if origin is not None and self.is_welcome(origin):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS

    def allow_preflight(self, headers: Headers, origin: str, asked: str) -> None:
        """Allow the browser our methods and headers; `asked` are the headers that the browser wants to send."""
        if self.is_welcome(origin):
            names = [name.strip() for name in asked.lower().split(",")]
            own = [name for name in names if OF_CLIENTS.fullmatch(name)][:CLIENT_HEADERS_MAX]
            headers["Access-Control-Allow-Methods"] = METHODS
            headers["Access-Control-Allow-Headers"] = ", ".join([REQUEST_HEADERS, *own])
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
