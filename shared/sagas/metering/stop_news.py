"""The delivery of stop requests to the instance that runs the call, by one watch per instance, or else by polling.

The watch opens when the first call begins. While the watch is opening or broken, the stop requests of all users with
calls on this instance are read once a second.
"""

import threading
from collections.abc import Callable, Sequence

from shared.kernel.clock import Clock
from shared.kernel.documents import Document
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.watching import Watch, Watches
from shared.sagas.metering.running_calls import Hearer
from shared.sagas.metering.stop_requests import StopRequests, requests_in

LOOK_EVERY_SECONDS = 1.0
REOPEN_AFTER_LOOKS = (1, 2, 5, 10, 30)
"""Numbers of looks after which a broken watch is opened again. The last number counts for every further time."""
STALE_AFTER_SECONDS = 300.0
"""Seconds without calls after which a watch is opened again.

An instance without calls may be frozen, and the connection dead.
"""


class StopNews:
    """The news of one instance; see `News`."""

    def __init__(
        self,
        watches: Watches,
        requests: StopRequests,
        clock: Clock,
        *,
        spawn: Callable[[Callable[[], None]], None] | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._watches = watches
        self._requests = requests
        self._clock = clock
        self._spawn = spawn or _in_thread
        self._pause = pause or threading.Event().wait
        self._lock = threading.Lock()
        self._ear: _Ear | None = None
        self._used_at = clock.monotonic()
        self._is_bridging = False

    def listen(self, hearer: Hearer) -> None:
        """Pass requests to `hearer` from now on, until `hearer` has been without calls for a while.

        See `News.listen`.
        """
        now = self._clock.monotonic()
        with self._lock:
            is_stale = now - self._used_at > STALE_AFTER_SECONDS
            self._used_at = now
            ear = self._ear
            is_lost = ear is None or (ear.is_broken and not self._is_bridging)
        if ear is None or is_lost or is_stale:
            ear = self._opened(hearer, ear)
        if not ear.is_caught_up:
            self._bridge(hearer)

    def _opened(self, hearer: Hearer, instead_of: "_Ear | None") -> "_Ear":
        """Open a watch, unless another thread has done so meanwhile."""
        ear = _Ear(hearer, lambda: self._bridge(hearer))
        with self._lock:
            if self._ear is not instead_of and self._ear is not None:
                return self._ear
            self._ear = ear
        if instead_of is not None:
            instead_of.close()
        ear.open(self._requests.watch(self._watches, ear))
        return ear

    def _bridge(self, hearer: Hearer) -> None:
        """Look by name on a new thread until the watch is up to date. Only one such thread runs at a time."""
        with self._lock:
            if self._is_bridging:
                return
            self._is_bridging = True
        self._spawn(lambda: self._look_until_caught_up(hearer))

    def _look_until_caught_up(self, hearer: Hearer) -> None:
        looks, pauses = 0, list(REOPEN_AFTER_LOOKS)
        while not self._is_bridged(hearer):
            self._pause(LOOK_EVERY_SECONDS)
            self._look(hearer)
            looks += 1
            if (ear := self._ear) is not None and ear.is_broken and looks >= pauses[0]:
                looks, pauses = 0, pauses[1:] or pauses
                self._opened(hearer, ear)

    def _is_bridged(self, hearer: Hearer) -> bool:
        """Return True if there is nothing to look for by name any more. Another call may then begin to look."""
        with self._lock:
            is_told = self._ear is not None and self._ear.is_caught_up
            self._is_bridging = bool(hearer.users()) and not is_told
            return not self._is_bridging

    def _look(self, hearer: Hearer) -> None:
        try:
            hearer.hear(self._requests.of_users(hearer.users()))
        except DomainError as error:
            log("stops_not_read", "WARNING", code=error.code)


class _Ear:
    """The state of one watch; see `Listener`."""

    def __init__(self, hearer: Hearer, when_broken: Callable[[], None]) -> None:
        self._hearer = hearer
        self._when_broken = when_broken
        self._watch: Watch | None = None
        self.is_caught_up = False
        self.is_broken = False

    def open(self, watch: Watch) -> None:
        """Store the watch, so that the watch can be closed."""
        self._watch = watch

    def close(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.close()

    def changed(self, documents: Sequence[Document]) -> None:
        """See `Listener.changed`."""
        for document in documents:
            self._hearer.hear(requests_in(document))

    def caught_up(self) -> None:
        """See `Listener.caught_up`."""
        self.is_caught_up = True

    def broken(self) -> None:
        """See `Listener.broken`."""
        self.is_caught_up, self.is_broken = False, True
        self._when_broken()


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="stops", daemon=True).start()
