"""HTTP side of an Esplora-compatible API: time limits, size limits, and patience after 429.

Described at https://github.com/Blockstream/esplora/blob/master/API.md. Public servers answer 429 without Retry-After,
with a page of HTML or JSON as body, and ban callers who go on.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.kernel.clock import Clock
from shared.kernel.events import log
from shared.payments.chains.ports import ChainUnavailable, NetworkName

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 4.0
READ_SECONDS = 10.0
TOTAL_SECONDS = 20.0
"""Longest time of one call, however slowly the body trickles in."""
ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""A page of 25 transactions with large witnesses, written as JSON."""
BLOCK_BYTES_MAX = 4_000_000
"""Most bytes of a block, by consensus."""
PIECE_BYTES = 256 * 1024
PAUSE_SECONDS = 5.0
"""Pause after the first 429. Each further 429 in a row doubles the pause."""
PAUSE_SECONDS_MAX = 300.0
POLITE_SECONDS = 3_600.0
"""Time after a refusal in which answers that can change serve longer."""
REASON_LENGTH_MAX = 200
REFUSALS = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN})
"""Statuses of servers to which we talk too much; 403 after a ban."""
FAILURES_FROM = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EsploraAnswer:
    """EsploraAnswer with a status below 500, and no refusal to talk."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode(errors="replace").strip()

    @property
    def is_page(self) -> bool:
        """True if the body is a page for people: some proxy answered, and not the API."""
        return self.body.lstrip()[:1] == b"<"


class EsploraApi:
    """One Esplora-compatible server. Safe between threads: each thread has its own connections."""

    def __init__(self, *, network: NetworkName, url: str, clock: Clock) -> None:
        self._network = network
        self._url = url.rstrip("/")
        self._clock = clock
        self._local = threading.local()
        self._refusals = 0
        self._silent_until = 0.0
        self._polite_until = 0.0

    @property
    def is_limited(self) -> bool:
        """True for an hour after a refusal: the server is asked less often."""
        return self._clock.monotonic() < self._polite_until

    def unavailable(self, reason: str) -> ChainUnavailable:
        """Return the error for an answer that did not come, or cannot be right."""
        return ChainUnavailable(self._network, reason)

    def value(self, path: str) -> Any:
        """Return the JSON at a path, with fractions as Decimal; None if the server knows no such thing.

        Raises ChainUnavailable.
        """
        body = self.content(path, ANSWER_BYTES_MAX)
        if body is None:
            return None
        try:
            return json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise self.unavailable("unreadable") from None

    def word(self, path: str) -> str | None:
        """Return the plain text at a path; None if the server knows no such thing. Raises ChainUnavailable."""
        body = self.content(path, ANSWER_BYTES_MAX)
        return None if body is None else body.decode(errors="replace").strip()

    def content(self, path: str, bytes_max: int) -> bytes | None:
        """Return the bytes at a path; None if the server knows no such thing. Raises ChainUnavailable."""
        answer = self._ask("GET", path, bytes_max)
        if answer.status == HTTPStatus.NOT_FOUND and not answer.is_page:
            return None
        if answer.status != HTTPStatus.OK or answer.is_page:
            raise self.unavailable(f"status_{answer.status}")
        return answer.body

    def send(self, path: str, body: str) -> EsploraAnswer:
        """Send plain text, and return the answer. Raises ChainUnavailable; then the text may have arrived."""
        return self._ask("POST", path, ANSWER_BYTES_MAX, body.encode())

    def _ask(self, method: str, path: str, bytes_max: int, body: bytes | None = None) -> EsploraAnswer:
        """Send one request, and return the answer. Raises ChainUnavailable, without a request after a refusal."""
        if self._clock.monotonic() < self._silent_until:
            raise self.unavailable("rate_limited")
        with self._as_unavailable(path):
            response = self._session().request(
                method,
                f"{self._url}{path}",
                data=body,
                headers={"Accept-Encoding": "identity", **({"Content-Type": "text/plain"} if body else {})},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            with response:
                answer = EsploraAnswer(status=response.status_code, body=self._body(response, bytes_max))
                self._heed(answer.status, response.headers.get("Retry-After", ""))
        if answer.status >= FAILURES_FROM:
            raise self.unavailable(f"status_{answer.status}")
        return answer

    def _body(self, response: "requests.Response", bytes_max: int) -> bytes:
        """Return the body. Raises ChainUnavailable for a body that is too long, or takes too long.

        A packed body is not unpacked, since none was asked for: a small one could fill the memory.
        """
        deadline, pieces, size = self._clock.monotonic() + TOTAL_SECONDS, [], 0
        while piece := response.raw.read1(PIECE_BYTES, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                raise self.unavailable("too_long")
            if self._clock.monotonic() > deadline:
                raise self.unavailable("too_slow")
        return b"".join(pieces)

    def _heed(self, status: int, retry_after: str) -> None:
        """After a refusal keep silent for a while, longer each time. Raises ChainUnavailable for a refusal."""
        if status not in REFUSALS:
            self._refusals = 0
            return
        pause = min(PAUSE_SECONDS * 2**self._refusals, PAUSE_SECONDS_MAX)
        if retry_after.isdecimal():
            pause = min(max(pause, float(retry_after)), PAUSE_SECONDS_MAX)
        self._refusals = min(self._refusals + 1, 16)
        self._silent_until = self._clock.monotonic() + pause
        self._polite_until = self._clock.monotonic() + POLITE_SECONDS
        log("chain_rate_limited", "WARNING", network=self._network, status=status, seconds=int(pause))
        raise self.unavailable("rate_limited")

    @contextmanager
    def _as_unavailable(self, path: str) -> Iterator[None]:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (requests.RequestException, HTTPError, OSError) as error:
            kind = path.split("/")[1]
            log("chain_not_reached", "WARNING", network=self._network, call=kind, kind=type(error).__name__)
            slow = isinstance(error, requests.Timeout)
            raise self.unavailable("too_slow" if slow else "unreachable") from None

    def _session(self) -> "requests.Session":
        import requests

        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.trust_env = False
            self._local.session = session
        found: requests.Session = self._local.session
        return found
