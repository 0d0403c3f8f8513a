"""Paths behind a rewrite of Firebase Hosting: `{"source": "/api/**", "function": "api"}` hands on the whole path.

https://firebase.google.com/docs/hosting/functions
"""

from collections.abc import Callable, Iterable
from typing import Any

from functions.http.routes import PREFIX

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]
MOUNT = "/api"
"""Path on the site under which the API stands."""


class HostedPaths:
    """A WSGI application that answers `/api/v1/…` as `/v1/…`."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer the request, its path without the mount."""
        path = str(environ.get("PATH_INFO", ""))
        if path == f"{MOUNT}{PREFIX}" or path.startswith(f"{MOUNT}{PREFIX}/"):
            mounted = f"{environ.get('SCRIPT_NAME', '')}{MOUNT}"
            environ = {**environ, "PATH_INFO": path.removeprefix(MOUNT), "SCRIPT_NAME": mounted}
        return self._application(environ, start_response)
