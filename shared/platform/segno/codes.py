"""QR code of a text as an SVG picture."""

from io import BytesIO

BORDER_MODULES = 4
"""Width of the empty edge that ISO/IEC 18004 asks for."""


def qr_svg(text: str) -> bytes:
    """Return the QR code of a text as SVG, black on white. A code of which 15 % cannot be read can still be scanned."""
    import segno

    drawn = BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(
        drawn,
        kind="svg",
        border=BORDER_MODULES,
        dark="#000",
        light="#fff",
        svgclass=None,
        lineclass=None,
        omitsize=True,
    )
    return drawn.getvalue()
