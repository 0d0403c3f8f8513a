"""Public answers that caches keep: each has an `ETag`, and a cache that has the bytes already gets none again."""

import hashlib

from flask import Response, request

ETAG_DIGITS = 32
FOREVER_SECONDS = 31_536_000
"""Seconds for which an answer that never changes may be kept: a year."""


def answered(data: bytes, content_type: str, *, max_age_seconds: int) -> Response:
    """Return the bytes, or status 304 if the caller has them (`If-None-Match`).

    With FOREVER_SECONDS the answer is marked as immutable.
    """
    response = Response(data, content_type=content_type)
    response.set_etag(hashlib.sha256(data).hexdigest()[:ETAG_DIGITS])
    kept = f"public, max-age={max_age_seconds}"
    response.headers["Cache-Control"] = f"{kept}, immutable" if max_age_seconds == FOREVER_SECONDS else kept
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
