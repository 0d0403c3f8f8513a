"""Cloud Storage on a laptop: the emulator of `gcp-storage-emulator` in this process, with the two rules it lacks.

It ignores `ifGenerationMatch=0`, by which an upload says that nothing may be there yet; here that is kept, and requests
come one at a time, so that looking and writing are one act. It knows no retention: here a bucket whose name ends in
`-anchors` has a locked retention policy that never ends, so that no object there is overwritten or deleted.
"""

import json
import logging
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

from emulator.ports import LOOPBACK

logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
logging.getLogger("api.object").setLevel(logging.CRITICAL)


RETAINED = "The object is subject to the bucket's retention policy and cannot be deleted or overwritten."
LOCKED = "-anchors"
"""Ending of the names of buckets with a locked retention policy."""


class _ExistsError(Exception):
    """There is an object of this name."""


class _RetainedError(Exception):
    """There is an object of this name, and the bucket's retention policy keeps it."""


class _Storage(Storage):  # type: ignore[misc]  # it ships no types
    """Refuses to write over an object when the request says so."""

    must_be_absent = False

    def create_file(self, bucket_name: str, file_name: str, *rest: Any, **named: Any) -> None:
        if file_name in self.objects.get(bucket_name, {}):
            if self.must_be_absent:
                raise _ExistsError
            if bucket_name.endswith(LOCKED):
                raise _RetainedError
        super().create_file(bucket_name, file_name, *rest, **named)

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        if bucket_name.endswith(LOCKED) and file_name in self.objects.get(bucket_name, {}):
            raise _RetainedError
        super().delete_file(bucket_name, file_name)

    def delete_bucket(self, bucket_name: str) -> None:
        if bucket_name.endswith(LOCKED) and self.objects.get(bucket_name):
            raise _RetainedError
        super().delete_bucket(bucket_name)


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
            self._keeping_rules(super().do_POST)

    def do_PUT(self) -> None:  # noqa: N802  # the base class names it so
        with self.turn:
            self._keeping_rules(super().do_PUT)

    def do_DELETE(self) -> None:  # noqa: N802  # the base class names it so
        with self.turn:
            self._keeping_rules(super().do_DELETE)

    def _keeping_rules(self, act: Callable[[], None]) -> None:
        self.storage.must_be_absent = parse_qs(urlsplit(self.path).query).get("ifGenerationMatch") == ["0"]
        try:
            act()
        except _ExistsError:
            self._refuse(HTTPStatus.PRECONDITION_FAILED, "At least one of the pre-conditions did not hold.")
        except _RetainedError:
            self._refuse(HTTPStatus.FORBIDDEN, RETAINED)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        payload = json.dumps({"error": {"code": status.value, "message": message}}).encode()
        self.send_response(status)
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
