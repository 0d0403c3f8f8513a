"""Token counts as the stand-in provider bills them: a separate rule, in the manner of OpenAI's o200k vocabulary.

Prose costs about as many tokens as in o200k. Text that no vocabulary knows costs much more: random letters, base64,
mixed white space and rare scripts. The backend's own estimate shares no code with this rule, so that a test can tell
when the estimate is too low. A text never has more tokens than UTF-8 bytes.
"""

import json
import re
from collections.abc import Iterable
from math import ceil
from typing import Any

Json = dict[str, Any]

TOKENS_PER_MESSAGE = 4
TOKENS_PER_PROMPT = 3
WORD_LETTERS = 9
"""Letters in one token of a word that looks like language."""
SPACES_PER_TOKEN = 64
DIGITS_PER_TOKEN = 3
SIGNS_PER_TOKEN = 2
LETTERS_OF_A_LONG_WORD = 24
RUN_ON_LETTERS = 4
"""Letters in one token of words without spaces between them."""

PIECE = re.compile(
    r"(?P<word> ?(?:[A-Z]?[a-z]+|[A-Z]+(?![a-z])))|(?P<digits>[0-9]{1,3})|(?P<sign> ?[!-/:-@\[-`{-~]+)"
    r"|(?P<wide> ?[^\x00-\x7f]+)|(?P<blank>[ \t\n\r\f\v]+)|(?P<control>[\x00-\x1f\x7f])",
    re.ASCII,
)
SAME = re.compile(r"(.)\1*", re.DOTALL)
UNSPEAKABLE = re.compile(r"[^aeiouy]{4}|[aeiouy]{4}|^[^aeiouy]{3}|[jqxz][^aeiou]", re.IGNORECASE)
COMMON_SCRIPTS = (
    (0x00A0, 0x024F, 3),
    (0x0370, 0x03FF, 3),
    (0x0400, 0x052F, 4),
    (0x0590, 0x06FF, 3),
    (0x0900, 0x0DFF, 4),
)
"""First and last code point, and how many characters make a token: Latin, Greek, Cyrillic, Hebrew, Arabic, India's."""
DEARER_SCRIPTS = ((0x3040, 0x9FFF, 45), (0xAC00, 0xD7A3, 40), (0x1200, 0x137F, 130), (0x1F000, 0x1FAFF, 150))
"""First and last code point, and sixtieths of a token each: Chinese and Japanese, Korean, Ethiopic, emoji."""


def text_tokens(text: str) -> int:
    """Return the number of tokens of `text`, at most the number of UTF-8 bytes."""
    return sum(map(_piece_tokens, PIECE.finditer(text)))


def chat_tokens(messages: Iterable[Json], *more: Any) -> int:
    """Return the number of tokens of a prompt without images: messages, and schemas or tools as JSON."""
    counted = sum(TOKENS_PER_MESSAGE + text_tokens(message_text(message)) for message in messages)
    return TOKENS_PER_PROMPT + counted + sum(text_tokens(_compact(each)) for each in more if each)


def message_text(message: Json) -> str:
    """Return all text of a message that a model reads: text parts, tool calls, a tool's result."""
    calls = message.get("tool_calls") or ()
    called = "".join(_compact(call.get("function") or {}) for call in calls if isinstance(call, dict))
    return content_text(message.get("content")) + called


def content_text(content: Any) -> str:
    """Return the text of a message's content: the content itself, or the text parts joined."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _piece_tokens(match: re.Match[str]) -> int:
    kind, piece = match.lastgroup, match.group()
    if kind == "word":
        return _word_tokens(piece.removeprefix(" "))
    if kind == "blank":
        changes = sum(-(-len(run.group()) // SPACES_PER_TOKEN) for run in SAME.finditer(piece))
        return -(-changes * 3 // 4)
    if kind == "wide":
        return _wide_tokens(piece.removeprefix(" "))
    return -(-len(piece.strip()) // {"digits": DIGITS_PER_TOKEN, "sign": SIGNS_PER_TOKEN}.get(str(kind), 1)) or 1


def _word_tokens(word: str) -> int:
    """A word that looks like language is few tokens, each part that no language has is more, up to 3 for 5 letters."""
    if len(word) <= 3:  # noqa: PLR2004  # every vocabulary knows the short ones
        return 1
    letters = WORD_LETTERS if len(word) <= LETTERS_OF_A_LONG_WORD else RUN_ON_LETTERS
    odd = len(UNSPEAKABLE.findall(word))
    return ceil(max(len(word) / letters, min(len(word) / letters + 2.5 * odd, len(word) * 0.6)))


def _wide_tokens(word: str) -> int:
    """A word of another script; no language has words of such a length that these are not letters at random."""
    tokens = -(-sum(map(_sixtieths, word)) // 60)
    return min(len(word.encode()), max(tokens, len(word) if len(word) > LETTERS_OF_A_LONG_WORD else 0))


def _sixtieths(character: str) -> int:
    """Tokens of one character in sixtieths: a third for common scripts, bytes for those that few vocabularies know."""
    point = ord(character)
    for first, last, per_token in COMMON_SCRIPTS:
        if first <= point <= last:
            return 60 // per_token
    for first, last, sixtieths in DEARER_SCRIPTS:
        if first <= point <= last:
            return sixtieths
    return 60 * len(character.encode("utf-8", "replace"))
