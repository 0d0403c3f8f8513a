"""Workers of the emulator are started by requests that are there at the same time."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from emulator.ports import LOOPBACK
from emulator.warming import WORKERS, warmed

SECONDS_MAX = 30


def test_as_many_requests_are_open_at_once_as_workers_are_wanted():
    together, paths = threading.Barrier(WORKERS), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            together.wait(SECONDS_MAX)
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with warmed(f"http://{LOOPBACK}:{server.server_port}"):
        pass
    server.shutdown()
    server.server_close()

    assert paths == ["/v1/monitoring/health"] * WORKERS


def test_nobody_hears_of_workers_that_do_not_start():
    with warmed(f"http://{LOOPBACK}:1"):
        pass
