"""Drain: the operators' switch that refuses new spending calls, while calls that run come to their end."""

import threading
from collections.abc import Callable

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import Documents, Put
from shared.kernel.errors import DomainError, InvalidValue, Unavailable
from shared.kernel.events import log
from shared.users.audit import AuditTrail

DRAIN_PATH = "jobs/drain"
FRESH: Millis = 5 * SECOND
"""Age of the known state after which an instance reads the state again, beside the calls."""
STALE: Millis = 30 * SECOND
"""Age of the known state for which no call goes by it any more."""
RETRY_AFTER: Millis = MINUTE
BEGIN_COMMAND = "command:drain"
END_COMMAND = "command:undrain"


class Draining(Unavailable):
    """The operators let no new spending call begin for now. Running calls end as always."""

    code = "draining"

    def __init__(self) -> None:
        super().__init__(
            "The service is being worked on and takes no new calls for some minutes; running ones end as always.",
            retry_after_ms=RETRY_AFTER,
        )


class Drain:
    """The switch, as one instance knows the state. Safe to share between threads.

    A call goes by the known state, and lets a state of age `FRESH` be read again in the background. If the instance was
    idle for `STALE`, the call waits for the new state. If the store does not answer, the known state counts.
    """

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        audit: AuditTrail,
        begin_reading: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._audit = audit
        self._begin_reading = begin_reading or _in_thread
        self._lock = threading.Lock()
        self._is_on = False
        self._read_at: Millis | None = None

    def is_on(self) -> bool:
        """Return True if new spending calls are refused. The first call of an instance waits for the state."""
        with self._lock:
            age = None if self._read_at is None else self._clock.now() - self._read_at
            if age is None or age >= STALE:
                self._read()
            is_due = age is None or age >= FRESH
            if is_due:
                self._read_at = self._clock.now()
        if is_due and age is not None and age < STALE:
            self._begin_reading(self._read)
        return self._is_on

    def begin(self, reason: str) -> None:
        """Refuse new spending calls on all instances within seconds. Raises InvalidValue without a reason."""
        if not reason.strip():
            raise InvalidValue("reason", "must say why")
        self._switch(BEGIN_COMMAND, "drain", reason.strip(), is_on=True)

    def end(self) -> None:
        """Take spending calls again on all instances within seconds."""
        self._switch(END_COMMAND, "undrain", None, is_on=False)

    def _switch(self, actor: str, act: str, reason: str | None, *, is_on: bool) -> None:
        with self._audit.recording(actor, act, DRAIN_PATH, reason=reason):
            at = to_datetime(self._clock.now())
            self._documents.commit([Put(DRAIN_PATH, {"is_on": is_on, "reason": reason, "at": at})])
        self._is_on = is_on

    def _read(self) -> None:
        try:
            found = self._documents.get(DRAIN_PATH)
        except DomainError as error:
            log("drain_not_read", "WARNING", code=error.code)
            return
        self._is_on = found is not None and found.data.get("is_on") is True


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="drain", daemon=True).start()
