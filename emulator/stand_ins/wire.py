"""HTTP/1.1 on loopback for the stand-ins: requests and answers as values, connections kept alive, cut on command."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from emulator.ports import LOOPBACK

BODY_BYTES_MAX = 1 << 20
CHUNK_LINE_BYTES_MAX = 1 << 10
BACKLOG = 512
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request of a client. Header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def asked(self) -> dict[str, str]:
        """Return the query's parameters. Of a repeated name, the last counts."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer to a request. `kind` is the content type. `is_replay`: the same key was answered so before."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_replay: bool = False


def copied(value: Json) -> Json:
    """Return a copy that shares nothing with the original."""
    copy: Json = orjson.loads(orjson.dumps(value))
    return copy


def json_answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=headers or {})


def page_answer(html: str, *, status: int = 200) -> Answer:
    """Return a page that no browser may keep, since the page changes."""
    return Answer(
        status=status, body=html.encode(), kind="text/html; charset=utf-8", headers={"Cache-Control": "no-store"}
    )


def redirect(url: str) -> Answer:
    return Answer(status=303, kind="text/plain", headers={"Location": url, "Cache-Control": "no-store"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # headers and body leave together
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: the journal does."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
        )
        answer = self.server.serve(request)
        if answer is None:
            self._reset()
        else:
            self._say(answer)

    def _body(self) -> bytes:
        """Return the body, sent whole or in chunks, up to the server's limit."""
        limit = self.server.body_bytes_max
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), limit))
        body = bytearray()
        while size := int(self.rfile.readline(CHUNK_LINE_BYTES_MAX).split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline(CHUNK_LINE_BYTES_MAX)
            if len(body) > limit:
                break
        self.rfile.readline(CHUNK_LINE_BYTES_MAX)
        return bytes(body[:limit])

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        """End the connection without an answer, like a broken network."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # as the base class looks for them


class Server(ThreadingHTTPServer):
    """Server with one thread for each connection. `stop` also ends the open connections."""

    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(
        self,
        port: int,
        serve: Callable[[Request], Answer | None],
        *,
        name: str,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.body_bytes_max = body_bytes_max
        self.serve = serve
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name=name)
        self._thread.daemon = True

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(RESET_ON_CLOSE))
        if linger == RESET_ON_CLOSE:
            self.close_request(request)  # at once: a shutdown first would end it politely
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore an error of a client that went away. Print any other error, which is our own."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
