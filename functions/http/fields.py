"""The kinds of values on the wire: credits, times, texts, numbers, cursors; each strict, each documented by itself."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence, Sized
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, pre_load, validate

from shared.kernel.clock import DAY, from_datetime, rfc3339
from shared.kernel.errors import InvalidValue
from shared.kernel.money import format_credits, parse_credits

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
CURSOR_CHARS_MAX = 1_024
POSITION_MAX = 2**53 - 1
AMOUNT_PATTERN = r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$"
SIGNED_PATTERN = r"^-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$"
NO_NUL = "^[^\\u0000]*$"
MOMENT_CHARACTERS_MAX = 40
MOMENT_MAX = 253_370_764_800_000
"""First moment of the year 9999. In another time zone, a later moment may exceed the range of a datetime."""
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
READ_ONLY_CHARACTERS_MAX = 500
LONG_WHOLE = re.compile(r"0|[1-9]\d{0,15}", re.ASCII)
TREE_SIZE_MAX = 2**53 - 1
WHOLE = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
FIELDS_MAX = 200
"""Most fields of one object. Each unknown field would be an error in the answer."""
ERRORS_MAX = 20
"""Wrong elements after which a list is not looked at any further, and errors of an answer."""


class Request(Schema):
    """Schema of a client's body or query. A field that the schema does not name is an error."""

    class Meta:
        unknown = RAISE

    @pre_load
    def refuse_many_fields(self, data: Any, **_: Any) -> Any:
        """Return the object unchanged.

        Raises ValidationError, before any field is read, if the object has too many fields.
        """
        check_size(data, FIELDS_MAX, "fields")
        return data


class Answer(Schema):
    """Schema of an answer. Fields may be added later."""

    class Meta:
        unknown = EXCLUDE


class Nothing(Request):
    """An empty object, or no body at all."""


class Text(fields.String):
    """String without NUL, limited in characters, and in bytes of UTF-8 where the string is stored."""

    def __init__(
        self, *, length_max: int | None = None, length_min: int = 0, bytes_max: int | None = None, **kwargs: Any
    ) -> None:
        metadata = {"pattern": NO_NUL, **kwargs.pop("metadata", {})}
        if bytes_max is not None:
            metadata["description"] = f"At most {bytes_max} bytes of UTF-8."
        length = validate.Length(min=length_min or None, max=length_max)
        self._bytes_max = bytes_max
        super().__init__(validate=length, metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        if "\0" in text:
            raise ValidationError("Must not contain NUL.")
        if self._bytes_max is not None and len(text.encode()) > self._bytes_max:
            raise ValidationError(f"Must be at most {self._bytes_max} bytes of UTF-8.")
        return text


class ReadOnly(Text):
    """Member that answers have and requests may repeat, without effect."""

    def __init__(self) -> None:
        text = "May be sent back as an answer had it; changes nothing."
        super().__init__(
            length_max=READ_ONLY_CHARACTERS_MAX, load_default=None, allow_none=True, metadata={"description": text}
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return super()._deserialize(str(value) if isinstance(value, int) else value, attr, data, **kwargs)


class Items(fields.List[Any]):
    """A list of at most `length_max` elements: a longer one is refused unseen, a wrong one after a few errors."""

    def __init__(self, inner: fields.Field[Any], *, length_max: int, length_min: int = 0, **kwargs: Any) -> None:
        self.length_max = length_max
        super().__init__(inner, validate=validate.Length(length_min or None, length_max), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        check_size(value, self.length_max, "elements")
        loaded, errors = list[Any](), dict[str | int, Any]()
        for at, each in enumerate(value):
            try:
                loaded.append(self.inner.deserialize(each, **kwargs))
            except ValidationError as error:
                errors[at] = error.messages
                if len(errors) == ERRORS_MAX:
                    break
        if errors:
            raise ValidationError(errors)
        return loaded


class Table(fields.Dict):
    """An object of at most `length_max` members: a larger one is refused unseen."""

    def __init__(self, *, length_max: int, **kwargs: Any) -> None:
        self.length_max = length_max
        super().__init__(validate=validate.Length(max=length_max), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            check_size(value, self.length_max, "members")
        loaded: Any = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        return loaded


class Passing(fields.Raw):
    """Any JSON value, for others to understand; a list, object or text of at most `length_max` parts."""

    def __init__(self, *, length_max: int, text_max: int | None = None, **kwargs: Any) -> None:
        self.length_max = length_max
        self.text_max = text_max or length_max
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, str):
            check_size(value, self.text_max, "characters")
        else:
            check_size(value, self.length_max, "elements")
        return super()._deserialize(value, attr, data, **kwargs)


class Choice(fields.String):
    """Word from a short list."""

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        super().__init__(validate=validate.OneOf(choices), **kwargs)


class Amount(fields.String):
    """Credits that a client names: a decimal string above zero. µcr inside."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"pattern": AMOUNT_PATTERN, "examples": ["12.5"], **kwargs.pop("metadata", {})}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return _micro(super()._deserialize(value, attr, data, **kwargs))


class AmountOrZero(Amount):
    """Credits that a client names: a decimal string from zero up. µcr inside."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return 0 if value == "0" else super()._deserialize(value, attr, data, **kwargs)


class SignedAmount(Amount):
    """Credits to add or, with a minus, to take away; not zero. µcr inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": SIGNED_PATTERN, "examples": ["25", "-12.5"]}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = str(fields.String._deserialize(self, value, attr, data, **kwargs))  # noqa: SLF001  # marshmallow's hook
        return -_micro(text[1:]) if text.startswith("-") else _micro(text)


class Credits(fields.String):
    """Credits in an answer, as a decimal string. Inside µcr, or a text that is stored in the form of answers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": SIGNED_PATTERN, "examples": ["12.5"]}, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return value if value is None or isinstance(value, str) else format_credits(value)


class Time(fields.String):
    """An instant in an answer, RFC 3339 in UTC. Milliseconds or a datetime inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date-time"}, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        return rfc3339(from_datetime(value) if isinstance(value, datetime) else value)


class Moment(fields.String):
    """Instant in a query string: RFC 3339 with an offset, or a date (its first moment in UTC).

    Inside milliseconds; None if the query names no instant.
    """

    def __init__(self, **kwargs: Any) -> None:
        text = "An instant such as 2026-11-30T08:00:00Z, or a date such as 2026-11-30 (its first moment in UTC)."
        super().__init__(
            load_default=None, metadata={"description": text, "maxLength": MOMENT_CHARACTERS_MAX}, **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        is_date = DATE.fullmatch(text) is not None
        try:
            moment = datetime.fromisoformat(f"{text}T00:00:00Z" if is_date else text)
            at = from_datetime(moment) if moment.tzinfo is not None else -1
            if not 0 <= at <= MOMENT_MAX or len(text) > MOMENT_CHARACTERS_MAX:
                raise ValueError(text)
            return at
        except (ValueError, OverflowError) as error:
            raise ValidationError("Must be an instant such as 2026-11-30T08:00:00Z, or a date.") from error


class LastMoment(Moment):
    """Last wanted instant in a query string. A date means the last moment of the date in UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        at = super()._deserialize(value, attr, data, **kwargs)
        return at + DAY - 1 if DATE.fullmatch(str(value)) else at


class Flag(fields.Boolean):
    """True or false, and no value that looks like one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class Whole(fields.Integer):
    """A whole JSON number within bounds."""

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(low, high), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError("Not a valid integer.")
        return value


class Limit(fields.Integer):
    """Most items of a page, from a query string."""

    def __init__(self) -> None:
        bounds = validate.Range(1, LIMIT_MAX)
        super().__init__(load_default=LIMIT_DEFAULT, validate=bounds, metadata={"description": "Items per page."})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not WHOLE.fullmatch(value):
            raise ValidationError("Not a valid integer.")
        return int(value)


class TreeSize(fields.Integer):
    """Number of leaves of a tree of the transparency log, from a query string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(1, TREE_SIZE_MAX), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not LONG_WHOLE.fullmatch(value):
            raise ValidationError("Not a valid integer.")
        return int(value)


class Cursor(fields.String):
    """Continuation of a list: the `next_cursor` of an earlier answer. Inside a JSON value of type `kind`."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        metadata = {"description": "The `next_cursor` of the page before.", "maxLength": CURSOR_CHARS_MAX}
        super().__init__(load_default=None, metadata=metadata)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        position = _decode(str(super()._deserialize(value, attr, data, **kwargs)))
        if type(position) is not self._kind or not _is_plain(position):
            raise ValidationError("Not a cursor of this list.")
        return position


def check_size(value: object, most: int, parts: str) -> None:
    """Raise ValidationError for a value that has a size, and more than `most` parts."""
    if isinstance(value, Sized) and len(value) > most:
        raise ValidationError(f"Must have at most {most} {parts}.")


class NextCursor(fields.String):
    """The cursor of the next page in an answer; null on the last page."""

    def __init__(self) -> None:
        super().__init__(required=True, allow_none=True)


def page_answer(items: Sequence[Any], position: object = None) -> dict[str, Any]:
    """Return the answer of a list. The next page begins behind `position`; None on the last page."""
    return {"items": items, "next_cursor": None if position is None else encode_cursor(position)}


def encode_cursor(position: object) -> str:
    """Return the opaque cursor of a JSON value: base64url, unpadded."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


def _decode(cursor: str) -> object:
    if len(cursor) > CURSOR_CHARS_MAX:
        raise ValidationError("Not a cursor of this list.")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        position: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise ValidationError("Not a cursor of this list.") from error
    return position


def _is_plain(position: object) -> bool:
    if isinstance(position, int):
        return 0 <= position <= POSITION_MAX
    return isinstance(position, str) and position.isascii() and position.isprintable()


def _micro(value: Any) -> int:
    try:
        return parse_credits(str(value))
    except InvalidValue as error:
        raise ValidationError(str(error.params["problem"])) from error
