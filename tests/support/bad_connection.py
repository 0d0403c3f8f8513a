"""A connection with faults in a given order: each request meets the next one, later requests pass to the server."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import requests

Fault = Literal["busy", "cut"]
"""`busy`: 429 with `Retry-After` instead of the request. `cut`: the request, and the first bytes of its answer."""
PASSED_ON = ("Authorization", "Content-Type", "Idempotency-Key")
SECONDS_MAX = 300
CUT_AFTER_EVENTS = 2


@dataclass(slots=True)
class BadConnection:
    """`keys` has the idempotency key of each request, in order."""

    server: str
    faults: list[Fault]
    url: str = ""
    keys: list[str | None] = field(default_factory=list)


@contextlib.contextmanager
def bad_connection(server: str, *faults: Fault) -> Iterator[BadConnection]:
    connection = BadConnection(server=server, faults=list(faults))
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(connection))
    connection.url = f"http://127.0.0.1:{proxy.server_port}"
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield connection
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def _handler(connection: BadConnection) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            connection.keys.append(self.headers.get("Idempotency-Key"))
            fault = connection.faults.pop(0) if connection.faults else None
            if fault == "busy":
                self._say(429, b'{"code": "rate_limited", "params": {}, "detail": "Too many requests."}')
            else:
                self._pass_on(body, is_cut=fault == "cut")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _pass_on(self, body: bytes, *, is_cut: bool) -> None:
            self.close_connection = True
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            with requests.post(
                connection.server + self.path, data=body, headers=headers, stream=True, timeout=SECONDS_MAX
            ) as answer:
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Connection", "close")
                self.end_headers()
                for number, line in enumerate(answer.iter_lines()):
                    if is_cut and number >= CUT_AFTER_EVENTS * 2:
                        return
                    self.wfile.write(line + b"\n")
                    self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    return Handler
