"""Pixels of a QR code that was drawn as SVG, for a reader that is not the one who drew."""

import re

MODULE_PIXELS = 4


def pixels_of(svg: str) -> memoryview:
    """Draw the strokes of the SVG in grey: black modules on white, row by row."""
    (size,) = re.findall(r'viewBox="0 0 (\d+) \1"', svg)
    (path,) = re.findall(r'stroke="#000" d="([^"]+)"', svg)
    grid = [[255] * int(size) for _ in range(int(size))]
    x = y = 0.0
    for letter, arguments in re.findall(r"([Mmh])([-\d. ]+)", path):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        if letter == "h":
            for column in range(int(x), int(x + numbers[0])):
                grid[int(y)][column] = 0
            x += numbers[0]
        else:
            x, y = (numbers[0], numbers[1]) if letter == "M" else (x + numbers[0], y + numbers[1])
    rows = [[grey for grey in row for _ in range(MODULE_PIXELS)] for row in grid for _ in range(MODULE_PIXELS)]
    return memoryview(bytes(grey for row in rows for grey in row)).cast("B", (len(rows), len(rows[0])))
