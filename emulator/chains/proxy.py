"""Proxy before an EVM node: answers as geth does, or with one of the faults of a source.

`with ChainProxy(node.url) as source: source.fault = "stale"`; on a laptop `POST /__/fault {"fault": "stale"}`, with
"" for none. Faults: see FAULTS. `source.ways` takes abilities away: `overrides`, `canonical`, `batches`.
`source.calls` counts the HTTP requests, and `source.methods` names the methods of all calls.
"""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from emulator.chains.views import Backwards, Denying, Empty, Forked, Geth, Lying, RpcError, Stale
from emulator.ports import LOOPBACK

VIEWS: Mapping[str, type[Geth]] = {
    "": Geth,
    "stale": Stale,
    "backwards": Backwards,
    "forked": Forked,
    "empty": Empty,
    "lying": Lying,
    "denying": Denying,
}
SLOW, LIMITED, SILENT, BROKEN = "slow", "rate_limited", "silent", "broken"
FAULTS = (*(name for name in VIEWS if name), SLOW, LIMITED, SILENT, BROKEN)
SLOW_SECONDS = 0.15
SILENT_SECONDS = 20.0
NODE_SECONDS_MAX = 60
POLL_SECONDS = 0.05
CONTROL = "/__/fault"
WAYS = frozenset({"overrides", "canonical", "batches"})
INVALID = {"code": -32602, "message": "invalid argument"}


class _Handler(BaseHTTPRequestHandler):
    proxy: "ChainProxy"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CONTROL:
            self.proxy.fault = str(json.loads(body).get("fault", ""))
            self._answer(HTTPStatus.OK, b"{}")
            return
        status, answer = self.proxy.answered(body)
        if status is None:
            self.close_connection = True
            return
        self._answer(status, answer)

    def _answer(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        """End the connection, and the one to the node that this thread kept."""
        super().finish()
        self.proxy.hang_up()

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class ChainProxy:
    """Source of a network that may have a fault. Safe to share between threads."""

    def __init__(self, node_url: str, *, port: int = 0, salt: int = 0, held_seconds: float | None = None) -> None:
        """`held_seconds` replaces the time for which a slow or silent source holds an answer back."""
        self._node = urlsplit(node_url)
        self._salt = salt
        self._local = threading.local()
        self._kept: set[http.client.HTTPConnection] = set()
        self._view = Geth(self._ask, salt)
        self._fault = ""
        self._held_seconds = held_seconds
        self._ended = threading.Event()
        self.ways: frozenset[str] = WAYS
        self.calls = 0
        self.methods: Counter[str] = Counter()
        self._server = _Server((LOOPBACK, port), type("Handler", (_Handler,), {"proxy": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def fault(self) -> str:
        """Return the name of the present fault; "" for none."""
        return self._fault

    @fault.setter
    def fault(self, name: str) -> None:
        assert name in {"", *FAULTS}, f"known faults are {', '.join(FAULTS)}"
        self._view = VIEWS.get(name, Geth)(self._ask, self._salt)
        self._fault = name

    def answered(self, body: bytes) -> tuple[HTTPStatus | None, bytes]:
        """Return the answer to a request: the status, or None if the connection ends without an answer."""
        self.calls += 1
        if self._fault == SILENT:
            self._ended.wait(self._held_seconds or SILENT_SECONDS)
            return None, b""
        if self._fault == SLOW:
            self._ended.wait(self._held_seconds or SLOW_SECONDS)
        if self._fault == LIMITED:
            return HTTPStatus.TOO_MANY_REQUESTS, b"slow down"
        if self._fault == BROKEN:
            return HTTPStatus.OK, b"<html>Bad gateway</html>"
        asked = json.loads(body)
        if isinstance(asked, list) and "batches" not in self.ways:
            return HTTPStatus.OK, json.dumps({"jsonrpc": "2.0", "id": None, "error": INVALID}).encode()
        found = [self._one(each) for each in asked] if isinstance(asked, list) else self._one(asked)
        return HTTPStatus.OK, json.dumps(found).encode()

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], list(call.get("params") or [])
        self.methods[method] += 1
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        try:
            self._require_ways(method, params)
            return {**answer, "result": self._view.answer(method, params)}
        except RpcError as error:
            return {**answer, "error": dict(error.error)}

    def _require_ways(self, method: str, params: list[Any]) -> None:
        is_overridden = method == "eth_call" and len(params) > len(("call", "block"))
        is_canonical = any(isinstance(each, dict) and "requireCanonical" in each for each in params)
        if (is_overridden and "overrides" not in self.ways) or (is_canonical and "canonical" not in self.ways):
            raise RpcError(INVALID)

    def _ask(self, method: str, *params: Any) -> Any:
        """Return the node's result. Raises RpcError, also if the node is gone."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        try:
            answer = json.loads(self._posted(body))
        except (OSError, http.client.HTTPException):
            raise RpcError({"code": -32603, "message": "the node is gone"}) from None
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def _posted(self, body: str) -> bytes:
        connection = getattr(self._local, "kept", None)
        if connection is None:
            assert self._node.hostname is not None, "a node has an address"
            connection = http.client.HTTPConnection(self._node.hostname, self._node.port, timeout=NODE_SECONDS_MAX)
            self._local.kept = connection
            self._kept.add(connection)
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer: bytes = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise
        return answer

    def hang_up(self) -> None:
        """Close the connection to the node that this thread kept."""
        connection, self._local.kept = getattr(self._local, "kept", None), None
        if connection is not None:
            connection.close()
            self._kept.discard(connection)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the server. Answers that are held back end at once."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in tuple(self._kept):
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
