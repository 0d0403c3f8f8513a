"""Bytes of an image over HTTP: whole or a range (RFC 9110, 14), revalidated by hash, in private caches only."""

from http import HTTPStatus

from flask import Response, g, request
from werkzeug.http import quote_etag

from functions.http.problems import problem_response
from functions.http.routes import Call
from shared.ai.images.store import Image
from shared.kernel.errors import Rejected

ETAG_DIGITS = 32
SANDBOX = "default-src 'none'; sandbox"
"""Policy of a picture that is opened by itself: the picture is shown, and runs nothing."""


class RangeNotSatisfiable(Rejected):
    """The range that was asked for lies outside of the file; `size` says how long that is."""

    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.", size=size)


def answer(call: Call, image: Image, *, fresh_seconds: int) -> Response:
    """Return the image, or the requested range. A cache may show the image for `fresh_seconds` without asking again."""
    etag = image.sha256[:ETAG_DIGITS]
    if request.if_none_match.contains_weak(etag):
        return _described(Response(status=HTTPStatus.NOT_MODIFIED), image, fresh_seconds)
    bounds = _bounds(image, etag)
    if bounds is None:
        refusal = problem_response(RangeNotSatisfiable(image.bytes), g.request_id)
        refusal.headers["Content-Range"] = f"bytes */{image.bytes}"
        return refusal
    first, last = bounds
    content = call.services.images.store.content(image, first, last)
    response = Response(content, mimetype=image.content_type)
    if (first, last) != (0, image.bytes - 1):
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response.headers["Content-Range"] = f"bytes {first}-{last}/{image.bytes}"
    return _described(response, image, fresh_seconds)


def _bounds(image: Image, etag: str) -> tuple[int, int] | None:
    """The first and last byte that are asked for; None if there are no such bytes.

    Several ranges at once, another unit, or a range of another version (`If-Range`) ask for the whole.
    """
    whole = (0, image.bytes - 1)
    asked = request.range
    is_of_this = "If-Range" not in request.headers or request.if_range.etag == etag
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1 or not is_of_this:
        return whole
    found = asked.range_for_length(image.bytes)
    return None if found is None else (found[0], found[1] - 1)


def _described(response: Response, image: Image, fresh_seconds: int) -> Response:
    extension = image.content_type.partition("/")[2]
    response.headers["ETag"] = quote_etag(image.sha256[:ETAG_DIGITS])
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = f"private, max-age={fresh_seconds}, immutable"
    response.headers["Content-Disposition"] = f'inline; filename="{image.id}.{extension}"'
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
