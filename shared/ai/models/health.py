"""Record of recent upstream failures by model, as this instance saw them: a hint for choosing a model, nothing else."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from shared.kernel.clock import Clock

REST_SECONDS = 15.0
REST_SECONDS_MAX = 240.0
MODELS_MAX = 500


@dataclass(slots=True)
class _FailureCount:
    failures: int
    until: float


class ModelHealth:
    """Tracker of failures, safe to share between threads.

    A model that failed rests, longer after each failure. An answer ends the rest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ailing: OrderedDict[str, _FailureCount] = OrderedDict()

    def is_ailing(self, model_id: str) -> bool:
        """Return True while the model rests after a failure, so that another model is the better choice."""
        with self._lock:
            known = self._ailing.get(model_id)
            return known is not None and self._clock.monotonic() < known.until

    def failed(self, model_id: str) -> None:
        """Record that the model's upstream was unreachable, failed, or was too busy."""
        with self._lock:
            failures = self._ailing[model_id].failures + 1 if model_id in self._ailing else 1
            rest = min(REST_SECONDS * 2 ** min(failures - 1, 10), REST_SECONDS_MAX)
            self._ailing[model_id] = _FailureCount(failures, self._clock.monotonic() + rest)
            self._ailing.move_to_end(model_id)
            if len(self._ailing) > MODELS_MAX:
                self._ailing.popitem(last=False)

    def answered(self, model_id: str) -> None:
        """Record that the model answered, so that the model rests no longer."""
        if model_id in self._ailing:
            with self._lock:
                self._ailing.pop(model_id, None)
