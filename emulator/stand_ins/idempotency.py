"""What a provider remembers of idempotency keys: one execution for each, its answer replayed, until they expire."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from emulator.stand_ins.wire import Answer


class KeyMismatch(Exception):
    """The key came before, with another request."""


class KeyInUse(Exception):
    """The first request with this key is still running."""


@dataclass(slots=True)
class _Remembered:
    fingerprint: object
    expires_at: float
    answer: Answer | None = None


class Keys:
    """`once` runs a request once for each key; what it raises is not remembered."""

    def __init__(self, *, lifetime_seconds: float, now: Callable[[], float]) -> None:
        self._lifetime = lifetime_seconds
        self._now = now
        self._known: dict[str, _Remembered] = {}
        self._lock = threading.Lock()

    def once(self, key: str, fingerprint: object, run: Callable[[], Answer]) -> tuple[Answer, bool]:
        """The answer, and whether it is a replay. Raises KeyMismatch or KeyInUse."""
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
        """From now on this key is answered so: some providers remember their own failures."""
        with self._lock:
            if key in self._known:
                self._known[key].answer = answer

    def expire(self) -> int:
        """Forget every key whose request is done; how many those were."""
        with self._lock:
            done = [key for key, known in self._known.items() if known.answer is not None]
            for key in done:
                del self._known[key]
            return len(done)
