"""Token counts as the stand-in provider bills them: a rule of its own, in the manner of OpenAI's o200k vocabulary.

Prose costs about what o200k makes of it. Text that no vocabulary knows costs much more: random letters, base64, mixed
white space and rare scripts. The backend's own estimate shares no code with this rule, so that a test can tell when the
estimate is too low. A text never has more tokens than UTF-8 bytes.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

TOKENS_PER_MESSAGE = 4
TOKENS_PER_PROMPT = 3
WORD_LETTERS = 7
"""A word that looks like language is one token per so many letters."""
SPACES_PER_TOKEN = 16
DIGITS_PER_TOKEN = 3
SIGNS_PER_TOKEN = 2

PIECE = re.compile(
    r"(?P<word> ?(?:[A-Z]?[a-z]+|[A-Z]+(?![a-z])))|(?P<digits>[0-9]{1,3})|(?P<sign> ?[!-/:-@\[-`{-~]+)"
    r"|(?P<wide> ?[^\x00-\x7f]+)|(?P<blank>(?P<one>[ \t\n\r\f\v])(?P=one)*)|(?P<control>[\x00-\x1f\x7f])",
    re.ASCII,
)
UNSPEAKABLE = re.compile(r"[^aeiouy]{4}|[aeiouy]{4}|^[^aeiouy]{3}|[jqxz][^aeiou]", re.IGNORECASE)
COMMON_SCRIPTS = (
    (0x00A0, 0x024F, 3),
    (0x0370, 0x03FF, 3),
    (0x0400, 0x052F, 4),
    (0x0590, 0x06FF, 3),
    (0x0900, 0x097F, 4),
)
"""First and last code point, and how many characters make a token: Latin, Greek, Cyrillic, Hebrew and Arabic, Hindi."""
IDEOGRAPHS = (0x3040, 0x9FFF)
HANGUL = (0xAC00, 0xD7A3)


def text_tokens(text: str) -> int:
    """Count the tokens of `text`; at most its UTF-8 bytes."""
    return sum(map(_piece_tokens, PIECE.finditer(text)))


def chat_tokens(messages: Iterable[Json], *more: Any) -> int:
    """Count the tokens of a prompt without its images: messages, and schemas or tools as JSON."""
    counted = sum(TOKENS_PER_MESSAGE + text_tokens(message_text(message)) for message in messages)
    return TOKENS_PER_PROMPT + counted + sum(text_tokens(_compact(each)) for each in more if each)


def message_text(message: Json) -> str:
    """Everything a model reads of a message: text parts, tool calls, a result."""
    calls = message.get("tool_calls") or ()
    called = "".join(_compact(call.get("function") or {}) for call in calls if isinstance(call, dict))
    return content_text(message.get("content")) + called


def content_text(content: Any) -> str:
    """The text among the parts of a message."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _piece_tokens(match: re.Match[str]) -> int:
    kind, piece = match.lastgroup, match.group()
    if kind == "word":
        return _word_tokens(piece.strip())
    if kind == "blank":
        return -(-len(piece) // (SPACES_PER_TOKEN if piece[0] in " \t\n" else 1))
    if kind == "wide":
        return min(len(piece.encode()), -(-sum(map(_sixtieths, piece.strip())) // 60))
    return -(-len(piece.strip()) // {"digits": DIGITS_PER_TOKEN, "sign": SIGNS_PER_TOKEN, "control": 1}[str(kind)])


def _word_tokens(word: str) -> int:
    if len(word) <= 3 or not UNSPEAKABLE.search(word):  # noqa: PLR2004  # every vocabulary knows the short ones
        return -(-len(word) // WORD_LETTERS)
    return -(-len(word) // 2)


def _sixtieths(character: str) -> int:
    """Tokens of one character in sixtieths: a third for common scripts, bytes for those that few vocabularies know."""
    point = ord(character)
    for first, last, per_token in COMMON_SCRIPTS:
        if first <= point <= last:
            return 60 // per_token
    if IDEOGRAPHS[0] <= point <= IDEOGRAPHS[1]:
        return 45
    if HANGUL[0] <= point <= HANGUL[1]:
        return 40
    return 60 * len(character.encode("utf-8", "replace")) * 2 // 3
