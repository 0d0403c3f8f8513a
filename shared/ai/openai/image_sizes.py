"""Sizes in pixels of images in data URLs, read from the head of the file.

The sender may forge the file. So a size counts only where decoders take the size from the same bytes. Any other image
(an unknown format, a head that is damaged, too long, or not plain base64) has no size. The bound of the model's formula
counts instead.
"""

import binascii
import re
from collections.abc import Callable

from shared.ai.pictures import JPEG_HEAD, PNG_HEAD, Dimensions, jpeg_dimensions, webp_dimensions

DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]{1,64}/[\w.+-]{1,64})(;[\w.+-]{1,64}=[\w.+-]{1,64}){0,4};base64,", re.ASCII
)
DATA = "data:"
HEAD_CHARACTERS_MAX = 262_144
"""Most characters that are read for a size: a JPEG may have a profile and a thumbnail before the size."""
SIDE_MAX = 100_000
GIF_HEADS = (b"GIF87a", b"GIF89a")
GIF_EXTENSION, GIF_IMAGE = 0x21, 0x2C


def size_in(url: str) -> Dimensions | None:
    """Return width and height of the image in a data URL; None for an address, or if the head names no valid size."""
    start = DATA_URL.match(url)
    if start is None:
        return None
    encoded = url[start.end() : start.end() + HEAD_CHARACTERS_MAX]
    try:
        head = binascii.a2b_base64(encoded, strict_mode=True)
        size = _size(head)
    except (binascii.Error, ValueError, IndexError):
        return None
    return size if size and all(1 <= side <= SIDE_MAX for side in size) else None


def is_other_than_image(url: str) -> bool:
    """Return True for a data URL of another type, such as a document or a film.

    An image's formula does not bound the tokens of other types.
    """
    return url[: len(DATA)].lower() == DATA and not url[:64].lower().startswith("data:image/")


def _size(head: bytes) -> Dimensions | None:
    return next((read(head) for starts, read in HEADS if head.startswith(starts)), None)


def _png(head: bytes) -> Dimensions | None:
    if head[8:16] != b"\0\0\0\x0dIHDR" or len(head) < 24:  # noqa: PLR2004  # the first chunk with both sides
        return None
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def _gif(head: bytes) -> Dimensions | None:
    """Return the larger width and height of the screen and of the first image; None for a damaged head.

    Decoders enlarge the smaller to the larger.
    """
    screen, flags = (_short(head, 6), _short(head, 8)), head[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while head[at] == GIF_EXTENSION:
        at += 2
        while length := head[at]:
            at += 1 + length
        at += 1
    if head[at] != GIF_IMAGE or len(head) < at + 9:
        return None
    left, top, width, height = (_short(head, at + offset) for offset in (1, 3, 5, 7))
    return max(screen[0], left + width), max(screen[1], top + height)


def _short(head: bytes, at: int) -> int:
    return head[at] | head[at + 1] << 8


HEADS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], Dimensions | None]], ...] = (
    (PNG_HEAD, _png),
    (JPEG_HEAD, jpeg_dimensions),
    (b"RIFF", webp_dimensions),
    (GIF_HEADS, _gif),
)
