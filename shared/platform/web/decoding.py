"""A body as it came, unpacked within bounds: a small one that unpacks to gigabytes is stopped at its limit."""

import zlib
from collections.abc import Iterable, Iterator

from shared.ai.web import FetchFailed

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
CHUNK_BYTES = 64 * 1024
ENCODINGS = {"gzip", "x-gzip", "deflate"}
"""What is asked for and understood. Others, one upon another, or one that was not asked for are refused unread."""


def checked_encoding(header: str) -> str:
    """How the body is packed, or "" if it is not. Raises FetchFailed."""
    encoding = header.strip().lower()
    if encoding in {"", "identity"}:
        return ""
    if encoding not in ENCODINGS:
        raise FetchFailed("encoding_not_supported", "The page is packed in a way that was not asked for.")
    return encoding


def read_bounded(chunks: Iterable[bytes], encoding: str, *, packed_max: int, unpacked_max: int) -> tuple[bytes, bool]:
    """The body, and whether it was cut off at a limit. Raises FetchFailed for one that cannot be unpacked."""
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
    """Unpacks piece by piece, never more than CHUNK_BYTES at once."""

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
        """Some servers mean deflate without its zlib header."""
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._zlib.decompress(packed, CHUNK_BYTES)
        except zlib.error as error:
            raise FetchFailed("broken", "The page could not be unpacked.") from error
