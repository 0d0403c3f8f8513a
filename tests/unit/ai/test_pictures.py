"""What a file is, told by its own bytes; anything that is not a whole picture is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.provider.painting import painted
from shared.ai.pictures import PICTURE_BYTES_MAX, NoPicture, picture_of
from shared.platform.memory.image_model import png


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def frame(marker: int, width: int, height: int) -> bytes:
    return segment(marker, struct.pack(">BHHB", 8, height, width, 3) + b"\x01\x11\0" * 3)


def jpeg(*parts: bytes) -> bytes:
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x12\xff\0\x34"
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0" + bytes(9)) + b"".join(parts) + scan + b"\xff\xd9"


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


LOSSY = webp(b"VP8 ", b"\x30\x01\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 1 << 14, 480) + bytes(8))
LOSSLESS = webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14) + bytes(7))
EXTENDED = webp(b"VP8X", bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"))
JPEG = jpeg(frame(0xC0, 640, 480))
PICTURES = {
    "png": (png(640, 480), "image/png"),
    "the stand-in's png": (painted("a fox", "640x480"), "image/png"),
    "jpeg": (JPEG, "image/jpeg"),
    "progressive jpeg": (jpeg(frame(0xC2, 640, 480)), "image/jpeg"),
    "jpeg with tables and fill bytes first": (
        jpeg(segment(0xDB, bytes(65)), segment(0xC4, bytes(20)), b"\xff\xff", frame(0xC0, 640, 480)),
        "image/jpeg",
    ),
    "padded jpeg": (JPEG + bytes(3), "image/jpeg"),
    "lossy webp": (LOSSY, "image/webp"),
    "lossless webp": (LOSSLESS, "image/webp"),
    "extended webp": (EXTENDED, "image/webp"),
}
NO_PICTURES = {
    "nothing": b"",
    "text": b"I cannot paint that.",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "html that begins like a gif": b"GIF89a<script>alert(1)</script>",
    "a png's signature alone": b"\x89PNG\r\n\x1a\n",
    "a png cut at its end": png(8, 8)[:-1],
    "a png with something behind it": png(8, 8) + b"<script>",
    "a png without pixels": png(8, 8)[:16] + bytes(8) + png(8, 8)[24:],
    "a png of impossible size": png(8, 8)[:16] + b"\xff" * 8 + png(8, 8)[24:],
    "a jpeg cut at its end": JPEG[:-2],
    "a jpeg without a frame": jpeg(),
    "a jpeg whose segments lead nowhere": b"\xff\xd8\xff\xe0\xff\xff\xff\xd9",
    "a webp of another length": LOSSY[:-4],
    "a sound in a RIFF": b"RIFF" + LOSSY[4:8] + b"WAVE" + LOSSY[12:],
    "a webp of no kind": webp(b"ALPH", bytes(20)),
    "a webp of nothing": webp(b"VP8L", b""),
}


@pytest.mark.parametrize(("content", "content_type"), PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_tells_its_type_and_size(content, content_type):
    picture = picture_of(content)

    assert (picture.content_type, picture.width, picture.height) == (content_type, 640, 480)
    assert picture.content == content


@pytest.mark.parametrize("content", NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_what_is_no_whole_picture_is_refused(content):
    with pytest.raises(NoPicture):
        picture_of(content)


def test_a_picture_is_bounded():
    huge = png(8, 8)[:-12] + bytes(PICTURE_BYTES_MAX) + png(8, 8)[-12:]

    with pytest.raises(NoPicture, match="larger"):
        picture_of(huge)


@given(st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"]), st.binary(max_size=64))
def test_whatever_follows_a_signature_is_a_picture_or_refused(head, rest):
    try:
        picture = picture_of(head + rest)
    except NoPicture:
        return
    assert picture.width >= 1
    assert picture.height >= 1
