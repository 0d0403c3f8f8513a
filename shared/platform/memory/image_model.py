"""Image model that answers from a script: for tests, and for trials without an upstream."""

import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.ai.pictures import PNG_HEAD, Picture, picture_of
from shared.ai.ports import ImageRequest


def png(width: int = 4, height: int = 3, *, colour: tuple[int, int, int] = (90, 120, 200)) -> bytes:
    """Build a real PNG of one colour (8-bit RGB, one filter byte per row)."""
    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG_HEAD + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


@dataclass(slots=True)
class ScriptedImageModel:
    """Image model that plays `script` in order, then paints. `requests` records every request.

    A failure in the script is raised, bytes are read as a picture, and None means a painted picture.
    """

    script: Sequence[bytes | BaseException | None] = ()
    requests: list[ImageRequest] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def generate(self, request: ImageRequest) -> Picture:
        """Return the next picture of the script, or raise the script's next failure; see `ImageModel.generate`."""
        with self.lock:
            number = len(self.requests)
            self.requests.append(request)
        told = self.script[number] if number < len(self.script) else None
        if isinstance(told, BaseException):
            raise told
        return picture_of(png(4 + number % 100) if told is None else told)
