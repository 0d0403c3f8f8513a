"""An image model behind an OpenAI-compatible API: one picture per call, every byte bounded."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.ai.pictures import PICTURE_BYTES_MAX, NoPicture, Picture, picture_of
from shared.ai.ports import ImageRequest
from shared.platform.openai.upstream import AnswerTooLarge, OpenAIUpstream

PATH = "/images/generations"
CALL_SECONDS = 150.0
"""For the whole call, the picture's bytes included; the largest models take a minute."""
ANSWER_BYTES_MAX = PICTURE_BYTES_MAX * 4 // 3 + 64 * 1024
"""A picture in base64, and what stands around it."""
CHUNK_BYTES = 64 * 1024
PLAIN = {"Accept-Encoding": "identity"}
"""Nothing that grows when it is unpacked."""


class OpenAIImageModel:
    """Paints. See `ImageModel`."""

    def __init__(self, upstream: OpenAIUpstream, *, seconds: float = CALL_SECONDS) -> None:
        self._upstream = upstream
        self._seconds = seconds

    def generate(self, request: ImageRequest) -> Picture:
        """See `ImageModel.generate`."""
        from shared.platform.openai.network import ending_after

        with ending_after(self._seconds):
            try:
                answer = next(self._upstream.read(PATH, _body(request), request.end_user, most=ANSWER_BYTES_MAX), None)
            except AnswerTooLarge as error:
                raise NoPicture(error.detail) from None
            return picture_of(self._content(_first(answer)))

    def close(self) -> None:
        """Close idle connections."""
        self._upstream.close()

    def _content(self, item: Mapping[str, Any]) -> bytes:
        encoded, address = item.get("b64_json"), item.get("url")
        if isinstance(encoded, str) and encoded:
            try:
                return base64.b64decode(encoded, validate=True)
            except (ValueError, binascii.Error):
                raise NoPicture("it is not base64") from None
        if isinstance(address, str) and _origin(address) == _origin(self._upstream.base_url):
            return self._fetched(address)
        raise NoPicture("the answer holds none, or only an address elsewhere")

    def _fetched(self, address: str) -> bytes:
        """What is at an address of the provider's own: the host that was asked, nowhere else, no redirects, no key."""
        import httpx2

        from shared.platform.openai.network import http_client

        with http_client() as http, http.stream("GET", address, headers=PLAIN) as response:
            if response.status_code != httpx2.codes.OK:
                raise NoPicture("there is none at its address")
            return _bounded(response.iter_raw(CHUNK_BYTES), PICTURE_BYTES_MAX)


def _body(request: ImageRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": request.model, "prompt": request.prompt, "size": request.size, "n": 1}
    if request.quality is not None:
        asked["quality"] = request.quality
    return {**asked, "response_format": "b64_json"} if request.wants_base64 else asked


def _first(answer: Any) -> Mapping[str, Any]:
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list) or not data or not isinstance(data[0], Mapping):
        raise NoPicture("the answer holds none")
    return data[0]


def _bounded(chunks: Iterator[bytes], limit: int) -> bytes:
    """All that comes, unless it is more than `limit`: then the rest is not waited for."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise NoPicture(f"the answer is larger than {limit} bytes")
    return bytes(content)


def _origin(address: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port; None for what is no plain web address, or carries a user's name."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
