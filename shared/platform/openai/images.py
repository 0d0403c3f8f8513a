"""Image model behind an OpenAI-compatible API: one picture per call, every byte bounded."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.ai.agents.web import FetchFailed, PublicFiles
from shared.ai.pictures import PICTURE_BYTES_MAX, NoPicture, Picture, picture_of
from shared.ai.ports import ImageRequest, UpstreamTimedOut
from shared.platform.openai.upstream import AnswerTooLarge, OpenAIUpstream

PATH = "/images/generations"
CALL_SECONDS = 150.0
"""Time limit of the whole call, the picture's bytes included; the largest models take a minute."""
ANSWER_BYTES_MAX = PICTURE_BYTES_MAX * 4 // 3 + 64 * 1024
"""Size limit of an answer: a picture in base64, and the JSON around the picture."""
CHUNK_BYTES = 64 * 1024
DATA_URL = re.compile(r"data:[\w.+-]*/[\w.+-]*(?:;[\w=.+-]*)*,", re.ASCII | re.IGNORECASE)
WEB_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
LISTS = ("data", "images", "output", "artifacts")
"""Members of an answer that list pictures. OpenAI's is the first."""
MEMBERS = ("b64_json", "base64", "image_base64", "url", "image_url", "image")
"""Members of a listed picture that hold base64, a data URL or an address. OpenAI's are `b64_json` and `url`."""
STANDARD_ALPHABET = str.maketrans("-_", "+/")
BLOCK = 4
"""Characters of base64 for three bytes. Some providers leave out the padding to whole blocks."""
PLAIN = {"Accept-Encoding": "identity"}
"""Headers that request an uncompressed answer, so that no answer grows when decoded."""


class OpenAIImageModel:
    """Client for images in OpenAI's protocol; see `ImageModel`. `files` fetches pictures that lie on another host."""

    def __init__(
        self, upstream: OpenAIUpstream, *, files: PublicFiles | None = None, seconds: float = CALL_SECONDS
    ) -> None:
        self._upstream = upstream
        self._files = files
        self._seconds = seconds

    def generate(self, request: ImageRequest) -> Picture:
        """Paint and return one picture, whole and of a kind that we keep; see `ImageModel.generate`."""
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
        """Return the bytes of a picture, from the answer or from the address in the answer. Raises NoPicture."""
        for member in MEMBERS:
            value = item.get(member)
            text = value.get("url") if isinstance(value, Mapping) else value
            if isinstance(text, str) and text:
                return self._told(text)
        raise NoPicture("the answer holds none")

    def _told(self, text: str) -> bytes:
        """Return the bytes of a picture in base64, in a data URL, or at an address. Raises NoPicture."""
        if (prefix := DATA_URL.match(text)) is not None:
            return _decoded(text[prefix.end() :])
        return self._fetched(text) if WEB_ADDRESS.match(text) is not None else _decoded(text)

    def _fetched(self, address: str) -> bytes:
        """Fetch a picture from the provider's own host, or from another public host over TLS. Raises NoPicture."""
        if _host(address) == _host(self._upstream.base_url) is not None:
            return self._fetched_from_the_provider(address)
        if self._files is None or not address.startswith("https://"):
            raise NoPicture("the answer holds only an address elsewhere")
        try:
            return self._files.fetch_file(address, PICTURE_BYTES_MAX)
        except FetchFailed as failure:
            raise NoPicture(f"it cannot be fetched: {failure.detail}") from None

    def _fetched_from_the_provider(self, address: str) -> bytes:
        """Fetch a picture from the provider's host. No redirect is followed, and no key is sent.

        Raises NoPicture, UpstreamTimedOut.
        """
        import httpx2

        from shared.platform.openai.network import http_client, is_late

        try:
            with http_client() as http, http.stream("GET", address, headers=PLAIN) as response:
                if response.status_code != httpx2.codes.OK:
                    raise NoPicture("there is none at its address")
                return _bounded(response.iter_raw(CHUNK_BYTES), PICTURE_BYTES_MAX)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            if is_late():
                raise UpstreamTimedOut from None
            raise NoPicture(f"it cannot be fetched ({type(error).__name__})") from None


def _decoded(text: str) -> bytes:
    """Decode base64 of either alphabet. Lines may be broken, and padding may be missing. Raises NoPicture."""
    plain = "".join(text.split()).translate(STANDARD_ALPHABET).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % BLOCK), validate=True)
    except (ValueError, binascii.Error):
        raise NoPicture("it is not base64") from None


def _body(request: ImageRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": request.model, "prompt": request.prompt, "size": request.size, "n": 1}
    if request.quality is not None:
        asked["quality"] = request.quality
    return {**asked, "response_format": "b64_json"} if request.wants_base64 else asked


def _first(answer: Any) -> Mapping[str, Any]:
    """Return the first picture of an answer, listed or by itself. Raises NoPicture."""
    told: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    listed = next((told[name] for name in LISTS if isinstance(told.get(name), list) and told[name]), [told])
    first = listed[0]
    if isinstance(first, str):
        return {MEMBERS[0]: first}
    if not isinstance(first, Mapping):
        raise NoPicture("the answer holds none")
    return first


def _bounded(chunks: Iterator[bytes], limit: int) -> bytes:
    """Return all bytes. If there are more than `limit`, stop reading. Raises NoPicture."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise NoPicture(f"the answer is larger than {limit} bytes")
    return bytes(content)


def _host(address: str) -> str | None:
    """Return the host of a web address; None for other addresses, or if the address has a user name."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} and "@" not in parts.netloc else None
