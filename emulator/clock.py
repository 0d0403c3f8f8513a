"""A laptop's Cloud Scheduler: fires the function of every minute, every minute."""

import threading
import time
from collections.abc import Callable
from typing import Self

MINUTE_SECONDS = 60
OK = 200


class Clock:
    """Caller of `fire` at every full minute until it is stopped. A missed minute is not repeated."""

    def __init__(self, fire: Callable[[], int], *, on_failure: Callable[[str], None]) -> None:
        self._fire = fire
        self._on_failure = on_failure
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(MINUTE_SECONDS - time.time() % MINUTE_SECONDS):
            try:
                status = self._fire()
            except OSError as error:
                status = 0
                reason = str(error)
            else:
                reason = f"HTTP {status}"
            if status != OK and not self._stopped.is_set():
                self._on_failure(f"every_minute failed: {reason}")
