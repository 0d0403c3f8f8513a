"""Pictures without a painter: real PNGs of the size that was asked for, the same for the same prompt."""

import hashlib
import re
import struct
import zlib

HEAD = b"\x89PNG\r\n\x1a\n"
CELLS = 8
SIDE_MAX = 2_048
SIDE_DEFAULT = 1_024
COMPRESSION = 6


def painted(prompt: str, size: str) -> bytes:
    """Return a PNG with a mirrored pattern in two colours, of `size` pixels: `1024x1536`, or `auto`."""
    sides = re.fullmatch(r"(\d+)x(\d+)", size)
    width, height = (min(max(int(side), 1), SIDE_MAX) for side in sides.groups()) if sides else (SIDE_DEFAULT,) * 2
    digest = hashlib.sha256(prompt.encode()).digest()
    rows = (_row(digest, width, y, height) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png([(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), COMPRESSION)), (b"IEND", b"")])


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return the PNG that consists of these chunks (W3C, 5.3)."""
    return HEAD + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _row(digest: bytes, width: int, y: int, height: int) -> bytes:
    """Return one line of pixels, unfiltered: eight cells, the right half a mirror of the left."""
    line = y * CELLS // height
    cells = [digest[8 + (line * CELLS + min(cell, CELLS - 1 - cell)) % 24] for cell in range(CELLS)]
    parts = []
    for cell, shade in enumerate(cells):
        pixels = (cell + 1) * width // CELLS - cell * width // CELLS
        parts.append(_colour(digest, shade, y * 255 // height) * pixels)
    return b"\0" + b"".join(parts)


def _colour(digest: bytes, shade: int, depth: int) -> bytes:
    """Between two colours of the prompt's, by how far down; lighter or darker by the cell."""
    mixed = [(digest[n] * (255 - depth) + digest[n + 3] * depth) // 255 for n in range(3)]
    return bytes(min(255, channel // 2 + shade // 3 + 40) for channel in mixed)
