"""PDF files in a request: their cost bounds, and their removal for a model that takes none. Pure.

A provider reads a PDF as the text and the picture of each page (https://platform.openai.com/docs/guides/pdf-files). The
text fits the model's window. The model's formula for images counts the pictures.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.ai.openai.passthrough import Json
from shared.kernel.errors import InvalidValue, Rejected

FILES = "files"
"""Capability of models that take PDF files in a prompt."""
PART_KINDS = frozenset({"file", "input_file"})
PDF_URL = re.compile(r"data:application/pdf;base64,", re.ASCII | re.IGNORECASE)
PDF_HEAD = b"%PDF-"
PAGES_MAX = 100
"""Largest number of PDF pages that providers take in one request."""
FILES_MAX = 20
NAME_CHARACTERS_MAX = 200
PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
REFERENCE = re.compile(rb"\d\s+\d+\s+R\b")
PACKED = b"/ObjStm"
"""Mark of compressed objects. Pages may be among such objects, so that nothing bounds their number."""
PAGE_TEXT_TOKENS = 800
LEFT_OUT = "[The file {name} was left out: this model takes no files.]"
WRONG = "must be a PDF as file_data: data:application/pdf;base64,… (other files have no price in tokens here)"


class ModelWithoutFiles(Rejected):
    """Refusal: the model takes no PDF files, so no file is sent to the model."""

    code = "model_without_files"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model} takes no files: send the text of the file, or choose a model whose capabilities name "
            "files. A file in an earlier message does not matter: it is left out.",
            model=model,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """Page count of a PDF: the apparent number, and an upper bound."""

    pages: int
    pages_at_most: int


def files_of(messages: object) -> tuple[PromptFile, ...]:
    """Return the PDF files in messages or items. Raises InvalidValue for other files, and for too many."""
    found = [_file(part) for message in _listed(messages) for part in _parts(message) if is_file(part)]
    if len(found) > FILES_MAX:
        raise InvalidValue("messages", f"may have at most {FILES_MAX} files")
    return tuple(found)


def is_file(part: Any) -> bool:
    """Return True for a part that is a file."""
    return isinstance(part, Mapping) and part.get("type") in PART_KINDS


def without_earlier_files(messages: Any) -> tuple[Any, list[str]]:
    """Return messages with a note for each earlier file, and the places of these files.

    Files before the user's last message are earlier files. Without the notes, a model that takes no files would refuse
    every later turn of the conversation.
    """
    last = max((at for at, message in enumerate(_listed(messages)) if _is_of_user(message)), default=-1)
    if not isinstance(messages, list) or not any(is_file(part) for each in messages[:last] for part in _parts(each)):
        return messages, []
    told, places = list[Any](), list[str]()
    for at, message in enumerate(messages):
        if at >= last or not any(map(is_file, _parts(message))):
            told.append(message)
            continue
        places += [f"{at}.content.{number}" for number, part in enumerate(message["content"]) if is_file(part)]
        told.append({**message, "content": [_noted(part) if is_file(part) else part for part in message["content"]]})
    return told, places


def _is_of_user(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") == "user"


def _noted(part: Json) -> Json:
    kind = "text" if part["type"] == "file" else "input_text"
    name = str(_described(part).get("filename") or "a PDF")[:NAME_CHARACTERS_MAX]
    return {"type": kind, "text": LEFT_OUT.format(name=name)}


def _described(part: Json) -> Json:
    inner = part.get("file") if part.get("type") == "file" else part
    return inner if isinstance(inner, Mapping) else {}


def _file(part: Json) -> PromptFile:
    url = _described(part).get("file_data")
    head = PDF_URL.match(url) if isinstance(url, str) else None
    if head is None or not isinstance(url, str):
        raise InvalidValue("file", WRONG)
    try:
        content = binascii.a2b_base64(url[head.end() :])
    except (binascii.Error, ValueError):
        raise InvalidValue("file", WRONG) from None
    if PDF_HEAD not in content[:1024]:
        raise InvalidValue("file", WRONG)
    return pages_of(content)


def pages_of(content: bytes) -> PromptFile:
    """Return the number of pages of a PDF, with a bound.

    Without compressed objects, every page has a readable reference.
    """
    seen = sum(1 for _ in PAGE.finditer(content))
    if PACKED in content:
        return PromptFile(pages=min(max(seen, 1), PAGES_MAX), pages_at_most=PAGES_MAX)
    references = sum(1 for _ in REFERENCE.finditer(content))
    at_most = min(max(references, seen, 1), PAGES_MAX)
    return PromptFile(pages=min(max(seen, 1), at_most), pages_at_most=at_most)


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _parts(message: Any) -> Iterator[Any]:
    content = message.get("content") if isinstance(message, Mapping) else None
    yield from _listed(content)
