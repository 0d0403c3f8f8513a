"""Counts the characters whose tokens are counted: seen by the interpreter, so that no caller can go around it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from shared.ai import tokens


@dataclass(slots=True)
class CountedTexts:
    """Characters of texts whose tokens were counted, and the number of such texts."""

    characters: int = 0
    texts: int = 0


@contextmanager
def counted_texts() -> Iterator[CountedTexts]:
    """Count the texts that this thread counts the tokens of."""
    counted = CountedTexts()

    def called(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is tokens._cost.__code__:
            counted.characters += len(frame.f_locals["text"])
            counted.texts += 1

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield counted
    finally:
        sys.setprofile(before)
