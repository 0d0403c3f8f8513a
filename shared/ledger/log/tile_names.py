"""Names of tiles in addresses (C2SP tlog-tiles): `0/x001/x234/067` is full, `0/x001/x234/067.p/12` has 12 hashes."""

import re
from dataclasses import dataclass

from shared.ledger.log.tiles import TILE_HEIGHT, TILE_WIDTH

LEVEL_MAX = 63
PART_DIGITS = 3
PARTS_MAX = 6
"""Most parts of an index. The largest log has less than 2^62 leaves, so less than 10^18 tiles a level."""
_LEVEL = re.compile(r"0|[1-9][0-9]?", re.ASCII)
_PARTS = re.compile(rf"(?:x[0-9]{{3}}/){{0,{PARTS_MAX - 1}}}[0-9]{{3}}", re.ASCII)
_WIDTH = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_PARTIAL = ".p/"


@dataclass(frozen=True, slots=True, kw_only=True)
class TileName:
    """Tile `number` of a level. `width` is the number of its hashes, 1 to 256."""

    level: int
    number: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        """Return the name as it stands in an address."""
        digits = str(self.number)
        digits = digits.zfill(-(-len(digits) // PART_DIGITS) * PART_DIGITS)
        *first, last = (digits[at : at + PART_DIGITS] for at in range(0, len(digits), PART_DIGITS))
        parts = "/".join([*(f"x{part}" for part in first), last])
        return f"{self.level}/{parts}" + ("" if self.width == TILE_WIDTH else f"{_PARTIAL}{self.width}")

    @property
    def end(self) -> int:
        """Number of leaves in the smallest tree that has all of this tile."""
        return (self.number * TILE_WIDTH + self.width) << (TILE_HEIGHT * self.level)


def parse_tile_name(level: str, rest: str) -> TileName | None:
    """Return the tile of this level with this index and width in C2SP's form; None if this is no name of a tile."""
    parts, partial, width = rest.partition(_PARTIAL)
    if not (_LEVEL.fullmatch(level) and int(level) <= LEVEL_MAX and _PARTS.fullmatch(parts)):
        return None
    if partial and not (_WIDTH.fullmatch(width) and int(width) < TILE_WIDTH):
        return None
    number = int(parts.replace("/", "").replace("x", ""))
    name = TileName(level=int(level), number=number, width=int(width) if partial else TILE_WIDTH)
    return name if str(name) == f"{level}/{rest}" else None
