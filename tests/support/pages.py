"""The code on a page of the documentation, as one module."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def code_of(page: str, language: str) -> str:
    """Return all code blocks of a language on a page, in order. Raises AssertionError if there are none."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks, f"{page} has no code in {language}"
    return "\n".join(blocks)
