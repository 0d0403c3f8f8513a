"""Which pages may call from a browser: origins by setting; on a laptop, every port of localhost."""

import re
from collections.abc import Iterable

from werkzeug.datastructures import Headers

METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Firebase-AppCheck, X-Request-Id"
EXPOSED_HEADERS = "X-Request-Id, X-Credits-Cost, X-Credits-Available, Retry-After"
PREFLIGHT_SECONDS = 3_600


class Origins:
    """The origins that are welcome; `http://localhost:*` means every port."""

    def __init__(self, patterns: Iterable[str]) -> None:
        ports = [re.escape(pattern).replace(r":\*", r"(:\d{1,5})?") for pattern in patterns]
        self._pattern = re.compile("|".join(ports) or r"(?!)", re.ASCII)

    def is_welcome(self, origin: str) -> bool:
        """Whether pages of this origin may read our answers."""
        return self._pattern.fullmatch(origin) is not None

    def allow(self, headers: Headers, origin: str | None) -> None:
        """Tell the browser, on any response."""
        headers.add("Vary", "Origin")
        if origin is not None and self.is_welcome(origin):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS

    def allow_preflight(self, headers: Headers, origin: str) -> None:
        """Tell the browser what it may send."""
        if self.is_welcome(origin):
            headers["Access-Control-Allow-Methods"] = METHODS
            headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
