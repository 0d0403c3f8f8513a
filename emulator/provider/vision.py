"""Image input as the stand-in provider bills it: OpenAI's published formulas, by model family.

Tile models: fit the image into 2048 x 2048, then its short side to 768, and pay a base and a price per 512-pixel tile.
Patch models: pay per 32-pixel patch, at most 1,536, times a factor. An image whose size nobody can read (an address, a
broken file) is billed as the largest that its model takes. Source: OpenAI, "Images and vision", costs.
"""

import base64
import binascii
import struct
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Any

Json = dict[str, Any]

TILES = (
    ("gpt-4o-mini", (2_833, 5_667)),
    ("o1", (75, 150)),
    ("o3", (75, 150)),
    ("gpt-5", (70, 140)),
    ("", (85, 170)),
)
"""Model names by their start, the first that fits: tokens of an image, and of each tile."""
PATCHES = (
    ("gpt-4.1-mini", Fraction(162, 100)),
    ("gpt-4.1-nano", Fraction(246, 100)),
    ("gpt-5-mini", Fraction(162, 100)),
    ("gpt-5-nano", Fraction(246, 100)),
    ("o4-mini", Fraction(172, 100)),
)
SIDE_MAX, SHORT_SIDE_MAX, TILE, PATCH, PATCHES_MAX = 2_048, 768, 512, 32, 1_536
LARGEST = (SIDE_MAX, SHORT_SIDE_MAX)
PNG_HEAD, JPEG_HEAD = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def image_tokens(model: str, messages: list[Json]) -> int:
    """Return the number of tokens of all images in a prompt, in chat's or in responses' spelling."""
    return sum(_tokens(model, url, detail) for message in messages for url, detail in _images(message.get("content")))


def _images(content: Any) -> Iterator[tuple[str, str]]:
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") in {"image_url", "input_image"}:
            given = part.get("image_url")
            named = given if isinstance(given, dict) else {"url": given}
            yield str(named.get("url")), str(named.get("detail") or part.get("detail") or "auto")


def _tokens(model: str, url: str, detail: str) -> int:
    width, height = _size(url) or LARGEST
    for start, factor in PATCHES:
        if model.startswith(start):
            return ceil(factor * min(PATCHES_MAX, ceil(width / PATCH) * ceil(height / PATCH)))
    base, tile = next(price for start, price in TILES if model.startswith(start))
    return base if detail == "low" else base + tile * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    fitted = min(Fraction(1), Fraction(SIDE_MAX, max(width, height)))
    scale = min(fitted, Fraction(SHORT_SIDE_MAX, min(width, height)))
    return ceil(width * scale / TILE) * ceil(height * scale / TILE)


def _size(url: str) -> tuple[int, int] | None:
    """Width and height of a data URL's PNG or JPEG; None if they cannot be read."""
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        return None
    try:
        sides = _sides(base64.b64decode(data))
    except (binascii.Error, struct.error):
        return None
    return sides if sides and min(sides) > 0 else None


def _sides(picture: bytes) -> tuple[int, int] | None:
    if picture.startswith(PNG_HEAD):
        width, height = struct.unpack(">II", picture[16:24])
        return width, height
    at = len(JPEG_HEAD)
    while picture.startswith(JPEG_HEAD) and at + 4 <= len(picture):
        marker, length = picture[at + 1], struct.unpack(">H", picture[at + 2 : at + 4])[0]
        if marker in JPEG_FRAMES:
            height, width = struct.unpack(">HH", picture[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
