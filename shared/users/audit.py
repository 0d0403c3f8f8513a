"""Audit trail: actor, act, target, reason and changes, written before the act and completed after it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from shared.kernel.clock import MINUTE, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, Patch, Query, Value, Where
from shared.kernel.errors import DomainError, InvalidValue, Unavailable
from shared.kernel.ids import is_safe_id, new_id
from shared.kernel.money import format_credits
from shared.kernel.pages import Page, page_of

AUDIT_PAGE_MAX = 100
REASON_MAX = 500
CORRECTION = "adjust"
"""Act that corrects a balance. Its changes are amounts."""
END_OF_TIME: Millis = 9_999_999_999_999

LOOK_WINDOW: Millis = 10 * MINUTE
"""Time in which all looks of an operator at a user with the same reason are one record."""

State = Literal["begun", "done", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Act of an operator. If `state` stays `begun`, the outcome is unknown and a person should look. Times in ms.

    `before` and `after` are the states of the target, None if not recorded. `code` is the refusal's code, None if there
    was no refusal. `completed_at` is None until the act has ended.
    """

    id: str
    at: Millis
    actor: str
    act: str
    target: str
    reason: str | None
    state: State
    before: Data | None = None
    after: Data | None = None
    code: str | None = None
    operation: str | None = None
    completed_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Conditions on records, which hold all at once; None: no condition. `first` is inclusive, `last` exclusive."""

    actor: str | None = None
    act: str | None = None
    target: str | None = None
    first: Millis | None = None
    last: Millis | None = None


ALL_RECORDS = AuditFilter()


@dataclass(slots=True)
class Act:
    """Act of an operator that is under way.

    The actor sets `before` and `after`, the states to record; None: nothing.
    """

    before: Data | None = None
    after: Data | None = field(default=None)


class AuditTrail:
    """Collection `audit`. Ids sort newest first, so that listing needs no index."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    @contextmanager
    def recording(
        self,
        actor: str,
        act: str,
        target: str,
        *,
        reason: str | None,
        before: Data | None = None,
        operation: str | None = None,
    ) -> Iterator[Act]:
        """Record the act around the block: its start before the block, its end after the block.

        If the block raises a refusal, the record says so. After any other failure the record stays `begun`, since the
        outcome is unknown.
        """
        path = self._begin(actor, act, target, _reason(reason), before, operation)
        doing = Act(before=before)
        try:
            yield doing
        except Unavailable:
            raise
        except DomainError as error:
            self._end(path, {"state": "refused", "code": error.code})
            raise
        self._end(path, {"state": "done", "before": doing.before, "after": doing.after})

    def page(self, *, cursor: str | None, limit: int, wanted: AuditFilter = ALL_RECORDS) -> Page[AuditRecord]:
        """Return at most `limit` records that meet the conditions, newest first. Raises InvalidValue for a cursor that
        no page gave.

        The record of a look has its place at the beginning of the look's window. So a page by time may be short.
        """
        if cursor is not None and not is_safe_id(cursor):
            raise InvalidValue("cursor", "is not one of ours")
        size = max(1, min(limit, AUDIT_PAGE_MAX))
        after = None if cursor is None else (f"audit/{cursor}",)
        named = {"actor": wanted.actor, "act": wanted.act, "target": wanted.target}
        query = Query(
            collection="audit",
            where=tuple(Where(name, "==", value) for name, value in named.items() if value is not None),
            id_from=None if wanted.last is None else f"{max(0, END_OF_TIME - wanted.last + 1):013d}",
            id_to=None if wanted.first is None else f"{END_OF_TIME - wanted.first + LOOK_WINDOW:013d}~",
            limit=size + 1,
            after=after,
        )
        page = page_of([*map(_record, self._documents.query(query))], size, lambda each: each.id)
        items = tuple(each for each in page.items if _is_within(each.at, wanted))
        return Page(items=items, next_cursor=page.next_cursor)

    def _begin(
        self, actor: str, act: str, target: str, reason: str | None, before: Data | None, operation: str | None
    ) -> str:
        """Store that an operator is about to act, and return the path of that record.

        The newest record has the smallest id.
        """
        now = self._clock.now()
        path = f"audit/{new_id(f'{END_OF_TIME - now:013d}')}"
        data: Data = {
            "at": to_datetime(now),
            "actor": actor,
            "act": act,
            "target": target,
            "reason": reason,
            "state": "begun",
            "before": before,
            "operation": operation,
        }
        self._documents.commit([Create(path, data)])
        return path

    def _end(self, path: str, fields: Mapping[str, Value]) -> None:
        self._documents.commit([Patch(path, {**fields, "completed_at": to_datetime(self._clock.now())})])


def _is_within(at: Millis, wanted: AuditFilter) -> bool:
    return (wanted.first is None or at >= wanted.first) and (wanted.last is None or at < wanted.last)


def _reason(reason: str | None) -> str | None:
    text = (reason or "").strip()
    if len(text) > REASON_MAX:
        raise InvalidValue("reason", f"must be at most {REASON_MAX} characters")
    return text or None


def _in_credits(act: str, changes: Data | None) -> Data | None:
    """Return the changes of a correction in credits. Records of earlier releases have whole µcr."""
    if changes is None or act != CORRECTION:
        return changes
    return {name: format_credits(each) if type(each) is int else each for name, each in changes.items()}


def _record(document: Document) -> AuditRecord:
    """Return the audit record in this document. Amounts of `before` and `after` are in credits."""
    data = cast("Mapping[str, str]", document.data)
    completed_at = document.data.get("completed_at")
    return AuditRecord(
        id=document.id,
        at=from_datetime(cast("datetime", document.data["at"])),
        actor=data["actor"],
        act=data["act"],
        target=data["target"],
        reason=data.get("reason"),
        state=cast("State", data["state"]),
        before=_in_credits(data["act"], cast("Data | None", document.data.get("before"))),
        after=_in_credits(data["act"], cast("Data | None", document.data.get("after"))),
        code=data.get("code"),
        operation=data.get("operation"),
        completed_at=from_datetime(completed_at) if isinstance(completed_at, datetime) else None,
    )
