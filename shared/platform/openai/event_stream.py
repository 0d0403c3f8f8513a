"""Parser of server-sent events (WHATWG HTML, 9.2) as providers send them, and of their JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shared.ai.openai.passthrough import Json
from shared.ai.openai.wire_texts import RaggedObject

EVENT_BYTES_MAX = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
END = b"[DONE]"
FAILED = "error"
FAILURES = frozenset({FAILED, "exception"})
"""Names of events that tell of a failure."""


@dataclass(frozen=True, slots=True)
class Event:
    """Server-sent event. `is_cut`: the stream ended before the blank line that ends an event."""

    name: str
    data: bytes
    is_cut: bool = False


def events(parts: Iterable[bytes]) -> Iterator[Event]:
    """Yield each event that has data, wherever the bytes were split. Raises ValueError if an event is too large."""
    name, lines, size = "", list[bytes](), 0
    for line in _lines(parts):
        if not line:
            if any(lines):
                yield Event(name, b"\n".join(lines))
            name, lines, size = "", [], 0
            continue
        size += len(line)
        if size > EVENT_BYTES_MAX:
            raise ValueError("an event is too large")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    if any(lines):
        yield Event(name, b"\n".join(lines), is_cut=True)


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each line without its end (LF, CR or CRLF).

    The last line may lack an end. Raises ValueError for too long a line.
    """
    begun, size, ends_with_cr, is_first = list[bytes](), 0, False, True
    for part in _without_bom(parts):
        if ends_with_cr and part.startswith(b"\n"):
            part = part[1:]  # noqa: PLW2901  # the second half of a line's end
        ends_with_cr = part.endswith(b"\r")
        pieces = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        is_first = False
        for piece in pieces[:-1]:
            yield b"".join([*begun, piece])
            begun, size = [], 0
        begun.append(pieces[-1])
        size += len(pieces[-1])
        if size > EVENT_BYTES_MAX:
            raise ValueError("an event is too large")
    if not is_first and any(begun):
        yield b"".join(begun)


def _without_bom(parts: Iterable[bytes]) -> Iterator[bytes]:
    head, is_begun = b"", False
    for part in parts:
        if is_begun:
            yield part
            continue
        head += part
        if len(head) >= len(BOM) or not BOM.startswith(head):
            is_begun = True
            yield head.removeprefix(BOM)
    if not is_begun and head:
        yield head


def is_end(data: bytes) -> bool:
    """Return True if this is the last event of OpenAI's protocol."""
    return data.strip()[: len(END)].upper() == END


def told(event: Event) -> Json | None:
    """Return the object of an event; None if the event was cut, or if its JSON is not an object.

    An event named `error` or `exception` is returned with the type `error`, regardless of its data. Raises ValueError
    for any other event without JSON.
    """
    try:
        value = parsed(event.data)
    except ValueError:
        if event.is_cut:
            return None
        if event.name not in FAILURES:
            raise
        value = event.data.decode("utf-8", "replace")
    if event.name in FAILURES:
        return {"message": value, "type": FAILED} if not isinstance(value, dict) else {**value, "type": FAILED}
    if isinstance(value, dict):
        return value
    return None


def parsed(data: bytes) -> Any:
    """Parse JSON. Raises ValueError.

    Texts with a broken character (half a surrogate pair, invalid UTF-8) and non-finite numbers are accepted, as some
    providers send them.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        value = json.loads(data.removeprefix(BOM).decode("utf-8", "replace"))
    return RaggedObject(value) if isinstance(value, dict) else value
