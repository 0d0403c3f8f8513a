"""Memory of a provider for idempotency keys: one execution for each key, and replays until the key expires."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from emulator.stand_ins.wire import Answer


class KeyMismatch(Exception):
    """Error for a key that came before with another request."""


class KeyInUse(Exception):
    """Error for a key whose first request is still running."""


@dataclass(slots=True)
class _Remembered:
    fingerprint: object
    expires_at: float
    answer: Answer | None = None


class Keys:
    """Idempotency keys. `once` runs a request once for each key; an error is not remembered."""

    def __init__(self, *, lifetime_seconds: float, now: Callable[[], float]) -> None:
        self._lifetime = lifetime_seconds
        self._now = now
        self._known: dict[str, _Remembered] = {}
        self._lock = threading.Lock()

    def once(self, key: str, fingerprint: object, run: Callable[[], Answer]) -> tuple[Answer, bool]:
        """Run the request once. Return the answer, and True for a replay. Raises KeyMismatch or KeyInUse."""
        with self._lock:
            known = self._known.get(key)
            if known is not None and (known.answer is None or known.expires_at > self._now()):
                if known.fingerprint != fingerprint:
                    raise KeyMismatch(key)
                if known.answer is None:
                    raise KeyInUse(key)
                return known.answer, True
            mine = self._known[key] = _Remembered(fingerprint, self._now() + self._lifetime)
        try:
            mine.answer = run()
        finally:
            if mine.answer is None:
                with self._lock:
                    del self._known[key]
        return mine.answer, False

    def rewrite(self, key: str, answer: Answer) -> None:
        """Set the answer to later requests with this key, since some providers repeat their own failures."""
        with self._lock:
            if key in self._known:
                self._known[key].answer = answer

    def expire(self) -> int:
        """Forget every key whose request is done, and return the number of these keys."""
        with self._lock:
            done = [key for key, known in self._known.items() if known.answer is not None]
            for key in done:
                del self._known[key]
            return len(done)
