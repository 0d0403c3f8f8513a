"""`/v1/docs/verify`: a page that checks a receipt in the browser, also as a saved file, and asks no server.

The page is one file. Its policy allows exactly the scripts and styles in this file, by hash, and no connection at all.
The same policy stands in the page, so that a saved copy has the policy too.
"""

import hashlib
from functools import lru_cache

from flask import Response

from functions.http.docs import HTML, PAYER, secure
from functions.http.fresh import answered
from functions.http.routes import ANYBODY, Call, Routes
from shared.ledger.keys import to_base64

VERIFIER = PAYER.parent / "verifier"
PAGE_SECONDS = 300
FRAMES = "; frame-ancestors 'none'"
"""Directive that browsers accept in a header only."""

routes = Routes("docs")


@routes.get("/docs/verify", access=ANYBODY, answer=HTML, query=None)
def verify(call: Call) -> Response:
    """Show a page that checks a receipt of a credit entry, without asking any server."""
    del call
    text, policy = verify_page()
    response = answered(text.encode(), f"{HTML}; charset=utf-8", max_age_seconds=PAGE_SECONDS)
    secure(response, policy + FRAMES)
    return response


@lru_cache(maxsize=1)
def verify_page() -> tuple[str, str]:
    """Return the page and the content security policy, without the directive about frames."""
    style = (PAYER / "theme.css").read_text() + (VERIFIER / "page.css").read_text()
    theme = (PAYER / "theme.js").read_text()
    scripts = {"theme": theme, "receipt": _script("receipt"), "page": _script("page")}
    allowed = " ".join(_source(script) for script in scripts.values())
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {_source(style)}; img-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    text = (VERIFIER / "page.html").read_text()
    for name, part in {"policy": policy, "style": style, **scripts}.items():
        text = text.replace(f"{{{name}}}", part, 1)
    return text, policy


def _script(name: str) -> str:
    return (VERIFIER / f"{name}.js").read_text()


def _source(text: str) -> str:
    """Return the source expression that allows exactly this inline text (CSP 3)."""
    return f"'sha256-{to_base64(hashlib.sha256(text.encode()).digest())}'"
