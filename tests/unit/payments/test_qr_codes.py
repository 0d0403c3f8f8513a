"""QR codes of the payer's page, read back by another library from the pixels that the SVG describes."""

import re
import sys

import pytest
import zxingcpp

from shared.platform.segno.codes import BORDER_MODULES, qr_svg
from tests.support.qr_pixels import pixels_of

ADDRESS = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
URI = "bitcoin:bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu?amount=0.00009312"


@pytest.mark.parametrize("text", [ADDRESS, URI, "x", "a" * 300])
def test_qr_code_reads_as_its_text(text):
    (found,) = zxingcpp.read_barcodes(pixels_of(qr_svg(text).decode()))

    assert found.text == text


def test_qr_code_is_black_on_white_with_the_standard_s_edge():
    svg = qr_svg(ADDRESS).decode()

    assert re.findall(r'(?:fill|stroke)="([^"]+)"', svg) == ["#fff", "#000"]
    assert min(int(x) for x in re.findall(r"M(\d+) ", svg)[1:]) == BORDER_MODULES
    assert re.search(r"<script|style=|href=|on\w+=", svg) is None


def test_module_of_qr_codes_loads_segno_late():
    assert "segno" not in vars(sys.modules[qr_svg.__module__])
