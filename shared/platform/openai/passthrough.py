"""OpenAI's protocol as it is: JSON in, JSON or server-sent events out, over connections that can be aborted."""

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from shared.ai.end_user import told
from shared.ai.passthrough import Json, RequestRefused
from shared.ai.ports import WHOLE_SECONDS_MAX, UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.platform.openai.exchange import Exchange

if TYPE_CHECKING:
    import httpx2

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""An answer that is not streamed is read whole; the largest are embeddings of many texts."""
EVENT_BYTES_MAX = 8 * 1024 * 1024
STATUS_OF_THE_REQUEST = frozenset({400, 413, 415, 422})
"""Refusals that are about the request, and so for whoever made it to read; others are between us and the provider."""
STATUS_RETRY = frozenset({408, 409, 425, 429})
END = b"[DONE]"
EMBEDDINGS = "/embeddings"
"""The path whose requests know the older field for an end user only."""


class OpenAIPassthrough:
    """Any OpenAI-compatible upstream, without its SDK: what it says is handed on, not understood.

    `end_user_fields` tell the provider who the end user is.
    """

    def __init__(self, *, base_url: str, api_key: str, end_user_fields: tuple[str, ...] = ()) -> None:
        self._end_user_fields = end_user_fields
        self._base_url = base_url
        self._api_key = api_key
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def ask(self, path: str, body: Json, end_user: str = "") -> Exchange[Json]:
        """See `Passthrough.ask`."""
        sent = told(body, self._end_user_fields if path != EMBEDDINGS else self._end_user_fields[:1], end_user)
        return Exchange(lambda: self._read(path, sent))

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _read(self, path: str, body: Json) -> Generator[Json, None, None]:
        import httpx2

        from shared.platform.openai.network import hurry, is_late, is_sent

        model = str(body.get("model"))
        if not body.get("stream"):
            hurry(WHOLE_SECONDS_MAX)
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        content = json.dumps(body).encode()
        try:
            with self._connected().stream("POST", self._base_url + path, content=content, headers=headers) as response:
                if response.status_code != HTTPStatus.OK:
                    raise _refusal(response, model)
                if response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    yield from _streamed(response.iter_bytes(), model)
                else:
                    yield _object(_whole(response.iter_bytes()))
        except (httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            # Not reached, cut off, or something that is not JSON.
            log("upstream_failed", "WARNING", kind=type(error).__name__, model=model)
            raise (UpstreamTimedOut() if is_late() else UpstreamUnavailable(has_begun=is_sent())) from None

    def _connected(self) -> "httpx2.Client":
        """One client for all calls, so that connections are kept alive between them."""
        with self._lock:
            if self._client is None:
                from shared.platform.openai.network import http_client

                self._client = http_client()
            return self._client


def _refusal(response: Any, model: str) -> DomainError:
    status = response.status_code
    log("upstream_refused", "WARNING", status=status, model=model)
    if status in STATUS_OF_THE_REQUEST:
        try:
            told = _object(_whole(response.iter_bytes())).get("error")
        except ValueError:
            told = None
        return RequestRefused(told if isinstance(told, dict) else {})
    is_refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in STATUS_RETRY
    return UpstreamRejected() if is_refused else UpstreamUnavailable()


def _streamed(parts: Iterable[bytes], model: str) -> Iterator[Json]:
    for data in event_data(parts):
        if data == END:
            return
        event = _object(data)
        if event.get("error") and "choices" not in event and "type" not in event:
            log("upstream_failed", "WARNING", kind="error_event", model=model)
            raise UpstreamUnavailable(has_begun=True)
        yield event


def event_data(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each server-sent event (WHATWG HTML, 9.2.6), however its bytes were cut. Raises ValueError."""
    begun, size, lines = list[bytes](), 0, list[bytes]()
    for part in parts:
        first, *others = part.split(b"\n")
        begun.append(first)
        size += len(first)
        if others:
            whole = [b"".join(begun), *others[:-1]]
            begun, size = [others[-1]], len(others[-1])
        else:
            whole = []
        if size > EVENT_BYTES_MAX:
            raise ValueError("an event is too large")
        for line in (each.removesuffix(b"\r") for each in whole):
            if line.startswith(b"data:"):
                lines.append(line[5:].removeprefix(b" "))
            elif not line and lines:
                yield b"\n".join(lines)
                lines = []


def _whole(parts: Iterable[bytes]) -> bytes:
    read, size = list[bytes](), 0
    for part in parts:
        read.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too large")
    return b"".join(read)


def _object(data: bytes) -> dict[str, Any]:
    value = orjson.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  # what it is decides nothing: it is no answer
    return value
