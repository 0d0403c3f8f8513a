"""Server-sent events (WHATWG HTML, 9.2) as providers send them, and the JSON in them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shared.ai.passthrough import Json
from shared.ai.wire_texts import Ragged

EVENT_BYTES_MAX = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"
END = b"[DONE]"
FAILED = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `is_cut`: the stream ended before the blank line that ends an event."""

    name: str
    data: bytes
    is_cut: bool = False


def events(parts: Iterable[bytes]) -> Iterator[Event]:
    """Yield each event that has data, however its bytes were cut. Raises ValueError for one that is too large."""
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
    """Yield each line without its end, which is LF, CR, or both; the last may have none."""
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
    """True if this is the last event of OpenAI's protocol."""
    return data.strip().startswith(END)


def told(event: Event) -> Json | None:
    """Return the object of an event; None for an event that was cut. Raises ValueError for one without an object.

    An event that is named an error is one, whatever the object says.
    """
    try:
        value = parsed(event.data)
    except ValueError:
        if event.is_cut:
            return None
        if event.name != FAILED:
            raise
        value = event.data.decode("utf-8", "replace")
    if event.name == FAILED:
        return {"message": value, "type": FAILED} if not isinstance(value, dict) else {**value, "type": FAILED}
    if isinstance(value, dict):
        return value
    return None


def parsed(data: bytes) -> Any:
    """Return what JSON says. Texts with half a character and numbers without an end are taken as providers send them.

    Raises ValueError.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        value = json.loads(data.removeprefix(BOM).decode("utf-8", "replace"))
    return Ragged(value) if isinstance(value, dict) else value
