"""Parallel work on a separate thread, so that two reads take only as long as the longer one."""

import _thread
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Meanwhile(Generic[T]):
    """Running `work`, started at once on a thread. If nobody calls `result`, the work ends unobserved."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._failure: BaseException | None = None
        self._running = _thread.allocate_lock()
        self._running.acquire()
        # A `threading.Thread` would make its starter wait until it runs, which on a busy machine is milliseconds.
        _thread.start_new_thread(self._run, (work,))

    def result(self) -> T:
        """Wait until the work ends, and return its result. Raises any error of the work."""
        with self._running:
            if self._failure is not None:
                raise self._failure
            return self._result

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001  # told to whoever asks
            self._failure = error
        finally:
            self._running.release()
