"""Tokens of images: the published examples, every shape of picture, and what a hostile file says."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.provider.painting import painted
from shared.ai.models.catalogue import parse_model
from shared.ai.models.image_tokens import FORMULAS, KNOWN, UNKNOWN, PromptImage, formula_named, formula_of
from shared.ai.openai.image_sizes import HEAD_CHARACTERS_MAX, is_other_than_image, size_in
from shared.kernel.errors import InvalidValue
from shared.platform.memory.image_model import png
from tests.unit.ai.test_pictures import EXTENDED, JPEG, LOSSLESS, LOSSY, frame, jpeg, segment

CHAT = {
    "kind": "chat",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "1",
    "context_window": 1_000,
    "max_output_tokens": 100,
}
SIDES = st.integers(1, 20_000)


def url_of(content: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


def gif(width: int, height: int, *, image: tuple[int, int, int, int] | None = None, extension: bytes = b"") -> bytes:
    x, y, across, down = image or (0, 0, width, height)
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + extension + b"\x2c" + struct.pack("<HHHHB", x, y, across, down, 0) + b"\x02\x00\x3b"


# By the formula --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (1_024, 1_024), "high", 765),
        ("gpt-4o", (2_048, 4_096), "high", 1_105),
        ("gpt-4o", (4_096, 8_192), "low", 85),
        ("gpt-4o-2024-08-06", (512, 512), "auto", 255),
        ("openai/gpt-4o", (2_048, 768), "auto", 1_445),
        ("gpt-4o-mini", (1_024, 1_024), "high", 25_501),
        ("gpt-4o-mini", (1_024, 1_536), "high", 36_835),
        ("gpt-4o-mini-2024-07-18", (1_024, 1_024), "low", 2_833),
        ("gpt-5", (1_024, 1_024), "auto", 630),
        ("o3", (1_024, 1_024), "auto", 675),
        ("gpt-4.1-mini", (1_024, 1_024), "auto", 1_659),
        ("gpt-4.1-mini", (1_800, 2_400), "auto", 2_353),
        ("gpt-4.1-nano", (1_024, 1_024), "auto", 2_520),
        ("o4-mini", (1_024, 1_024), "auto", 1_762),
        ("gpt-5-nano", (32, 33), "auto", 5),
        ("google/gemini-2.5-flash", (384, 384), "auto", 258),
        ("gemini-2.0-flash", (960, 540), "auto", 1_548),
        ("gemini-3-pro-preview", (4_000, 4_000), "auto", 1_120),
        ("anthropic/claude-sonnet-4.5", (1_000, 1_000), "auto", 1_334),
        ("claude-opus-4-1", (200, 200), "auto", 54),
    ],
)
def test_an_image_is_expected_as_its_provider_publishes(model, size, detail, tokens):
    image, formula = PromptImage(size=size, detail=detail), formula_named(model)

    assert formula.expected(image) == tokens <= formula.at_most(image)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o", 1_445),
        ("gpt-4o-mini", 48_169),
        ("gpt-4.1-nano", 3_779),
        ("gemini-2.5-pro", 4_128),
        ("claude-sonnet-4-5", 4_800),
    ],
)
def test_an_image_is_expected_at_its_bound_when_only_the_provider_knows_its_size(model, tokens):
    formula = formula_named(model)

    assert formula.expected(PromptImage()) == formula.at_most(PromptImage()) == tokens


@pytest.mark.parametrize(
    "name", ["llama-4-maverick", "gpt-5.4", "gpt-4o-mini-audio-preview", "my-gpt-4o", "", "o3-like"]
)
def test_a_model_of_an_unknown_name_has_the_bound_of_any_model(name):
    assert formula_named(name) is UNKNOWN
    assert UNKNOWN.at_most(PromptImage(size=(1, 1), detail="low")) == 50_000


@given(
    st.sampled_from([*KNOWN.values(), UNKNOWN]), SIDES, SIDES, st.sampled_from(["low", "auto", "high", "original", "?"])
)
def test_an_expectation_is_within_the_bound_whatever_the_size(formula, width, height, detail):
    image, unknown = PromptImage(size=(width, height), detail=detail), PromptImage(detail=detail)

    assert 1 <= formula.expected(image) <= formula.at_most(image) <= formula.at_most(unknown)
    assert formula.at_most(unknown) <= UNKNOWN.at_most(unknown)


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.__name__)
def test_a_models_document_says_its_formula_by_numbers(formula):
    numbers = dict.fromkeys(formula.__dataclass_fields__, 7)

    model = parse_model("m", {**CHAT, "upstream_model": "gpt-4o", "image_tokens": numbers})

    assert model.image_formula == formula(**numbers) == formula_of(numbers)


def test_a_models_name_says_its_formula_when_its_document_does_not():
    model = parse_model("m", {**CHAT, "upstream_model": "gpt-4o"})

    assert model.image_formula == formula_named("gpt-4o")


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"base": 1},
        {"base": 1, "tile": -1},
        {"base": 1, "tile": 2.5},
        {"tiles": 1},
        {"base": True, "tile": 1},
        [],
        "85",
    ],
    ids=str,
)
def test_numbers_of_no_formula_are_refused_by_name(numbers):
    with pytest.raises(InvalidValue) as refusal:
        parse_model("m", {**CHAT, "image_tokens": numbers})

    assert refusal.value.params["field"] == "image_tokens"


# By the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [png(640, 480), painted("a fox", "640x480"), JPEG, LOSSY, LOSSLESS, EXTENDED, gif(640, 480)],
    ids=["png", "painted", "jpeg", "lossy webp", "lossless webp", "extended webp", "gif"],
)
@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "image/x-unheard.of", "image/png;name=a.png"])
def test_a_data_url_has_the_size_that_its_bytes_say(content, content_type):
    assert size_in(url_of(content, content_type)) == (640, 480)


def test_a_gif_is_as_large_as_the_image_that_leaves_its_screen():
    comment = b"\x21\xfe\x03abc\x00"

    assert size_in(url_of(gif(1, 1, image=(10, 20, 4_000, 3_000), extension=comment))) == (4_010, 3_020)


def test_a_jpeg_has_its_size_behind_profiles_and_thumbnails():
    parts = [segment(0xE1, b"Exif\0\0" + JPEG), segment(0xE2, bytes(60_000)), frame(0xC2, 3_000, 2_000)]

    assert size_in(url_of(jpeg(*parts))) == (3_000, 2_000)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "data:image/png,plain",
        "data:image/png;base64,",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,!!!!",
        url_of(b"RIFF\x04\0\0\0WEBP"),
        url_of(png(640, 480)[:20]),
        url_of(png(0, 480)),
        url_of(png(640, 480)[:16] + b"\xff" * 8),
        url_of(b"\x89PNG\r\n\x1a\n\0\0\0\x04JUNKabcd" + png(1, 1)[8:]),
        url_of(jpeg(frame(0xC0, 640, 0))),
        url_of(JPEG[:20]),
        url_of(b"\xff\xd8" + b"\xff" * 10_000),
        url_of(b"GIF89a\1\0\1\0\0\0\0\x21\xfe" + b"\xff" * 300),
        url_of(b"\xff\xd8" + segment(0xE2, bytes(65_000)) * 4 + JPEG[2:]),
        url_of(b"<svg width='1' height='1'/>"),
        url_of(png(640, 480)).replace("iVBORw0K", "iVBO\nRw0K"),
        "data:" + ";a=b" * 100_000,
    ],
    ids=lambda url: f"{len(url)}:{url[:40]}",
)
def test_a_url_has_no_size_when_it_is_no_readable_picture(url):
    assert size_in(url) is None


@given(st.sampled_from([png(8, 8), JPEG, LOSSY, EXTENDED, gif(8, 8)]), st.binary(max_size=40), st.integers(0, 60))
def test_a_damaged_head_has_a_size_or_none_and_never_fails(content, noise, at):
    size = size_in(url_of(content[:at] + noise + content[at + len(noise) :]))

    assert size is None or min(size) >= 1


def test_only_the_head_of_a_large_file_is_read():
    large = url_of(png(640, 480)) + "A" * HEAD_CHARACTERS_MAX * 4

    assert size_in(large) in {None, (640, 480)}


@pytest.mark.parametrize(
    ("url", "is_other"),
    [
        ("data:application/pdf;base64,JVBERi0=", True),
        ("DATA:video/mp4;base64,AAAA", True),
        ("data:,", True),
        ("data:image/png;base64,AAAA", False),
        ("https://example.com/a.pdf", False),
    ],
)
def test_a_data_url_of_another_type_is_told_from_an_image(url, is_other):
    assert is_other_than_image(url) == is_other
