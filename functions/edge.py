"""Common part of all event triggers: decode the CloudEvent, call the use case, then retry, drop or bury the event.

The handler's error decides. A `Rejected` or `NotFound` would happen again, so the event is logged and dropped. After
any other error the event is delivered again. An event that still fails after EVENT_AGE_MAX is stored in `dead_events`
with an alert, before the platform would drop the event in silence.
"""

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import unquote

from functions.tracing import begin_event
from shared.bootstrap import Services
from shared.bootstrap import services as production
from shared.kernel.clock import HOUR, Millis, parse_rfc3339, to_datetime
from shared.kernel.documents import Create, Data, PreconditionFailed, Value, Version
from shared.kernel.errors import NotFound, Rejected, code_of
from shared.kernel.events import log, log_error
from shared.kernel.ids import Uid, derived_id, is_safe_id, is_uid

EVENT_AGE_MAX: Millis = 12 * HOUR
"""Eventarc and Pub/Sub retry a failed event for 24 hours."""
MILLIS_PER_SECOND = 1_000
DEAD_PAYLOAD_MAX = 100_000
DOCUMENT_EVENTS = "google.cloud.firestore.document."
DOCUMENTS, USERS = "documents/", "users/"
"""Beginnings of subjects."""

Decoded = TypeVar("Decoded")
EventOutcome = Literal["done", "dropped", "dead"]


class MalformedEvent(ValueError):
    """Event that is not of the kind for which the function is registered, and never will be."""


class UidNeverServed(MalformedEvent):
    """The event is of a user whose uid the API refuses: nothing of that user is stored."""


class NotDelivered(Exception):
    """The event is to be delivered again. Names the class of the error, which is logged."""


class CloudEvent(Protocol):
    """Event as functions-framework delivers it: attributes by name, and the data."""

    @property
    def data(self) -> Any:
        """Return the event's data: protobuf bytes, or a value from JSON."""
        ...

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the event, or `default` if the event lacks the attribute."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEvent:
    """Written document. `before` is None for a created document, `after` for a deleted document.

    `version` is the document's version after the write; None for a deleted document and for a dead event.
    """

    path: str
    params: Mapping[str, str]
    before: Data | None
    after: Data | None
    at: Millis
    version: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent:
    """A login that was created or deleted."""

    uid: Uid
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicEvent:
    """Message of a topic. `data` is the message's JSON object."""

    id: str
    data: Mapping[str, Any]
    ordering_key: str
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEvent:
    """Stored facts of an event that failed for too long. `payload` is the data of a message, None for other events.

    `change` says what happened to a document; None for other events, and for events that were stored earlier.
    """

    id: str
    function: str
    event_id: str
    type: str
    subject: str
    code: str
    at: Millis
    payload: str | None
    change: str | None


Decode = Callable[[CloudEvent], Decoded]
Rebuild = Callable[[DeadEvent], Decoded]
Entry = Callable[[CloudEvent], None]

HANDLERS: dict[str, Callable[[Any, Services], None]] = {}
"""Handlers of decoded events by function. Filled when the modules of the functions are loaded."""
REDELIVERIES: dict[str, Callable[[DeadEvent, Services], None]] = {}
"""Functions by name that handle a dead event again. Filled when the modules of the functions are loaded."""


def on_document(*patterns: str) -> Callable[[Callable[[DocumentEvent, Services], None]], Entry]:
    """Return a decorator that makes a handler the entry point for documents whose path fits one of `patterns`:
    `users/{uid}`.
    """
    return _entry(lambda event: decode_document(event, *patterns), lambda dead: _dead_document(dead, patterns))


def on_user(handle: Callable[[UserEvent, Services], None]) -> Entry:
    """Return the entry point that calls `handle` with each login that was created or deleted."""
    return _entry(decode_user, _dead_user)(handle)


def on_message(handle: Callable[[TopicEvent, Services], None]) -> Entry:
    """Return the entry point that calls `handle` with each message on a topic."""
    return _entry(decode_message, _dead_message)(handle)


def _entry(
    decode: Decode[Decoded], rebuild: Rebuild[Decoded]
) -> Callable[[Callable[[Decoded, Services], None]], Entry]:
    """Return the decorator of a function that is started by events. `rebuild` makes a dead event alive again."""

    def decorate(handle: Callable[[Decoded, Services], None]) -> Entry:
        def entry(event: CloudEvent) -> None:
            try:
                deliver(event, decode, handle, production())
            except Exception as error:  # noqa: BLE001  # raised again under another name
                # The framework logs the words of an error that it catches, and those may be personal.
                raise NotDelivered(type(error).__name__) from None

        entry.__name__, entry.__doc__ = handle.__name__, handle.__doc__
        HANDLERS[handle.__name__] = handle
        REDELIVERIES[handle.__name__] = lambda dead, services: handle(rebuild(dead), services)
        return entry

    return decorate


def deliver(
    event: CloudEvent,
    decode: Callable[[CloudEvent], Decoded],
    handle: Callable[[Decoded, Services], None],
    services: Services,
) -> None:
    """Run `handle` on the decoded event.

    Return if the event is finished. Raise if the event is to be delivered again.
    """
    try:
        _deliver(event, decode, handle, services)
    finally:
        services.health.glance_at_schedules()


def _deliver(
    event: CloudEvent,
    decode: Callable[[CloudEvent], Decoded],
    handle: Callable[[Decoded, Services], None],
    services: Services,
) -> None:
    """Run `handle`; see `deliver`."""
    told = {"function": getattr(handle, "__name__", "?"), "event_id": str(event.get("id"))}
    begin_event(str(event.get("traceparent", "")), services.settings.project, told["event_id"])
    outcome, started = "failed", time.monotonic()
    try:
        outcome = _outcome(event, decode, handle, services, told)
    finally:
        log("event_done", "INFO", **told, outcome=outcome, ms=round((time.monotonic() - started) * MILLIS_PER_SECOND))


def _outcome(
    event: CloudEvent,
    decode: Callable[[CloudEvent], Decoded],
    handle: Callable[[Decoded, Services], None],
    services: Services,
    told: dict[str, str],
) -> EventOutcome:
    """Run `handle` on the decoded event. Return the outcome, or raise if the event is to be delivered again."""
    try:
        handle(decode(event), services)
    except UidNeverServed:
        log("event_dropped", "WARNING", **told, code="uid_not_supported")
        return "dropped"
    except MalformedEvent as error:
        log("event_malformed", "ERROR", **told, problem=str(error))
        _bury(event, services, code="malformed", **told)
        return "dead"
    except (Rejected, NotFound) as error:
        log("event_dropped", "WARNING", **told, code=error.code)
        return "dropped"
    except Exception as error:
        code = code_of(error)
        if services.clock.now() - _time(event) <= EVENT_AGE_MAX:
            log_error("event_failed", error, **told, code=code)
            raise
        _bury(event, services, code=code, **told)
        return "dead"
    return "done"


def decode_document(event: CloudEvent, *patterns: str) -> DocumentEvent:
    """Return the Firestore event in a cloud event. Raises MalformedEvent."""
    from google.events.cloud.firestore_v1.types import DocumentEventData
    from google.protobuf.message import DecodeError

    try:
        data = DocumentEventData.pb(DocumentEventData.deserialize(event.data))
    except (DecodeError, TypeError) as error:
        raise MalformedEvent("its data is not a DocumentEventData") from error
    path = _document_path(str(event.get("document", "")), data.value.name or data.old_value.name)
    return DocumentEvent(
        path=path,
        params=_params(patterns, path),
        before=_fields(data.old_value) if data.HasField("old_value") else None,
        after=_fields(data.value) if data.HasField("value") else None,
        at=_time(event),
        version=_version(data.value) if data.HasField("value") else None,
    )


def _document_path(told: str, name: str) -> str:
    """Return the document's path: the attribute `told`, if that is plain, else the resource `name` of the data.

    An attribute is a header, and characters that headers cannot hold come encoded, or mangled on the way.
    """
    is_plain = all(is_safe_id(part) for part in told.split("/"))
    named = name.partition("/documents/")[2]
    return told if is_plain or not told or not named else named


def decode_user(event: CloudEvent) -> UserEvent:
    """Return the event of Firebase Auth in a cloud event. If the event has no payload, its subject names the user.

    Raises MalformedEvent, and UidNeverServed for a user who never had an account.
    """
    data = {} if _is_empty(event.data) else _json(event.data)
    user = data.get("oldValue") or data.get("value") or data
    uid = user.get("uid") if isinstance(user, Mapping) else None
    named = str(event.get("subject", "")).removeprefix("users/")
    found = uid if isinstance(uid, str) and uid else unquote(named)
    if not found or (named and found not in {named, unquote(named)}):
        raise MalformedEvent("it does not name one user")
    if not is_uid(found):
        raise UidNeverServed("its user cannot have an account here")
    return UserEvent(uid=Uid(found), at=_time(event))


def decode_message(event: CloudEvent) -> TopicEvent:
    """Return the Pub/Sub message in a cloud event. Raises MalformedEvent if the message holds no JSON object."""
    message = _json(event.data).get("message")
    if not isinstance(message, Mapping):
        raise MalformedEvent("it holds no message")
    return _message(message, str(event.get("id")), _time(event))


def _message(message: Mapping[str, Any], event_id: str, at: Millis) -> TopicEvent:
    try:
        body = base64.b64decode(message.get("data", ""), validate=True)
    except (TypeError, binascii.Error) as error:
        raise MalformedEvent("its data is not base64") from error
    return TopicEvent(
        id=str(message.get("messageId", event_id)),
        data=_json(body),
        ordering_key=str(message.get("orderingKey", "")),
        at=at,
    )


def _bury(event: CloudEvent, services: Services, *, code: str, function: str, event_id: str) -> None:
    """Store the facts that are needed to find and replay the event, and alert a person."""
    source = str(event.get("source"))
    path = f"dead_events/{derived_id('evt', function, source, event_id)}"
    data: Data = {
        "function": function,
        "event_id": event_id,
        "source": source,
        "type": str(event.get("type")),
        "subject": str(event.get("subject")),
        "code": code,
        "at": to_datetime(services.clock.now()),
        "payload": _replayable(event),
        "change": _change(event),
    }
    try:
        services.ports.documents().commit([Create(path, data)])
    except PreconditionFailed:
        log("event_buried_before", function=function, event_id=event_id)
        return
    services.ports.alerts().alert("event_dead", function=function, event_id=event_id, code=code, path=path)


def _change(event: CloudEvent) -> str | None:
    """Return what happened to the document of the event; None for other events, and for data that cannot be read."""
    from google.events.cloud.firestore_v1.types import DocumentEventData
    from google.protobuf.message import DecodeError

    if not str(event.get("type")).startswith(DOCUMENT_EVENTS):
        return None
    try:
        data = DocumentEventData.pb(DocumentEventData.deserialize(event.data))
    except (DecodeError, TypeError):
        return None
    if not data.HasField("value"):
        return "deleted"
    return "changed" if data.HasField("old_value") else "created"


def _dead_document(dead: DeadEvent, patterns: Sequence[str]) -> DocumentEvent:
    """Return the event of a document again, without the document's fields. Raises MalformedEvent."""
    if not dead.subject.startswith(DOCUMENTS):
        raise MalformedEvent("its document was not stored")
    path = dead.subject.removeprefix(DOCUMENTS)
    before: Data | None = {} if dead.change in {"changed", "deleted"} else None
    after: Data | None = None if dead.change == "deleted" else {}
    return DocumentEvent(path=path, params=_params(patterns, path), before=before, after=after, at=dead.at)


def _dead_user(dead: DeadEvent) -> UserEvent:
    """Return the event of a login again. Raises MalformedEvent."""
    uid = unquote(dead.subject.removeprefix(USERS))
    if not dead.subject.startswith(USERS) or not is_uid(uid):
        raise MalformedEvent("it does not name one user")
    return UserEvent(uid=Uid(uid), at=dead.at)


def _dead_message(dead: DeadEvent) -> TopicEvent:
    """Return the message of a topic again. Raises MalformedEvent."""
    message = _json(dead.payload).get("message") if dead.payload is not None else None
    if not isinstance(message, Mapping):
        raise MalformedEvent("its message was not stored")
    return _message(message, dead.event_id, dead.at)


def _replayable(event: CloudEvent) -> str | None:
    """A message's own data. Documents and users are found by the subject, and their data may be personal."""
    if event.get("type") != "google.cloud.pubsub.topic.v1.messagePublished":
        return None
    return json.dumps(event.data, default=str)[:DEAD_PAYLOAD_MAX]


def _time(event: CloudEvent) -> Millis:
    try:
        return parse_rfc3339(_microseconds(str(event.get("time"))))
    except ValueError as error:
        raise MalformedEvent("it has no time") from error


def _microseconds(text: str) -> str:
    """Google writes nanoseconds; we read at most six digits."""
    head, point, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return f"{head}{point}{digits[:6]}{tail[len(digits) :]}"


def _params(patterns: Sequence[str], path: str) -> Mapping[str, str]:
    found = (_params_of(pattern, path) for pattern in patterns)
    params = next((each for each in found if each is not None), None)
    if params is None:
        raise MalformedEvent(f"{path!r} does not fit {' or '.join(patterns)}")
    return params


def _params_of(pattern: str, path: str) -> Mapping[str, str] | None:
    names, values = pattern.split("/"), path.split("/")
    if len(names) != len(values):
        return None
    pairs = list(zip(names, values, strict=True))
    if any(name != value for name, value in pairs if not name.startswith("{")):
        return None
    return {name[1:-1]: value for name, value in pairs if name.startswith("{")}


def _is_empty(data: Any) -> bool:
    """Return True if an event has no payload: nothing, blanks, or JSON's null."""
    return data is None or (isinstance(data, bytes | str) and data.strip() in {"", "null", b"", b"null"})


def _json(data: Any) -> Mapping[str, Any]:
    try:
        value = json.loads(data) if isinstance(data, bytes | str) else data
    except ValueError as error:
        raise MalformedEvent("its data is not JSON") from error
    if not isinstance(value, Mapping):
        raise MalformedEvent("its data is not an object")
    return value


def _version(document: Any) -> Version:
    """Return the version that a read of the document from Firestore would have."""
    return document.update_time.seconds, document.update_time.nanos


def _fields(document: Any) -> Data:
    return {name: _value(value) for name, value in document.fields.items()}


def _value(value: Any) -> Value:
    """Return the value in a protobuf value of Firestore's.

    Kinds that are never stored here (floats, points) become text.
    """
    kind = value.WhichOneof("value_type")
    if kind in {"boolean_value", "integer_value", "string_value", "bytes_value"}:
        plain: bool | int | str | bytes = getattr(value, kind)
        return plain
    if kind == "timestamp_value":
        at: datetime = value.timestamp_value.ToDatetime(tzinfo=UTC)
        return at
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "map_value":
        return _fields(value.map_value)
    return None if kind in {None, "null_value"} else str(getattr(value, kind))
