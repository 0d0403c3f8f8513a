"""Losses: costs of users' calls that the platform bore, counted by user, API key, model and cause.

There are two kinds of documents, and none for a call that cost the platform nothing. `loss_events/{id}` is one loss;
its id follows from the operation, so that the same loss is counted once. `losses/{id}` adds up one user's losses of one
window. One commit writes both. The relay, which skips no entry, reports the amounts that the ledger absorbed and the
calls that nobody captured. A loss without an entry (a provider that failed, output beyond the limit) is reported by
`bear`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, cast

import orjson

from shared.kernel.canonical import Json, canonical
from shared.kernel.clock import Clock, Millis, to_datetime
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    Query,
    Version,
    Where,
    Write,
)
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.ids import OperationId, Uid, derived_id
from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.entries import ABSORBED, DEBT
from shared.ledger.exposure import ABSORBED_WINDOW, KEY_CEILINGS_FROM, USER_CEILINGS_FROM
from shared.ledger.views import EntryView

Cause: TypeAlias = Literal[
    "absorbed", "charge_refused", "crashed", "debt_written_off", "limit_not_kept", "not_read_on", "provider_failed"
]
"""Cause of a loss.

`absorbed`: a call cost more than its user could pay. `charge_refused`: the charge of a call that held no credits was
refused, and nothing was delivered. `crashed`: an instance ended before charging the call; the cost is
unknown, so the amount is 0. `debt_written_off`: a user left with a debt. `limit_not_kept`: the provider billed output
beyond the limit. `not_read_on`: there was no room to read a call to its report, and the provider may have billed more
than its hold. `provider_failed`: the provider failed before anything was delivered.
"""

LOSS_WINDOW: Millis = ABSORBED_WINDOW
"""Length of the windows over which losses are added up. All users' windows begin at the same time."""
ROWS_MAX = 500
"""Largest number of rows (key, model and cause) in a user's window. Further losses are added up under `OTHERS`."""
OTHERS = "(others)"
COUNTED_MAX = 10_000
"""Number of losses of one cause and user in a window beyond which no loss is recorded: all limits are passed."""
ATTEMPTS_MAX = 8
PAUSE_SECONDS = 0.05
PAGE = 500


@dataclass(frozen=True, slots=True)
class LossSum:
    """Number of losses, and their total amount in µcr."""

    count: int = 0
    amount: int = 0

    def __add__(self, other: "LossSum") -> "LossSum":
        """Return the sum of both counts and amounts."""
        return LossSum(self.count + other.count, self.amount + other.amount)

    def is_beyond(self, limit: "LossSum") -> bool:
        """Return True if the count or the amount exceeds that of `limit`."""
        return self.count > limit.count or self.amount > limit.amount


ANY_COUNT, ANY_AMOUNT = 2**53, 2**53
ALERT_LIMITS: Mapping[Cause, LossSum] = {
    "absorbed": LossSum(ANY_COUNT, KEY_CEILINGS_FROM),
    "charge_refused": LossSum(3, KEY_CEILINGS_FROM),
    "crashed": LossSum(3, ANY_AMOUNT),
    "debt_written_off": LossSum(ANY_COUNT, ANY_AMOUNT),
    "limit_not_kept": LossSum(ANY_COUNT, MICRO_PER_CREDIT),
    "not_read_on": LossSum(10, ANY_AMOUNT),
    "provider_failed": LossSum(20, MICRO_PER_CREDIT),
}
"""First limits. If the losses of one user or key in one window exceed the limit, an alert is raised."""
SECOND_LIMITS: Mapping[Cause, LossSum] = {
    "absorbed": LossSum(ANY_COUNT, USER_CEILINGS_FROM),
    "charge_refused": LossSum(10, USER_CEILINGS_FROM),
    "crashed": LossSum(10, ANY_AMOUNT),
    "debt_written_off": LossSum(ANY_COUNT, ANY_AMOUNT),
    "limit_not_kept": LossSum(ANY_COUNT, 10 * MICRO_PER_CREDIT),
    "not_read_on": LossSum(50, 10 * MICRO_PER_CREDIT),
    "provider_failed": LossSum(100, 5 * MICRO_PER_CREDIT),
}
"""Second limits, beyond which the platform stops paying.

A user's failed calls are then charged. Calls without room to be read on are charged their highest possible use. Calls
of a user with too many absorbed costs are held whole. A user with too many refused charges holds credits before calls.
"""


class Row(NamedTuple):
    """Group of losses in a window: one principal (a user or `key:{id}`), one model and one cause."""

    principal: str
    model: str
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Amount (µcr) that the platform bore at `at`. A loss counts once for its `operation` and `cause`."""

    uid: Uid
    principal: str
    model: str
    cause: Cause
    amount: int
    operation: str
    at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWindow:
    """Losses of one user in one window, by row.

    `version` is the version of the stored document; None if none is stored.
    """

    rows: Mapping[Row, LossSum] = field(default_factory=dict)
    version: Version | None = None

    def of(self, cause: Cause, principal: str | None = None) -> LossSum:
        """Return the sum of one cause, for the whole user or for one principal."""
        total = LossSum()
        for row, each in self.rows.items():
            if row.cause == cause and principal in (None, row.principal):
                total = total + each
        return total

    def with_loss(self, loss: Loss) -> "LossWindow":
        """Return the window with one more loss."""
        row = Row(loss.principal, loss.model, loss.cause)
        if row not in self.rows and len(self.rows) >= ROWS_MAX:
            row = Row(OTHERS, OTHERS, loss.cause)
        total = self.rows.get(row, LossSum()) + LossSum(1, loss.amount)
        return LossWindow(rows={**self.rows, row: total}, version=self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """Sums of losses by model and cause. `after` is the path behind which the next report continues, "" at the end."""

    totals: Mapping[tuple[str, Cause], LossSum]
    after: str


class Losses:
    """Recorder of losses and their sums. Safe to share between threads and instances."""

    def __init__(self, documents: Documents, alerts: Alerts, clock: Clock) -> None:
        self._documents = documents
        self._alerts = alerts
        self._clock = clock

    def bear(
        self, uid: Uid, *, operation: OperationId, cause: Cause, amount: int, model: str, principal: str = ""
    ) -> None:
        """Record that the platform bore `amount` (µcr) of a call, once per operation and cause, however often called.

        Call before the call's hold ends, so that no crash loses the record. Without `principal`, the call is the user's
        own. Raises StoreUnavailable, OutcomeUnknown or PreconditionFailed if the loss may not be recorded.
        """
        self._record(
            Loss(
                uid=uid,
                principal=principal or uid,
                model=model,
                cause=cause,
                amount=amount,
                operation=operation,
                at=self._clock.now(),
            )
        )

    def see(self, uid: Uid, entries: Sequence[EntryView]) -> None:
        """Record the losses in these journal entries.

        Alert operators of each charge above the recorded bound of its call.
        """
        for entry in entries:
            if entry.beyond_cap is not None:
                self._alerts.alert("bound_not_kept", uid=uid, seq=entry.seq, beyond_cap=entry.beyond_cap)
            for loss in _losses_told(uid, entry):
                self._record(loss)

    def are_failures_charged(self, uid: Uid) -> bool:
        """Return True if this user's calls are charged for the generated output even if the provider failed.

        This holds once this user's failures in the window exceed the second limit. Reads one document.
        """
        return self.window(uid).of("provider_failed").is_beyond(SECOND_LIMITS["provider_failed"])

    def are_unread_calls_charged(self, uid: Uid) -> bool:
        """Return True if this user's calls without room to be read on are charged their highest possible use.

        This holds once this user's calls without room in the window exceed the second limit. Reads one document.
        """
        return self.window(uid).of("not_read_on").is_beyond(SECOND_LIMITS["not_read_on"])

    def are_charges_held(self, uid: Uid) -> bool:
        """Return True if this user's calls must hold credits first, since too many charges after calls were refused.

        This holds once the refused charges in the window exceed the second limit. Reads one document.
        """
        return self.window(uid).of("charge_refused").is_beyond(SECOND_LIMITS["charge_refused"])

    def window(self, uid: Uid, at: Millis | None = None) -> LossWindow:
        """Return the user's losses of the window that contains `at` (default: now)."""
        document = self._documents.get(window_path(uid, self._clock.now() if at is None else at))
        return LossWindow() if document is None else _window(document)

    def report(self, after: str = "", deadline: Deadline = NEVER) -> LossReport:
        """Log and return the platform's losses in this window by model and cause, over the users behind `after`.

        If the deadline is over before the last user, the report says where the next one continues.
        """
        totals: dict[tuple[str, Cause], LossSum] = {}
        is_from_the_start = not after
        while True:
            page = self._windows(_window_number(self._clock.now()), after)
            for document in page:
                for row, each in _readable_rows(document).items():
                    totals[row.model, row.cause] = totals.get((row.model, row.cause), LossSum()) + each
            after = page[-1].path if len(page) == PAGE else ""
            if not after or deadline.is_over():
                break
        for (model, cause), total in sorted(totals.items()):
            log(
                "losses_of_model",
                "WARNING",
                model=model,
                cause=cause,
                count=total.count,
                amount=total.amount,
                is_complete=is_from_the_start and not after,
            )
        return LossReport(totals=totals, after=after)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all losses of a user who leaves. Absorbed amounts stay in the journal."""
        where = (Where("uid", "==", uid),)
        return all(
            delete_matching(self._documents, Query(collection=collection, where=where, limit=ERASE_PAGE), deadline)
            for collection in ("loss_events", "losses")
        )

    def _record(self, loss: Loss) -> None:
        """Alert, then store. A crash in between leads to a second alert, which is better than none.

        Raises PreconditionFailed or OutcomeUnknown after repeated failed commits.
        """
        path = event_path(loss)
        if self._documents.get(path) is not None:
            return
        if loss.cause in ("absorbed", "debt_written_off"):
            self._alerts.alert("credits_absorbed", **_told(loss))
        for attempt in range(ATTEMPTS_MAX):
            before = self.window(loss.uid, loss.at)
            if before.of(loss.cause).count >= COUNTED_MAX:
                return
            after = before.with_loss(loss)
            self._alert_limits(loss, before, after)
            try:
                self._documents.commit([Create(path, _event_data(loss)), _window_write(loss, after)])
            except (PreconditionFailed, OutcomeUnknown):
                if self._documents.get(path) is not None:
                    return
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                self._clock.wait(PAUSE_SECONDS)
            else:
                return

    def _alert_limits(self, loss: Loss, before: LossWindow, after: LossWindow) -> None:
        """Alert for each limit that this loss passes: the user's, and the key's if a key made the call."""
        whose = (None,) if loss.principal == loss.uid else (None, loss.principal)
        for principal in whose:
            was, now = before.of(loss.cause, principal), after.of(loss.cause, principal)
            for number, limits in enumerate((ALERT_LIMITS, SECOND_LIMITS), 1):
                limit = limits[loss.cause]
                if now.is_beyond(limit) and not was.is_beyond(limit):
                    name = principal or loss.uid
                    told = {"uid": loss.uid, "principal": name, "cause": loss.cause, "model": loss.model}
                    self._alerts.alert("loss_limit_passed", **told, limit=number, count=now.count, amount=now.amount)

    def _windows(self, number: int, after: str) -> list[Document]:
        """Return a page of users' windows of this number, behind the path `after`."""
        where = (Where("window", "==", number),)
        return self._documents.query(
            Query(collection="losses", where=where, limit=PAGE, after=(after,) if after else None)
        )


def event_path(loss: Loss) -> str:
    """Return `loss_events/{id}`, with the same id for the same operation and cause."""
    return f"loss_events/{derived_id('loss', loss.uid, loss.operation, loss.cause)}"


def window_path(uid: Uid, at: Millis) -> str:
    """Return `losses/{id}`, the path for one user and window."""
    return f"losses/{derived_id('losses', uid, str(_window_number(at)))}"


def _window_number(at: Millis) -> int:
    return at // LOSS_WINDOW


def _losses_told(uid: Uid, entry: EntryView) -> Iterator[Loss]:
    """Yield the losses in one entry: absorbed amounts, and a call that expired."""
    for cause, amount in _borne(entry).items():
        yield Loss(
            uid=uid,
            principal=entry.principal or uid,
            model=entry.model or "",
            cause=cause,
            amount=amount,
            operation=f"{entry.operation}:{entry.seq}",
            at=entry.at,
        )


def _borne(entry: EntryView) -> Mapping[Cause, int]:
    borne: dict[Cause, int] = {}
    for posting in entry.postings:
        if posting["from"] == ABSORBED:
            cause: Cause = "debt_written_off" if posting["to"] == DEBT else "absorbed"
            borne[cause] = borne.get(cause, 0) + posting["amount"]
    if entry.end == "expired" and entry.model is not None and not _is_closing(entry):
        borne["crashed"] = 0
    return borne


def _is_closing(entry: EntryView) -> bool:
    """Return True if the hold ended because its user left, and not because nobody captured the hold in time."""
    return entry.operation.endswith(f":{entry.hold}") and not entry.operation.startswith("expire:")


def _told(loss: Loss) -> dict[str, str | int]:
    return {
        "uid": loss.uid,
        "principal": loss.principal,
        "model": loss.model,
        "cause": loss.cause,
        "amount": loss.amount,
        "operation": loss.operation,
    }


def _event_data(loss: Loss) -> Data:
    return {**_told(loss), "at": to_datetime(loss.at)}


def _window_write(loss: Loss, window: LossWindow) -> Write:
    """Return the write of the window. The commit fails if the window has changed since the read."""
    rows: list[Json] = [[*row, total.count, total.amount] for row, total in window.rows.items()]
    path = window_path(loss.uid, loss.at)
    data: Data = {
        "uid": loss.uid,
        "window": _window_number(loss.at),
        "state": canonical({"rows": rows}).decode(),
    }
    return Create(path, data) if window.version is None else Put(path, data, window.version)


def _readable_rows(document: Document) -> Mapping[Row, LossSum]:
    """Return the rows of a window. A window that this release cannot read is logged, and has none."""
    try:
        return _window(document).rows
    except Exception as error:  # noqa: BLE001  # one broken window must not hide the losses of all others
        log_error("losses_not_readable", error, window=document.id)
        return {}


def _window(document: Document) -> LossWindow:
    # Written by us alone: every field is there and of its type.
    rows = cast("list[tuple[str, str, Cause, int, int]]", orjson.loads(str(document.data["state"]))["rows"])
    return LossWindow(
        rows={Row(principal, model, cause): LossSum(count, amount) for principal, model, cause, count, amount in rows},
        version=document.version,
    )
