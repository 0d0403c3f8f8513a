"""`/v1/docs`: the OpenAPI document, and on a laptop Swagger UI and the playground, served from here without a CDN.

Of the pages, the payer's and the one that checks receipts (`verify_page`) are deployed, with the files that all pages
share. There every other page is a 404, and a user who paid returns to a page of a few words.
"""

import json
import mimetypes
import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask import Response
from marshmallow import fields

from functions.http.errors import NoSuchPath, PageNotDeployed
from functions.http.fields import Answer
from functions.http.routes import ANYBODY, Call, Routes

STATIC = Path(__file__).parent / "static"
PAYER = Path(__file__).parent / "payer"
SWAGGER_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"})
OUR_FILES = frozenset(
    {
        "swagger.css",
        "swagger.js",
        "swagger-sign-in.js",
        "playground.css",
        "playground.js",
        "playground-account.js",
        "playground-agents.css",
        "playground-agents.js",
        "playground-images.css",
        "playground-payments.css",
        "playground-images.js",
        "playground-payments.js",
        "playground-stop.js",
        "charts.js",
    }
)
PAYER_FILES = frozenset({"icon.svg", "theme.css", "theme.js", "payer.css", "payer.js", "payer-wallet.js"})
VENDOR_FILES = frozenset({"firebase-app-compat.js", "firebase-auth-compat.js", "firebase-firestore-compat.js"})
ASSET_SECONDS = 300
VENDOR_SECONDS = 86_400

GOOGLE = (
    "https://identitytoolkit.googleapis.com",
    "https://securetoken.googleapis.com",
    "https://firestore.googleapis.com",
)
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML = "text/html"
PLAYGROUND, SWAGGER, RETURNED = "/docs/playground", "/docs/swagger", "/docs/returned"
RETURNED_HTML = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Payment</title>
<h1>Thank you</h1>
<p>If you paid, your payment is being settled, and your credits appear in the app within a minute.</p>
<p>You may close this window.</p>
</html>
"""
AUTH_EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
FIRESTORE_EMULATOR = "FIRESTORE_EMULATOR_HOST"

routes = Routes("docs")


class PlaygroundConfig(Answer):
    """Values that the page needs to sign in and to listen. No value is a secret: a web API key only names a project."""

    project = fields.String(required=True)
    api_key = fields.String(required=True)
    auth_domain = fields.String(required=True)
    auth_emulator = fields.String(required=True, allow_none=True)
    firestore_emulator = fields.String(required=True, allow_none=True)


@routes.get("/docs/openapi.json", access=ANYBODY, answer="application/json", query=None)
def openapi(call: Call) -> Response:
    """Show this API as an OpenAPI 3.1 document."""
    del call
    return _cached(Response(_openapi(is_with_pages=has_pages()), mimetype="application/json"), ASSET_SECONDS)


@routes.get(SWAGGER, access=ANYBODY, answer=HTML, query=None)
def swagger(call: Call) -> Response:
    """Show this API in a browser, to read and to try."""
    del call
    _require_pages()
    host = _host(AUTH_EMULATOR)
    return page(STATIC / "swagger.html", ["'self'", *([f"http://{host}"] if host else GOOGLE[:2])])


@routes.get(PLAYGROUND, access=ANYBODY, answer=HTML, query=None)
def playground(call: Call) -> Response:
    """Show a page that signs up, claims the bonus, chats, paints, and shows the cost of each."""
    del call
    _require_pages()
    emulators = [f"http://{host}" for host in (_host(AUTH_EMULATOR), _host(FIRESTORE_EMULATOR)) if host]
    return page(STATIC / "playground.html", ["'self'", *(emulators or GOOGLE)])


@routes.get("/docs/playground/config.json", access=ANYBODY, answer=PlaygroundConfig, query=None)
def playground_config(call: Call) -> Any:
    """Show the Firebase project that the playground signs in to."""
    _require_pages()
    settings = call.services.settings
    return {
        "project": settings.project,
        "api_key": settings.web_api_key,
        "auth_domain": f"{settings.project}.firebaseapp.com",
        "auth_emulator": _host(AUTH_EMULATOR),
        "firestore_emulator": _host(FIRESTORE_EMULATOR),
    }


@routes.get(RETURNED, access=ANYBODY, answer=HTML, query=None)
def returned(call: Call) -> Response:
    """Show a few words to a user who returns from a payment provider, if the app names no page of its own."""
    del call
    response = Response(RETURNED_HTML, mimetype=HTML)
    secure(response, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    return _cached(response, ASSET_SECONDS)


@routes.get("/docs/assets/{file}", access=ANYBODY, answer="*/*", query=None, is_hidden=True)
def asset(call: Call) -> Response:
    """Send one file of the pages."""
    name = call.path["file"]
    if name in SWAGGER_FILES:
        return _file(_swagger_folder() / name, VENDOR_SECONDS)
    if name in VENDOR_FILES:
        return _file(STATIC / "vendor" / name, VENDOR_SECONDS)
    if name in PAYER_FILES:
        return _file(PAYER / name, ASSET_SECONDS)
    if name in OUR_FILES:
        return _file(STATIC / name, ASSET_SECONDS)
    raise NoSuchPath


def has_pages() -> bool:
    """Return True if the pages are here: on a laptop, but not in a deployment."""
    return (STATIC / "playground.html").is_file()


def return_path() -> str:
    """Return the path of the page to which a user returns from a payment provider, below `/v1`."""
    return PLAYGROUND if has_pages() else RETURNED


def _require_pages() -> None:
    if not has_pages():
        raise PageNotDeployed


@lru_cache(maxsize=2)
def _openapi(*, is_with_pages: bool) -> str:
    from functions.http.openapi import document
    from functions.http.table import ROUTES

    pages = () if is_with_pages else (f"/v1{PLAYGROUND}", f"/v1{SWAGGER}")
    return json.dumps(document([route for route in ROUTES if not route.path.startswith(pages)]))


@lru_cache(maxsize=1)
def _swagger_folder() -> Path:
    """Return the folder of Swagger UI in its package, without importing the package."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise NoSuchPath
    return Path(spec.origin).parent / "dist"


def page(file: Path, connect: list[str]) -> Response:
    """Return a page that loads nothing but files of this API, and connects to these addresses. Raises NoSuchPath."""
    response = _file(file, 0)
    response.headers["Cache-Control"] = "no-cache"
    secure(response, CONTENT_SECURITY.format(connect=" ".join(connect)))
    return response


def secure(response: Response, policy: str) -> None:
    """Set the headers of a page: content security policy, no referrer, and no frame around it."""
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"


def _file(path: Path, seconds: int) -> Response:
    if not path.is_file():
        raise NoSuchPath
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _cached(Response(path.read_bytes(), mimetype=kind), seconds)


def _cached(response: Response, seconds: int) -> Response:
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    return response


def _host(name: str) -> str | None:
    return os.environ.get(name) or None
