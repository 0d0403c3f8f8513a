"""`api`: the public HTTP API, as the function that Firebase runs."""

import gc
import os
import threading

from flask import Flask, Request, Response
from flask.typing import ResponseReturnValue

from functions.serving import serve_patiently

COLLECT_AFTER_ALLOCATIONS = 50_000

_lock = threading.Lock()
_app: Flask | None = None


def api(request: Request) -> ResponseReturnValue:
    """Return our application's answer to the request, unchanged.

    `from_app` passes the application's own iterable on. So a stream leaves unbuffered, and is closed when the client
    goes. Paths are `/v1/…` in production and in the emulator, which removes its own prefix.
    """
    return Response.from_app(_application().wsgi_app, request.environ)


def _application() -> Flask:
    global _app  # noqa: PLW0603  # one process, one application
    with _lock:
        if _app is None:
            from functions.http.app import create_app
            from shared.bootstrap import services

            _app = create_app(services())
            _collect_rarely()
        return _app


def _collect_rarely() -> None:
    """Collect garbage rarely.

    Loaded modules stay, so the collector need not look through them, and a request leaves few cycles behind. A
    collection after every 700 allocations took some tenth of a model call's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_ALLOCATIONS)


if os.environ.get("FUNCTION_TARGET") == "api":
    serve_patiently()
    # An instance that is this function says at start, not at the first request, which of its settings is wrong.
    _application()
