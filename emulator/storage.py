"""Cloud Storage on a laptop: the emulator of `gcp-storage-emulator` in this process, with the one rule it lacks.

It ignores `ifGenerationMatch=0`, by which an upload says that nothing may be there yet; here that is kept, and requests
come one at a time, so that looking and writing are one act.
"""

import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

from emulator.ports import LOOPBACK

logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
logging.getLogger("api.object").setLevel(logging.CRITICAL)


class _ExistsError(Exception):
    """There is an object of this name."""


class _Storage(Storage):  # type: ignore[misc]  # it ships no types
    """Refuses to write over an object when the request says so."""

    must_be_absent = False

    def create_file(self, bucket_name: str, file_name: str, *rest: Any, **named: Any) -> None:
        if self.must_be_absent and file_name in self.objects.get(bucket_name, {}):
            raise _ExistsError
        super().create_file(bucket_name, file_name, *rest, **named)


class _Handler(RequestHandler):  # type: ignore[misc]  # it ships no types
    storage: _Storage
    turn: threading.Lock

    def __init__(self, *arguments: Any) -> None:
        BaseHTTPRequestHandler.__init__(self, *arguments)  # the base class asks for the storage; ours has it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Say nothing."""

    def do_GET(self) -> None:  # noqa: N802  # the base class names it so
        with self.turn:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802  # the base class names it so
        with self.turn:
            self.storage.must_be_absent = parse_qs(urlsplit(self.path).query).get("ifGenerationMatch") == ["0"]
            try:
                super().do_POST()
            except _ExistsError:
                self._refuse()

    def do_DELETE(self) -> None:  # noqa: N802  # the base class names it so
        with self.turn:
            super().do_DELETE()

    def _refuse(self) -> None:
        payload = b'{"error": {"code": 412, "message": "At least one of the pre-conditions did not hold."}}'
        self.send_response(HTTPStatus.PRECONDITION_FAILED)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class StorageEmulator:
    """Emulator of Cloud Storage: `with StorageEmulator() as storage: … storage.url`.

    Stored files go with the emulator.
    """

    def __init__(self, *, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"storage": _Storage(use_memory_fs=True), "turn": threading.Lock()})
        self._server = _Server((LOOPBACK, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="storage", daemon=True)

    @property
    def url(self) -> str:
        """Return the address with a scheme, in the form of `STORAGE_EMULATOR_HOST`."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
