"""Alert as a stored document: one per trouble, with a count, however often the trouble is reported."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, cast

from shared.kernel.alert_kinds import kind_of_alert
from shared.kernel.clock import DAY, Millis, from_datetime, to_datetime
from shared.kernel.documents import Data, Value
from shared.kernel.events import Field
from shared.kernel.ids import fingerprint

AlertState = Literal["open", "acknowledged", "resolved"]
STATES: tuple[AlertState, ...] = ("open", "acknowledged", "resolved")
FIELDS_MAX = 20
TEXT_MAX = 300
"""Most characters of a text in an alert's fields."""
BATCHES_KEPT = 20
"""Batches that a document remembers, so that a batch whose write had no clear answer is not counted twice."""
RESOLVED_LIFETIME: Millis = 400 * DAY
"""Time for which a resolved alert is kept."""
PLAIN_SUBJECT = re.compile(r"[A-Za-z0-9_.:=~-]{1,100}", re.ASCII)
PRIVATE = re.compile(r"[^\s@]+@[^\s@]+|\b(?:sk|rk|whsec|ics)[-_][A-Za-z0-9_-]{8,}")
"""Texts that may be addresses or keys."""
HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """Trouble that operators were alerted of. Times are in ms.

    `opening` counts how often the alert was opened: 1, and 1 more after each end. `changed_by` did the last act: an
    operator's uid, or "" for the system; `reason` is that operator's. `told` has, by channel, the state of telling.
    """

    id: str
    event: str
    subject: str
    first_seen: Millis
    last_seen: Millis
    count: int
    fields: Mapping[str, Field]
    state: AlertState = "open"
    opening: int = 1
    opened_at: Millis = 0
    changed_at: Millis | None = None
    changed_by: str = ""
    reason: str | None = None
    told: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    batches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertBatch:
    """Reports of one trouble that an instance stores at once. `id` is unique.

    `is_sent`: a write of this batch had no clear answer, so no further report may join the batch.
    """

    id: str
    alert: str
    event: str
    subject: str
    fields: Mapping[str, Field]
    first: Millis
    last: Millis
    count: int = 1
    is_sent: bool = False

    def joined(self, later: "AlertBatch") -> "AlertBatch":
        """Return this batch with the reports of a later batch and the later fields."""
        return replace(
            later,
            id=self.id,
            first=min(self.first, later.first),
            last=max(self.last, later.last),
            count=self.count + later.count,
        )


def subject_of(event: str, fields: Mapping[str, Field]) -> str:
    """Return the subject of an alert: the values of the fields that the kind names, joined by `/`."""
    named = kind_of_alert(event).subject
    return "/".join(str(fields[name]) for name in named if name in fields)


def alert_id(event: str, subject: str) -> str:
    """Return the document id of an alert. A subject that is no plain short name is hashed."""
    if not subject:
        return f"{event}:-"
    is_plain = PLAIN_SUBJECT.fullmatch(subject) is not None and not PRIVATE.search(subject)
    return f"{event}:{subject if is_plain else 'x' + fingerprint(_storable(subject))[:40]}"


def bounded(fields: Mapping[str, Field]) -> dict[str, Field]:
    """Return the fields, at most FIELDS_MAX, with texts cut to TEXT_MAX and addresses and keys hidden."""
    return {name: _bounded(fields[name]) for name in list(fields)[:FIELDS_MAX]}


def report(event: str, fields: Mapping[str, Field], at: Millis, batch: str) -> AlertBatch:
    """Return the batch of one report at `at`. `batch` is the batch's id."""
    subject = subject_of(event, fields)
    told = str(_bounded(subject))
    return AlertBatch(
        id=batch, alert=alert_id(event, subject), event=event, subject=told, fields=bounded(fields), first=at, last=at
    )


def raised(before: AlertRecord | None, batch: AlertBatch) -> AlertRecord:
    """Return the alert after a batch of reports. A resolved alert that is reported again is open again."""
    if before is None:
        return AlertRecord(
            id=batch.alert,
            event=batch.event,
            subject=batch.subject,
            first_seen=batch.first,
            last_seen=batch.last,
            count=batch.count,
            fields=batch.fields,
            opened_at=batch.first,
            batches=(batch.id,),
        )
    if batch.id in before.batches:
        return before
    seen = replace(
        before,
        first_seen=min(before.first_seen, batch.first),
        last_seen=max(before.last_seen, batch.last),
        count=before.count + batch.count,
        fields=batch.fields,
        batches=(*before.batches, batch.id)[-BATCHES_KEPT:],
    )
    if before.state != "resolved":
        return seen
    return replace(
        seen,
        state="open",
        opening=before.opening + 1,
        opened_at=batch.first,
        changed_at=batch.last,
        changed_by="",
        reason=None,
    )


def changed(before: AlertRecord, state: AlertState, by: str, reason: str | None, now: Millis) -> AlertRecord:
    """Return the alert after an operator's or the system's act."""
    return replace(before, state=state, changed_by=by, reason=reason, changed_at=now)


def record_data(record: AlertRecord) -> dict[str, Value]:
    """Return the fields of an alert's document."""
    fields: dict[str, Value] = {
        name: str(value) if isinstance(value, float) else value for name, value in record.fields.items()
    }
    is_over = record.state == "resolved" and record.changed_at is not None
    return {
        "id": record.id,
        "event": record.event,
        "subject": record.subject,
        "first_seen": to_datetime(record.first_seen),
        "last_seen": to_datetime(record.last_seen),
        "count": record.count,
        "fields": fields,
        "state": record.state,
        "opening": record.opening,
        "opened_at": to_datetime(record.opened_at),
        "changed_at": None if record.changed_at is None else to_datetime(record.changed_at),
        "changed_by": record.changed_by,
        "reason": record.reason,
        "told": dict(record.told),
        "batches": list(record.batches),
        "expires_at": to_datetime((record.changed_at or 0) + RESOLVED_LIFETIME) if is_over else None,
    }


def record_in(data: Data) -> AlertRecord:
    """Return the alert in the data of a document."""
    told = cast("Mapping[str, str]", data)
    changed_at = data.get("changed_at")
    return AlertRecord(
        id=told["id"],
        event=told["event"],
        subject=told["subject"],
        first_seen=_millis(data["first_seen"]),
        last_seen=_millis(data["last_seen"]),
        count=cast("int", data["count"]),
        fields=cast("Mapping[str, Field]", data["fields"]),
        state=cast("AlertState", data["state"]),
        opening=cast("int", data["opening"]),
        opened_at=_millis(data["opened_at"]),
        changed_at=None if changed_at is None else _millis(changed_at),
        changed_by=told["changed_by"],
        reason=told["reason"],
        told=cast("Mapping[str, Mapping[str, Value]]", data["told"]),
        batches=tuple(cast("list[str]", data["batches"])),
    )


def _bounded(value: Field) -> Field:
    return PRIVATE.sub(HIDDEN, _storable(value[: 4 * TEXT_MAX]))[:TEXT_MAX] if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Return the text with a question mark for each half of a surrogate pair, which no store accepts."""
    return text.encode(errors="replace").decode()


def _millis(value: Value) -> Millis:
    return from_datetime(cast("datetime", value))
