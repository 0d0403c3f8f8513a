"""Times and outcomes of calls of model providers, for operators."""

from time import monotonic

from shared.kernel.measured import BEFORE_MODEL_TIMES, UPSTREAM_CALLS, UPSTREAM_TIMES
from shared.kernel.tracing import seconds_until_now


class CallMeter:
    """Meter of one call of a provider, which has failed unless `outcome` says otherwise.

    `model` is the provider's name of the model, which comes from a model's document.
    """

    def __init__(self, model: str) -> None:
        """Begin to measure. The first call of a request tells what this backend added before."""
        self.outcome = "failed"
        self._model = model
        self._begun_at = monotonic()
        if (waited := seconds_until_now()) is not None:
            BEFORE_MODEL_TIMES.note(waited)

    def end(self) -> None:
        """Count the call."""
        UPSTREAM_CALLS.add(self._model, self.outcome)
        UPSTREAM_TIMES.add(self._model, by=monotonic() - self._begun_at)
