"""Conversion between our values and Firestore's raw messages. Wrappers would take most of a commit's time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.kernel.documents import Data, InvalidWrite, Value, Version

INT64_MAX = 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def encode_fields(fields: Any, data: Data) -> None:
    """Fill a message's field map from `data`. Raises InvalidWrite for a value that must not be stored."""
    for name, value in data.items():
        encode_value(fields[name], value)


def encode_value(message: Any, value: Value) -> None:
    """Fill one value message. Raises InvalidWrite, also for a float, since money would silently become inexact."""
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.boolean_value = value
    elif isinstance(value, int):
        if abs(value) > INT64_MAX:
            raise InvalidWrite("An integer does not fit 64 bits.")
        message.integer_value = value
    elif isinstance(value, str):
        _encode_text(message, value)
    elif isinstance(value, datetime):
        _encode_time(message.timestamp_value, value)
    else:
        _encode_compound(message, value)


def _encode_text(message: Any, value: str) -> None:
    try:
        message.string_value = value
    except (ValueError, UnicodeEncodeError) as error:
        raise InvalidWrite("A string is not valid Unicode.") from error


def _encode_time(timestamp: Any, value: datetime) -> None:
    if value.tzinfo is None:
        raise InvalidWrite("A time needs its zone.")
    seconds, micros = divmod((value - EPOCH) // MICROSECOND, 1_000_000)
    timestamp.seconds, timestamp.nanos = seconds, micros * 1000


def _encode_compound(message: Any, value: object) -> None:
    if isinstance(value, bytes):
        message.bytes_value = value
    elif isinstance(value, Mapping):
        message.map_value.SetInParent()
        encode_fields(message.map_value.fields, value)
    elif isinstance(value, Sequence):
        message.array_value.SetInParent()
        for item in value:
            if isinstance(item, Sequence) and not isinstance(item, str | bytes):
                raise InvalidWrite("A list cannot directly hold a list.")
            encode_value(message.array_value.values.add(), item)
    else:
        raise InvalidWrite(f"A {type(value).__name__} cannot be stored.")


def decode_fields(fields: Any) -> dict[str, Value]:
    """Return the data of a message's field map."""
    return {name: decode_value(value) for name, value in fields.items()}


def decode_value(message: Any) -> Value:
    """Return the value of a message. A float or reference that others stored becomes text, never a number."""
    kind = message.WhichOneof("value_type")
    if kind in {"integer_value", "string_value", "boolean_value", "bytes_value"}:
        value: Value = getattr(message, kind)
        return value
    if kind == "timestamp_value":
        stamp = message.timestamp_value
        return EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    if kind == "map_value":
        return decode_fields(message.map_value.fields)
    if kind == "array_value":
        return [decode_value(item) for item in message.array_value.values]
    return None if kind in {"null_value", None} else str(getattr(message, kind))


def encode_version(timestamp: Any, version: Version) -> None:
    """Fill a precondition's update time from a version."""
    assert isinstance(version, tuple), "a version of ours is (seconds, nanos)"
    timestamp.seconds, timestamp.nanos = version


def decode_version(timestamp: Any) -> Version:
    """Return an update time as an opaque version, exact to the nanosecond."""
    return timestamp.seconds, timestamp.nanos
