"""Notices from payment providers, stored until a worker has handled them: `inbox/{provider}:{event id}`.

Each event is stored once. An event only says which payment to look up at the provider. So only the notice's own fields
are stored, no personal data among them. A document is `new` until a worker makes it `done` or `ignored`. `parked` and
`dead` documents wait for a person.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from shared.kernel.clock import DAY, MINUTE, SECOND, Clock, Millis, from_datetime, to_datetime
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Query, Where
from shared.kernel.due import DueList, DuePlace
from shared.kernel.events import Alerts, log
from shared.payments.ports import Notice, ProviderName

Status = Literal["new", "done", "ignored", "parked", "dead"]

COLLECTION = "inbox"
DUE_SHARDS = 8
DUE_NOTICES = DueList(collection=COLLECTION, shards=DUE_SHARDS)
GRACE: Millis = MINUTE
"""Time that the trigger has before a sweep handles an event."""
BACKOFF: Millis = 15 * SECOND
BACKOFF_MAX: Millis = 60 * MINUTE
ATTEMPTS_MAX = 40
KEPT: Millis = 90 * DAY
"""Time for which a handled document is kept. Providers repeat events for days, not for months."""


class Inbox:
    """Collection of all events of all providers.

    `modes` maps each configured provider to True if live money counts here, to False if test money does.
    """

    def __init__(self, documents: Documents, clock: Clock, alerts: Alerts, modes: Mapping[ProviderName, bool]) -> None:
        self._documents = documents
        self._clock = clock
        self._alerts = alerts
        self._modes = modes

    def store(self, notice: Notice) -> bool:
        """Store a notice and return True if the notice is new.

        The call returns only if the notice is stored, by this call or by an earlier one. A notice for another mode or
        account is stored as `parked`, with an alert, and is never credited. Raises OutcomeUnknown or StoreUnavailable;
        then the provider has to send the notice again.
        """
        write, reason = self._creation(notice)
        try:
            self._documents.commit([write])
        except PreconditionFailed:
            log("notice_repeated", provider=notice.provider, event_id=notice.id, type=notice.type)
            return False
        log("notice_stored", provider=notice.provider, event_id=notice.id, type=notice.type, parked=reason or None)
        return True

    def store_missing(self, notices: Sequence[Notice]) -> list[Notice]:
        """Store the notices of a page that are not stored yet, and return them: one read, and at most one commit.

        If another worker stores one of them meanwhile, each is stored by itself. Raises as `store` does.
        """
        by_path = {path_of(notice): notice for notice in notices}
        known = self._documents.get_all(list(by_path)) if by_path else []
        missing = [each for each, found in zip(by_path.values(), known, strict=True) if found is None]
        if not missing:
            return []
        try:
            self._documents.commit([self._creation(notice)[0] for notice in missing])
        except PreconditionFailed:
            return [notice for notice in missing if self.store(notice)]
        return missing

    def get(self, notice_id: str) -> Document | None:
        """Return the document with the id `{provider}:{event id}`, or None."""
        return self._documents.get(f"{COLLECTION}/{notice_id}")

    def due(self, limit: int, after: DuePlace | None = None) -> list[Document]:
        """Return the documents that are due for a sweep, behind `after`, the most overdue first, at most `limit`."""
        return DUE_NOTICES.page(self._documents, self._clock.now(), limit, after)

    def about(self, payment: str, limit: int) -> list[Document]:
        """Return at most `limit` stored notices about the payment with this id, in no order."""
        query = Query(collection=COLLECTION, where=(Where("payment", "==", payment),), limit=limit)
        return self._documents.query(query)

    def _creation(self, notice: Notice) -> tuple[Create, str]:
        """Return the write that stores a notice, and the reason why the notice is parked, empty if it is not.

        Operators are told before the write: a call that dies in between is repeated, and an alert may be heard twice.
        """
        reason = self._mismatch(notice)
        if reason:
            self._alerts.alert(
                "notice_parked", provider=notice.provider, event_id=notice.id, type=notice.type, reason=reason
            )
        return Create(path_of(notice), _stored(notice, reason, self._clock.now())), reason

    def _mismatch(self, notice: Notice) -> str:
        if self._modes.get(notice.provider, notice.is_live) != notice.is_live:
            return "mode"
        return "account" if notice.account is not None else ""


def path_of(notice: Notice) -> str:
    """Return the notice's document path, `inbox/{provider}:{event id}`."""
    return f"{COLLECTION}/{notice.provider}:{notice.id}"


def notice_in(data: Data) -> Notice:
    """Return the notice of a stored document."""
    text = {name: cast("str | None", data[name]) for name in ("account", "payment")}
    return Notice(
        provider=cast("ProviderName", data["provider"]),
        id=str(data["event_id"]),
        type=str(data["type"]),
        at=from_datetime(data["at"]),  # type: ignore[arg-type]  # a time
        is_live=bool(data["is_live"]),
        account=text["account"],
        payment=text["payment"],
        refs=dict(cast("Mapping[str, str]", data["refs"])),
    )


def ended(status: Status, now: Millis, reason: str = "") -> Data:
    """Return the changes that end a document with `status`. `parked` and `dead` documents are never deleted."""
    is_kept = status in {"parked", "dead"}
    deleted_at = None if is_kept else to_datetime(now + KEPT)
    return {"status": status, "reason": reason, "due_at": None, "ended_at": to_datetime(now), "delete_at": deleted_at}


def postponed(data: Data, now: Millis, reason: str) -> Data:
    """Return the changes to a document that could not be handled now.

    The document is due again after a pause that grows with each attempt. After ATTEMPTS_MAX attempts the document is
    `dead`.
    """
    attempts = int(cast("int", data["attempts"])) + 1
    if attempts >= ATTEMPTS_MAX:
        return {**ended("dead", now, reason), "attempts": attempts}
    pause = min(BACKOFF * 2 ** (attempts - 1), BACKOFF_MAX)
    return {"attempts": attempts, "due_at": to_datetime(now + pause), "reason": reason}


def revived(now: Millis) -> Data:
    """Return the changes that let an operator's replay begin, as if the document had just arrived."""
    return {
        "status": "new",
        "reason": "",
        "attempts": 0,
        "due_at": to_datetime(now),
        "ended_at": None,
        "delete_at": None,
    }


def due_shard(notice: Notice) -> int:
    """Return the shard of sweeps that an event belongs to."""
    return hashlib.sha256(f"{notice.provider}:{notice.id}".encode()).digest()[0] % DUE_SHARDS


def _stored(notice: Notice, parked: str, now: Millis) -> Data:
    """Return the stored form of a notice that has just come.

    `parked` is the reason to leave the notice to an operator, empty if the notice is to be worked off.
    """
    begun: Data = {
        "provider": notice.provider,
        "event_id": notice.id,
        "type": notice.type,
        "at": to_datetime(notice.at),
        "is_live": notice.is_live,
        "account": notice.account,
        "payment": notice.payment,
        "refs": dict(notice.refs),
        "received_at": to_datetime(now),
        "status": "new",
        "reason": "",
        "attempts": 0,
        "due_shard": due_shard(notice),
        "due_at": to_datetime(now + GRACE),
        "ended_at": None,
        "delete_at": None,
    }
    return {**begun, **ended("parked", now, parked)} if parked else begun
