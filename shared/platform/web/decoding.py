"""Bounded decompression of a body: a small body that unpacks to gigabytes is cut at the limit."""

import zlib
from collections.abc import Iterable, Iterator

from shared.ai.agents.web import FetchFailed

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
CHUNK_BYTES = 64 * 1024
ENCODINGS = {"gzip", "x-gzip", "deflate"}
"""Encodings that we request and decode. A body with another encoding, or with several, is refused unread."""


def checked_encoding(header: str) -> str:
    """Return the encoding of the body; "" if the body is not encoded.

    Raises FetchFailed for an unsupported encoding.
    """
    encoding = header.strip().lower()
    if encoding in {"", "identity"}:
        return ""
    if encoding not in ENCODINGS:
        raise FetchFailed("encoding_not_supported", "The page is packed in a way that was not asked for.")
    return encoding


def read_bounded(chunks: Iterable[bytes], encoding: str, *, packed_max: int, unpacked_max: int) -> tuple[bytes, bool]:
    """Return the body, and True if the body was cut at a limit. Raises FetchFailed if the body cannot be unpacked."""
    body, packed = bytearray(), 0
    unpacker = _Unpacker(encoding) if encoding else None
    for chunk in chunks:
        packed += len(chunk)
        for piece in unpacker.unpacked(chunk) if unpacker else (chunk,):
            body += piece
            if len(body) > unpacked_max:
                return bytes(body[:unpacked_max]), True
        if packed > packed_max:
            return bytes(body), True
    return bytes(body), False


class _Unpacker:
    """Decompressor that works piece by piece, with at most CHUNK_BYTES at once."""

    def __init__(self, encoding: str) -> None:
        self._is_deflate = encoding == "deflate"
        self._zlib = zlib.decompressobj(GZIP_OR_ZLIB)
        self._is_first = True

    def unpacked(self, chunk: bytes) -> Iterator[bytes]:
        rest = chunk
        while rest:
            yield self._piece(rest)
            rest = self._zlib.unconsumed_tail
            if self._zlib.eof:
                return

    def _piece(self, packed: bytes) -> bytes:
        try:
            piece = self._zlib.decompress(packed, CHUNK_BYTES)
        except zlib.error as error:
            if not (self._is_deflate and self._is_first):
                raise FetchFailed("broken", "The page could not be unpacked.") from error
            piece = self._raw(packed)
        self._is_first = False
        return piece

    def _raw(self, packed: bytes) -> bytes:
        """Unpack deflate without a zlib header, as some servers send. Raises FetchFailed."""
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._zlib.decompress(packed, CHUNK_BYTES)
        except zlib.error as error:
            raise FetchFailed("broken", "The page could not be unpacked.") from error
