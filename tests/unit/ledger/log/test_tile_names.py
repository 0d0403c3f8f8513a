"""Names of tiles in addresses: exactly C2SP's form, and no second form for the same tile."""

import pytest

from shared.ledger.log.tile_names import TileName, parse_tile_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0/000", TileName(level=0, number=0)),
        ("0/999", TileName(level=0, number=999)),
        ("1/x001/000", TileName(level=1, number=1_000)),
        ("0/x001/x234/067", TileName(level=0, number=1_234_067)),
        ("63/x001/x234/067.p/8", TileName(level=63, number=1_234_067, width=8)),
        ("2/005.p/255", TileName(level=2, number=5, width=255)),
    ],
)
def test_a_tile_has_one_name(text, name):
    assert str(name) == text
    assert parse_tile_name(*text.split("/", 1)) == name


@pytest.mark.parametrize(
    "text",
    [
        "00/000", "64/000", "-1/000", "a/000", "0/0", "0/00", "0/0000", "0/x000/000", "0/x001/x000", "0/001/000",
        "0/X001/000", "0/x0001/000", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p", "0/000/",
        "0/000.p/5/", "0/000.p/-5", "0/٠٠٠", "0/" + "x001/" * 6 + "000", "0/" + "x001/" * 400 + "000", "0/000\n", "0/",
    ],
)  # fmt: skip
def test_a_text_that_names_no_tile_is_none(text):
    level, rest = text.split("/", 1)

    assert parse_tile_name(level, rest) is None
