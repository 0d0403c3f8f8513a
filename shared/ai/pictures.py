"""Picture files, recognised by their own bytes: whole PNG, JPEG and WebP, with their size in pixels.

Shapes from the PNG specification (W3C, 5.2 and 11.2.1), ITU-T T.81 (B.1 and B.2.2) and the WebP container
specification. No picture is decoded here. The checks find files that are cut, or that are no picture of these formats.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shared.kernel.errors import Unavailable

PICTURE_BYTES_MAX = 8 * 1024 * 1024
PIXELS_MAX = 16_384
"""Pixels per side: the limit of WebP, and more than any model paints."""

PNG_HEAD, PNG_TAIL = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
JPEG_HEAD, JPEG_TAIL = b"\xff\xd8\xff", b"\xff\xd9"
JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame and give the frame's size (SOF0…SOF15, without DHT, JPG and DAC)."""
WEBP_BODY = 10
"""Bytes of the first chunk in which each kind of WebP gives the size."""
JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length of their own (TEM, RST0…RST7, SOI)."""

Dimensions = tuple[int, int]


class NoPicture(Unavailable):
    """The model returned no PNG, JPEG or WebP that we keep: another format, a cut file, or a file that is too large."""

    code = "no_picture"

    def __init__(self, problem: str) -> None:
        super().__init__(f"The model did not return a usable picture: {problem}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Bytes of a picture, with the content type and the size in pixels that the bytes give."""

    content: bytes
    content_type: str
    width: int
    height: int


def picture_of(content: bytes) -> Picture:
    """Return the picture that these bytes encode, with its type and size. Raises NoPicture."""
    if len(content) > PICTURE_BYTES_MAX:
        raise NoPicture(f"it is larger than {PICTURE_BYTES_MAX} bytes")
    for content_type, head, dimensions in FORMATS:
        if content.startswith(head):
            width, height = _whole(content, dimensions)
            return Picture(content=content, content_type=content_type, width=width, height=height)
    raise NoPicture("it is no PNG, JPEG or WebP")


def _whole(content: bytes, dimensions: Callable[[bytes], Dimensions | None]) -> Dimensions:
    try:
        found = dimensions(content)
    except IndexError:
        found = None
    if found is None or not all(1 <= side <= PIXELS_MAX for side in found):
        raise NoPicture("it is cut or damaged")
    return found


def _png(content: bytes) -> Dimensions | None:
    if content[12:16] != b"IHDR" or not content.endswith(PNG_TAIL):
        return None
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _jpeg(content: bytes) -> Dimensions | None:
    """Return the size of a whole JPEG; None if the file is cut. Only padding may follow the end marker."""
    return jpeg_dimensions(content) if content.rstrip(b"\0").endswith(JPEG_TAIL) else None


def jpeg_dimensions(content: bytes) -> Dimensions | None:
    """Return the size from the first frame of a JPEG; None if no frame is found.

    Raises IndexError if the bytes end before the frame.
    """
    at = 2
    while content[at] == 0xFF:  # noqa: PLR2004  # every marker begins with it
        marker = content[at + 1]
        if marker in JPEG_FRAMES:
            return _long(content, at + 7), _long(content, at + 5)
        fills, alone = marker == 0xFF, marker in JPEG_ALONE  # noqa: PLR2004  # a fill byte
        at += 1 if fills else 2 if alone else 2 + int.from_bytes(content[at + 2 : at + 4])
    return None


def _long(content: bytes, at: int) -> int:
    return content[at] << 8 | content[at + 1]


def _webp(content: bytes) -> Dimensions | None:
    size = int.from_bytes(content[4:8], "little")
    return webp_dimensions(content) if len(content) - 1 <= size + 8 <= len(content) else None


def webp_dimensions(content: bytes) -> Dimensions | None:
    """Return the size from the first chunk of a WebP; None for another kind of file or chunk.

    Raises IndexError if the bytes end before the size.
    """
    if content[8:12] != b"WEBP":
        return None
    kind, body = content[12:16], content[20:30]
    if len(body) < WEBP_BODY:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and body[0] == 0x2F:  # noqa: PLR2004  # its signature
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return width, height
    return None


FORMATS: tuple[tuple[str, bytes, Callable[[bytes], Dimensions | None]], ...] = (
    ("image/png", PNG_HEAD, _png),
    ("image/jpeg", JPEG_HEAD, _jpeg),
    ("image/webp", b"RIFF", _webp),
)
