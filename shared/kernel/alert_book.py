"""Book of alerts: instances report troubles here, and each trouble is one document `alerts/{event:subject}`."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.kernel.alert_records import (
    BATCHES_KEPT,
    AlertBatch,
    AlertRecord,
    alert_id,
    changed,
    raised,
    record_data,
    record_in,
    report,
    subject_of,
)
from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.documents import Create, Documents, OutcomeUnknown, PreconditionFailed, Put
from shared.kernel.events import Field, log_error
from shared.kernel.ids import new_id

COLLECTION = "alerts"
ATTEMPTS_MAX = 8
WRITE_TIMEOUT_SECONDS = 5.0
PACE_MIN: Millis = SECOND
PACE_MAX: Millis = 16 * SECOND
"""Times between two writes of one alert by one instance. The time doubles while reports go on."""
PENDING_MAX = 1_000
"""Most alerts that wait for a write in an instance. Reports of further alerts are only logged and published."""

Later = Callable[[float, Callable[[], None]], None]
"""Function that runs another function after these seconds, in another thread. Returns at once."""
ChangeRecord = Callable[[AlertRecord | None], AlertRecord | None]
"""Function from the stored alert, None if there is none, to the alert to store, None for no change."""


@dataclass(slots=True)
class _Pace:
    """Time from which an alert may be written again, and the time between two writes."""

    next_at: Millis = 0
    step: Millis = PACE_MIN


class AlertBook:
    """Writer of alerts' documents. An instance joins reports, and writes each alert at most once a second.

    Reports that wait for a write are lost if the instance is killed. Their log lines and messages are not lost.
    `later` runs the writes.
    """

    def __init__(self, documents: Callable[[], Documents], clock: Clock, later: Later) -> None:
        self._documents = documents
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._pending: dict[str, list[AlertBatch]] = {}
        self._paces: dict[str, _Pace] = {}
        self._due: dict[str, Millis] = {}

    def note(self, event: str, fields: Mapping[str, Field]) -> None:
        """Count a report of this trouble. The write happens later, in another thread. Never raises."""
        try:
            wait = self._keep(report(event, fields, self._clock.now(), new_id("batch")))
            if wait is not None:
                alert = alert_id(event, subject_of(event, fields))
                self._later(wait / SECOND, lambda: self._write(alert))
        except Exception as error:  # noqa: BLE001  # an alert must not break the work that reports a fault
            log_error("alert_not_written", error, alert=event)

    def resolve(self, event: str, fields: Mapping[str, Field]) -> None:
        """End the alert of this trouble, if one is open. Never raises."""
        try:
            alert, now = alert_id(event, subject_of(event, fields)), self._clock.now()
            with self._writing:
                self._write(alert)
                change_alert(self._documents(), alert, lambda before: ended(before, now))
        except Exception as error:  # noqa: BLE001  # see `note`
            log_error("alert_not_resolved", error, alert=event)

    def flush(self) -> None:
        """Write all reports that wait. Never raises."""
        with self._lock:
            waiting = list(self._pending)
        for alert in waiting:
            self._write(alert)

    def _keep(self, batch: AlertBatch) -> Millis | None:
        """Let a report wait for its write. Return the time until the write; None if a write will follow anyway."""
        with self._lock:
            waiting = self._pending.get(batch.alert)
            if waiting is None and len(self._pending) >= PENDING_MAX:
                return None
            if not waiting:
                self._pending[batch.alert] = [batch]
            elif waiting[-1].is_sent and len(waiting) < BATCHES_KEPT:
                waiting.append(batch)
            else:
                waiting[-1] = waiting[-1].joined(batch)
            return self._next_wait(batch.alert, self._clock.now())

    def _next_wait(self, alert: str, now: Millis) -> Millis | None:
        """Return the time until the next write, None if one is planned. A plan whose time is long over is lost."""
        due = self._due.get(alert)
        if due is not None and now < due + PACE_MIN:
            return None
        wait = max(0, self._pace(alert, now).next_at - now)
        self._due[alert] = now + wait
        return wait

    def _pace(self, alert: str, now: Millis) -> _Pace:
        """Return the pace of an alert. A pace that has been over for long is forgotten."""
        if len(self._paces) > PENDING_MAX:
            self._paces = {name: each for name, each in self._paces.items() if each.next_at > now}
        pace = self._paces.get(alert)
        if pace is None or now >= pace.next_at + PACE_MAX:
            pace = self._paces[alert] = _Pace()
        return pace

    def _write(self, alert: str) -> None:
        """Write the reports of an alert that wait. After a failure they are written later, or by `flush`."""
        with self._writing:
            self._write_waiting(alert)

    def _write_waiting(self, alert: str) -> None:
        with self._lock:
            batches = self._pending.pop(alert, [])
            self._due.pop(alert, None)
            if not batches:
                return
            now = self._clock.now()
            pace = self._pace(alert, now)
            pace.next_at, pace.step = now + pace.step, min(2 * pace.step, PACE_MAX)
        try:
            change_alert(self._documents(), alert, lambda before: _after(before, batches))
        except Exception as error:  # noqa: BLE001  # see `note`
            log_error("alert_not_written", error, alert=batches[0].event)
            self._put_back([replace(each, is_sent=True) for each in batches])

    def _put_back(self, batches: Sequence[AlertBatch]) -> None:
        """Let batches wait again, before the reports that came meanwhile, and write them after the pace's time."""
        alert = batches[0].alert
        with self._lock:
            self._pending[alert] = [*batches, *self._pending.get(alert, ())]
            wait = self._next_wait(alert, self._clock.now())
        if wait is None:
            return
        try:
            self._later(wait / SECOND, lambda: self._write(alert))
        except RuntimeError as error:  # no thread starts at the end of the process
            log_error("alert_not_written", error, alert=batches[0].event)


def change_alert(documents: Documents, alert: str, change: ChangeRecord) -> AlertRecord | None:
    """Read the alert with this id, and store what `change` returns. Return the stored alert, None if there is none.

    After a conflict or an unclear answer the alert is read again, and `change` decides again. Raises PreconditionFailed
    or Unavailable after ATTEMPTS_MAX attempts.
    """
    path = f"{COLLECTION}/{alert}"
    for attempt in range(1, ATTEMPTS_MAX + 1):
        found = documents.get(path)
        before = None if found is None else record_in(found.data)
        after = change(before)
        if after is None or after == before:
            return before
        data = record_data(after)
        write = Create(path, data) if found is None else Put(path, data, found.version)
        try:
            documents.commit([write], timeout_seconds=WRITE_TIMEOUT_SECONDS)
        except (PreconditionFailed, OutcomeUnknown):
            if attempt == ATTEMPTS_MAX:
                raise
        else:
            return after
    return None


def ended(before: AlertRecord | None, now: Millis) -> AlertRecord | None:
    """Return the alert after the end of its trouble, None if no alert is open."""
    return None if before is None or before.state == "resolved" else changed(before, "resolved", "", None, now)


def _after(before: AlertRecord | None, batches: Sequence[AlertBatch]) -> AlertRecord | None:
    after = before
    for batch in batches:
        after = raised(after, batch)
    return after
