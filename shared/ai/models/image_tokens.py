"""Tokens that a model takes for an image, by the formula that the model's provider publishes.

Sources: OpenAI, "Images and vision", costs; Google, "Understand and count tokens"; Anthropic, "Vision". A model's
document may give the formula as numbers (`image_tokens`). Without numbers, the model's name decides. For an unknown
name only a bound is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import Final, Protocol

Size = tuple[int, int]
"""Width and height in pixels."""

LOW = "low"
ORIGINAL = "original"
NUMBER_MAX = 1_000_000

FIT_SIDE, SHORT_SIDE, TILE_SIDE, TILES_MAX = 2_048, 768, 512, 8
PATCH_SIDE, ORIGINAL_PATCHES_MAX = 32, 10_000
SQUARE_SMALL, SQUARE_SIDE, SQUARES_MAX = 384, 768, 16
UNKNOWN_EXPECTED, UNKNOWN_AT_MOST = 1_600, 50_000
"""Expected tokens of an image for an unknown model, and the bound.

The bound is more than any model of today takes for one image: GPT-4o mini counts 2,833 and 5,667 for each tile.
"""
WINDOW_TOKENS = UNKNOWN_EXPECTED
"""Most tokens that an image takes of a model's window. Cheap models bill multiples, but the surplus takes no window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptImage:
    """Image of a prompt. `size` is None if only the provider can know the size: for an address or a damaged file."""

    size: Size | None = None
    detail: str = "auto"


class ImageFormula(Protocol):
    """Formula for the tokens of one image."""

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown."""
        ...

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """OpenAI's tiles: the image is fitted into 2,048 pixels, the short side into 768, and cut into tiles of 512."""

    base: int
    tile: int

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown.

        See `ImageFormula.expected`.
        """
        if image.size is None or image.detail == LOW:
            return self.at_most(image)
        return self.base + self.tile * _tiles(image.size, enlarges=False)

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image; see `ImageFormula.at_most`.

        The description does not exclude that small images are enlarged.
        """
        if image.detail == LOW:
            return self.base
        tiles = TILES_MAX if image.size is None else _tiles(image.size, enlarges=True)
        return self.base + self.tile * tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """OpenAI's patches of 32 pixels: the image is scaled down to `patches`, each `patch_percent` of a token."""

    patch_percent: int
    patches: int

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown.

        See `ImageFormula.expected`.
        """
        if image.size is None:
            return self.at_most(image)
        return self._tokens(_patches(image.size, self._most(image)))

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image; see `ImageFormula.at_most`."""
        most = self._most(image)
        return self._tokens(most if image.size is None else min(most, _covering(image.size, PATCH_SIDE)))

    def _most(self, image: PromptImage) -> int:
        return max(self.patches, ORIGINAL_PATCHES_MAX) if image.detail == ORIGINAL else self.patches

    def _tokens(self, patches: int) -> int:
        return -(-patches * self.patch_percent // 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Anthropic's area: a token for each `pixels_per_token`, `most` at most."""

    pixels_per_token: int
    most: int

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown.

        See `ImageFormula.expected`.
        """
        return self.at_most(image)

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image; see `ImageFormula.at_most`."""
        if image.size is None:
            return self.most
        return min(self.most, -(-image.size[0] * image.size[1] // max(1, self.pixels_per_token)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """Google's squares: one for a small image; a larger image is cut into squares by the short side."""

    square: int

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown.

        See `ImageFormula.expected`.
        """
        return self.square * (SQUARES_MAX if image.size is None else min(SQUARES_MAX, _squares(image.size)))

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image; see `ImageFormula.at_most`.

        Versions cut differently, so only a small image is sure to be one square.
        """
        is_small = image.size is not None and max(image.size) <= SQUARE_SMALL
        return self.square * (1 if is_small else SQUARES_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The same `tokens` for each image, and never more than `tokens_most`."""

    tokens: int
    tokens_most: int

    def expected(self, image: PromptImage) -> int:
        """Return the expected tokens of the image: the bound, if the size is unknown.

        See `ImageFormula.expected`.
        """
        return self.tokens

    def at_most(self, image: PromptImage) -> int:
        """Return the most tokens of the image; see `ImageFormula.at_most`."""
        return max(self.tokens, self.tokens_most)


FORMULAS: Final = (Tiles, Patches, Area, Squares, Flat)
NUMBERS_OF: Final = {frozenset(field.name for field in fields(formula)): formula for formula in FORMULAS}
UNKNOWN: Final = Flat(tokens=UNKNOWN_EXPECTED, tokens_most=UNKNOWN_AT_MOST)

KNOWN: Final[Mapping[str, ImageFormula]] = {
    "gpt-4o|gpt-4.1|gpt-4.5-preview|chatgpt-4o|gpt-4-turbo": Tiles(base=85, tile=170),
    "gpt-4o-mini": Tiles(base=2_833, tile=5_667),
    "gpt-5": Tiles(base=70, tile=140),
    "o1|o1-pro|o3|o3-pro": Tiles(base=75, tile=150),
    "computer-use-preview": Tiles(base=65, tile=129),
    "gpt-4.1-mini|gpt-5-mini": Patches(patch_percent=162, patches=1_536),
    "gpt-4.1-nano|gpt-5-nano": Patches(patch_percent=246, patches=1_536),
    "o4-mini": Patches(patch_percent=172, patches=1_536),
    r"gemini-(1\.5|2\.0|2\.5)-[a-z-]+": Squares(square=258),
    r"gemini-3[a-z0-9.-]*": Flat(tokens=1_120, tokens_most=2_240),
    r"claude-[a-z0-9.-]+": Area(pixels_per_token=750, most=4_800),
}
"""Formulas by the upstream's name of a model, without the provider before it and the date behind it."""
DATED: Final = r"(-chat)?(-latest|-preview|-\d{4}-?\d{2}-?\d{2}|-\d{3,4})?"
_KNOWN: Final = tuple((re.compile(f"(?:{names}){DATED}", re.ASCII), formula) for names, formula in KNOWN.items())


def formula_named(upstream_model: str) -> ImageFormula:
    """Return the formula of a model that is known by name, else a bound for any model."""
    name = upstream_model.rpartition("/")[2].partition(":")[0]
    return next((formula for pattern, formula in _KNOWN if pattern.fullmatch(name)), UNKNOWN)


def is_known(upstream_model: str) -> bool:
    """Return True if the name alone says the formula."""
    return formula_named(upstream_model) is not UNKNOWN


def formula_of(numbers: Mapping[str, int]) -> ImageFormula | None:
    """Return the formula that has exactly these numbers, or None."""
    are_numbers = all(type(number) is int and 0 <= number <= NUMBER_MAX for number in numbers.values())
    formula = NUMBERS_OF.get(frozenset(numbers)) if are_numbers else None
    return formula(**numbers) if formula else None


def _tiles(size: Size, *, enlarges: bool) -> int:
    long, short = max(size), min(size)
    fitted = min(Fraction(1), Fraction(FIT_SIDE, long))
    to_short_side = Fraction(SHORT_SIDE, short)
    if enlarges:
        to_short_side = min(to_short_side, Fraction(FIT_SIDE, long))
    scale = to_short_side if enlarges else min(fitted, to_short_side)
    return _covering((ceil(long * scale), ceil(short * scale)), TILE_SIDE)


def _patches(size: Size, most: int) -> int:
    """Return the patches of an image, scaled down to at most `most` patches as OpenAI describes."""
    if (patches := _covering(size, PATCH_SIDE)) <= most:
        return patches
    width, height = size
    # The scale is a square root: to a millionth of it, and downwards.
    scale = Fraction(isqrt(PATCH_SIDE**2 * most * 10**12 // (width * height)), 10**6)
    across, down = width * scale / PATCH_SIDE, height * scale / PATCH_SIDE
    shrink = min(Fraction(max(1, floor(each))) / each for each in (across, down))
    return max(1, min(most, ceil(across * shrink) * ceil(down * shrink)))


def _squares(size: Size) -> int:
    if max(size) <= SQUARE_SMALL:
        return 1
    unit = min(SQUARE_SIDE, max(256, floor(Fraction(min(size) * 2, 3))))
    return _covering(size, unit)


def _covering(size: Size, side: int) -> int:
    return -(-size[0] // side) * -(-size[1] // side)
