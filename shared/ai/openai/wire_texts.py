"""Texts as providers send them: content in parts, and characters cut in two. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from shared.ai.openai.passthrough import Json

HIGH_HALF = ("\ud800", "\udbff")
BAD_CHARACTER = "\ufffd"
LEAST_LOG_PROBABILITY = -9999.0
"""Number that OpenAI gives for an impossible token, since JSON knows no infinity."""
TEXT_PARTS = frozenset({"text", "output_text", "input_text"})
THINKING_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "thought"})


class RaggedObject(dict[str, Any]):
    """JSON object whose texts may hold halves of characters, like the JSON that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentGroups:
    """Message content in groups: text, thinking, refusal and other parts.

    A text is "" if the content has no such part.
    """

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    others: tuple[Json, ...] = ()


def content_of(value: object) -> ContentGroups:
    """Return the groups of a content, which may be a text, one part or a list of parts."""
    if isinstance(value, str):
        return ContentGroups(text=value)
    parts = value if isinstance(value, list) else [value] if isinstance(value, Mapping) else []
    texts, thoughts, refusals, others = list[str](), list[str](), list[str](), list[Json]()
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            kind = part.get("type", "text")
            if kind in THINKING_PARTS:
                thoughts.append(_inner_text(part, ("thinking", "text", "reasoning", "content", "summary")))
            elif kind == "refusal":
                refusals.append(_inner_text(part, ("refusal", "text")))
            elif kind in TEXT_PARTS and (isinstance(part.get("text"), str | Mapping) or "text" in part):
                texts.append(_inner_text(part, ("text",)))
            else:
                others.append(part)
    return ContentGroups(
        text="".join(texts), thinking="".join(thoughts), refusal="".join(refusals), others=tuple(others)
    )


def _inner_text(part: Json, names: tuple[str, ...]) -> str:
    """Return the first text under these names: a plain text, a text in an object, or the joined texts of a list."""
    value = next((part[name] for name in names if part.get(name)), "")
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _inner_text(value, ("value", "text"))
    found = value if isinstance(value, list) else []
    return "".join(
        each if isinstance(each, str) else _inner_text(each, ("text", "thinking"))
        for each in found
        if isinstance(each, str | Mapping)
    )


class HalfCharacters:
    """Joiner of texts that come in pieces, so that a character cut in two is whole again."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[str, str] = {}

    def join(self, name: str, piece: str) -> str:
        """Return the piece behind the half character that the text's earlier piece ended with.

        If the piece itself ends with half a character, this half is left out until the next piece. `name` is the text's
        name.
        """
        if piece.isascii() and not self._pending:
            return piece
        text = self._pending.pop(name, "") + piece
        if text and HIGH_HALF[0] <= text[-1] <= HIGH_HALF[1]:
            self._pending[name], text = text[-1], text[:-1]
        return whole_characters(text)

    def rest(self) -> dict[str, str]:
        """Return a replacement character for each text that ended with half a character."""
        left, self._pending = dict.fromkeys(self._pending, BAD_CHARACTER), {}
        return left


def whole_characters(text: str) -> str:
    """Return the text with halves of characters joined, or replaced where the other half is missing."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cleaned(value: Any) -> Any:
    """Return a JSON value whose texts are whole, and whose numbers JSON can say."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, float) and not isfinite(value):
        return None if isnan(value) or value > 0 else LEAST_LOG_PROBABILITY
    if isinstance(value, Mapping):
        return {cleaned(name): cleaned(each) for name, each in value.items()}
    return [cleaned(each) for each in value] if isinstance(value, list) else value
