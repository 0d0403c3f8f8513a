"""Small answers over HTTP on a server of this machine: the limits hold, and nothing is followed."""

import socketserver
import threading
from collections.abc import Iterator, Sequence
from http.client import HTTPException

import pytest

from shared.kernel.small_answers import SmallAnswer, small_answer

PAUSE_SECONDS = 0.05
DRIPS = 40
SECONDS = 0.5
"""Time for an answer: less than the drips take, and more than each pause."""
BYTES_MAX = 100
OK = b"HTTP/1.1 200 OK\r\n"


class _Server(socketserver.ThreadingTCPServer):
    """Server that sends these parts to everybody, with pauses between them."""

    daemon_threads = True
    parts: Sequence[bytes] = ()
    asked = b""


class _Sender(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.asked = self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        try:
            for part in server.parts:
                self.wfile.write(part)
                threading.Event().wait(PAUSE_SECONDS if len(server.parts) > 1 else 0)
        except OSError:
            pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Sender) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def asked(server: _Server, *parts: bytes, path: str = "/") -> SmallAnswer:
    server.parts = parts
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    return small_answer(url, {}, seconds=SECONDS, bytes_max=BYTES_MAX)


def test_answer_is_told_with_its_status(server):
    answer = asked(server, OK + b"Content-Length: 2\r\n\r\nhi", path="/a?b=c")

    assert answer == SmallAnswer(status=200, body=b"hi")
    assert server.asked == b"GET /a?b=c HTTP/1.1\r\n"


def test_redirect_is_an_answer(server):
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example\r\nContent-Length: 0\r\n\r\n"

    assert asked(server, moved) == SmallAnswer(status=302, body=b"")


def test_large_body_is_read_one_byte_beyond_the_limit(server):
    answer = asked(server, OK + b"Content-Length: 9000\r\n\r\n" + b"x" * 9_000)

    assert len(answer.body) == BYTES_MAX + 1


def test_headers_that_drip_end_with_the_time(server):
    with pytest.raises(TimeoutError):
        asked(server, OK, *[b"X: y\r\n"] * DRIPS, b"Content-Length: 2\r\n\r\nhi")


def test_status_that_drips_ends_with_the_time(server):
    with pytest.raises(TimeoutError):
        asked(server, *[b"x"] * DRIPS, b"\r\n")


def test_body_that_drips_ends_with_the_time(server):
    with pytest.raises(TimeoutError):
        asked(server, OK + b"Content-Length: 40\r\n\r\n", *[b"x"] * DRIPS)


def test_nonsense_is_no_answer(server):
    with pytest.raises(HTTPException):
        asked(server, b"nonsense\r\n\r\n")


def test_nobody_there_is_no_answer():
    with pytest.raises(OSError, match="refused"):
        small_answer("http://127.0.0.1:1/", {}, seconds=SECONDS, bytes_max=BYTES_MAX)
