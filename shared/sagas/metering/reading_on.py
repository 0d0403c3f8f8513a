"""Reading on: answers whose caller has left are read to their report, on separate threads."""

import threading
from collections import Counter
from collections.abc import Callable

from shared.kernel.errors import DomainError
from shared.kernel.events import log, log_error
from shared.kernel.ids import Uid
from shared.kernel.tracing import in_this_work

READING_ON_MAX = 80
"""Most calls that an instance reads on at once. Each call takes up to two threads and one connection."""
READING_ON_PER_USER_MAX = 48
"""Most calls of one user that are read on at once. A customer's server that restarts leaves all calls at once."""


class ReadingOn:
    """The places of this instance for calls that are read to their end after the client has left.

    Safe between threads.
    """

    def __init__(self, most: int = READING_ON_MAX, most_per_user: int = READING_ON_PER_USER_MAX) -> None:
        self._most = most
        self._most_per_user = most_per_user
        self._lock = threading.Lock()
        self._by_user = Counter[Uid]()

    def take(self, uid: Uid) -> "Place | None":
        """Return a place for one call of this user, or None if the instance or the user has no room left."""
        with self._lock:
            if self._by_user.total() >= self._most or self._by_user[uid] >= self._most_per_user:
                return None
            self._by_user[uid] += 1
        return Place(lambda: self._leave(uid))

    @property
    def taken(self) -> int:
        """The number of places that are taken."""
        with self._lock:
            return self._by_user.total()

    def _leave(self, uid: Uid) -> None:
        with self._lock:
            self._by_user[uid] -= 1
            if not self._by_user[uid]:
                del self._by_user[uid]


class Place:
    """The place for one call: begin the reading, or give the place back."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave

    def begin_reading(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread of its own. A failure is logged; the call's hold then expires.

        Raises RuntimeError if no thread can be started; the place is free again.
        """
        try:
            threading.Thread(target=in_this_work(self._run), args=(work,), name="reading on", daemon=True).start()
        except RuntimeError:
            self._leave()
            raise

    def give_back(self) -> None:
        """Give the place back without reading."""
        self._leave()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except DomainError as error:
            log("not_read_on", "WARNING", code=error.code)
        except Exception as error:  # noqa: BLE001  # nobody else hears of it
            log_error("not_read_on", error)
        finally:
            self._leave()
