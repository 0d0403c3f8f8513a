"""QR codes of the payer's page, read back by another library from the pixels that the SVG describes."""

import re
import sys

import pytest
import zxingcpp

from shared.platform.segno.codes import BORDER_MODULES, qr_svg

ADDRESS = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
URI = "bitcoin:bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu?amount=0.00009312"
MODULE_PIXELS = 4


@pytest.mark.parametrize("text", [ADDRESS, URI, "x", "a" * 300])
def test_qr_code_reads_as_its_text(text):
    (found,) = zxingcpp.read_barcodes(pixels(qr_svg(text)))

    assert found.text == text


def test_qr_code_is_black_on_white_with_the_standard_s_edge():
    svg = qr_svg(ADDRESS).decode()

    assert re.findall(r'(?:fill|stroke)="([^"]+)"', svg) == ["#fff", "#000"]
    assert min(int(x) for x in re.findall(r"M(\d+) ", svg)[1:]) == BORDER_MODULES
    assert re.search(r"<script|style=|href=|on\w+=", svg) is None


def pixels(svg: bytes) -> memoryview:
    """Draw the strokes of the SVG, a row of modules each, in grey."""
    text = svg.decode()
    (size,) = re.findall(r'viewBox="0 0 (\d+) \1"', text)
    (path,) = re.findall(r'stroke="#000" d="([^"]+)"', text)
    side = int(size)
    grid = [[255] * side for _ in range(side)]
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


def test_module_of_qr_codes_loads_segno_late():
    assert "segno" not in vars(sys.modules[qr_svg.__module__])
