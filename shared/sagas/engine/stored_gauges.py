"""Gauges that documents tell: the relay's lag, the last ends of jobs, and open alerts.

An instance reads them at most once in FRESH_SECONDS, ten documents at most.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from shared.kernel.alert_book import COLLECTION
from shared.kernel.alert_kinds import ALERT_KINDS
from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.documents import Documents, Order, Query, StoreUnavailable, Where
from shared.kernel.meters import LevelMeter, Meter
from shared.ledger.markers import is_any_news
from shared.sagas.engine.job_board import JobBoard, JobEnd, JobState

FRESH_SECONDS = 15.0
ALERTS_READ_MAX = 7
"""Open alerts that are read, those seen last. With two boards and a marker, ten documents are read."""
JOBS_MAX = 32
RELAY = "relay"
SCHEDULES = ("every_minute", "every_day")


class StoredGauges:
    """Gauges from documents. Safe to share between threads: one of them reads, and the others take the last numbers."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        """Make gauges that nothing is read for yet."""
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._meters: Sequence[Meter] = ()

    def meters(self) -> Sequence[Meter]:
        """Return the gauges. If the store does not answer, they say only that."""
        with self._lock:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
                self._read_at = now
                try:
                    self._meters = self._read()
                except StoreUnavailable:
                    self._meters = (_is_read(is_read=False),)
            return self._meters

    def _read(self) -> Sequence[Meter]:
        board = JobBoard(self._documents, self._clock)
        boards = {schedule: board.states(schedule) for schedule in SCHEDULES}
        relay, now = boards["every_minute"].get(RELAY), self._clock.now()
        lag = LevelMeter("credits_relay_lag_seconds", "Age of the oldest entry that waits for the relay.")
        if relay is not None and relay.last is not None:
            lag.set(to=relay_lag(relay.last, now, is_waiting=is_any_news(self._documents)) / SECOND)
        query = Query(
            collection=COLLECTION,
            where=(Where("state", "==", "open"),),
            order_by=(Order("last_seen", descending=True),),
            limit=ALERTS_READ_MAX,
        )
        alerts = _alerts([str(each.data.get("event")) for each in self._documents.query(query)])
        return (_is_read(is_read=True), lag, *_jobs(boards), alerts)


def relay_lag(last: JobEnd, now: Millis, *, is_waiting: bool) -> Millis:
    """Return the relay's lag (ms) from the end of its job. `is_waiting`: some entry waits to be published or logged.

    An entry that waits now has waited since the last run at most, or for as long as that run found.
    """
    return max(last.lag, now - last.at) if is_waiting else last.lag


def _is_read(*, is_read: bool) -> LevelMeter:
    meter = LevelMeter("credits_store_read", "1 if the numbers that documents tell could be read, else 0.")
    meter.set(to=int(is_read))
    return meter


def _jobs(boards: Mapping[str, Mapping[str, JobState]]) -> Sequence[Meter]:
    ends = LevelMeter(
        "credits_job_end_timestamp_seconds", "Time of the end of a job's last run.", {"job": None}, most=JOBS_MAX
    )
    failed = LevelMeter("credits_failed_jobs", "Number of jobs whose last run an error ended.", {"schedule": SCHEDULES})
    for schedule, states in boards.items():
        last = {name: state.last for name, state in states.items() if state.last is not None}
        for name, end in sorted(last.items()):
            ends.set(name, to=end.at / SECOND)
        failed.set(schedule, to=sum(1 for end in last.values() if end.code))
    return (ends, failed)


def _alerts(events: Sequence[str]) -> LevelMeter:
    meter = LevelMeter(
        "credits_open_alerts",
        f"Open alerts by event, among the {ALERTS_READ_MAX} that were seen last.",
        {"event": None},
        most=ALERTS_READ_MAX,
    )
    for event, count in sorted(Counter(each if each in ALERT_KINDS else "other" for each in events).items()):
        meter.set(event, to=count)
    return meter
