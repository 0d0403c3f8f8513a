"""HTTP/1.1 of the stand-in provider: JSON, server-sent events, pauses, and noticing a client that goes away."""

import contextlib
import json
import select
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

Json = dict[str, Any]

GATE_SECONDS_MAX = 60.0
GATE_POLL_SECONDS = 0.002


class ClientGone(Exception):
    """The client hung up."""


class Wire(BaseHTTPRequestHandler):
    """Connection that sends bytes. Other parts decide on the bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: the journal does."""

    def pause(self, delay_ms: float) -> None:
        """Wait. Raises ClientGone if the client goes away meanwhile."""
        readable, _, _ = select.select([self.connection], [], [], delay_ms / 1000)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ClientGone

    def wait_at(self, gate: threading.Semaphore) -> None:
        """Wait until somebody opens the gate. Raises ClientGone if the client goes away first."""
        deadline = time.monotonic() + GATE_SECONDS_MAX
        while not gate.acquire(timeout=GATE_POLL_SECONDS) and time.monotonic() < deadline:
            self.pause(0)
        self.pause(0)

    def open_stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, data: Json, name: str = "") -> None:
        head = f"event: {name}\n" if name else ""
        self.send_chunk(f"{head}data: {json.dumps(data)}\n\n".encode())

    def send_chunk(self, line: bytes) -> None:
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def close_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def error(self, error: Json) -> None:
        detail = {"type": "invalid_request_error", "param": None, "code": None, "message": "refused", **error}
        self.json({"error": detail}, status=int(detail.pop("status")))

    def json(self, answer: Json, status: int = HTTPStatus.OK) -> None:
        self.send_bytes(json.dumps(answer).encode(), "application/json", status)

    def send_bytes(self, payload: bytes, content_type: str, status: int = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def cut(self) -> None:
        """End the connection in the middle of an answer."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
