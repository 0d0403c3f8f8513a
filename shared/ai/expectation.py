"""What to expect of a model's answers: what its document says at first, refined by use."""

import threading
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median_low

from shared.ai.models import Model

ANSWERS_REMEMBERED = 32
QUARTERS = 3
"""Three answers in four are no longer than the expectation: a hold by the mean would run out in half of them."""
COUNTED_MIN = 8
"""Shorter answers say little about how the model's tokens compare with ours."""


@dataclass(slots=True)
class _Seen:
    lengths: deque[int] = field(default_factory=lambda: deque(maxlen=ANSWERS_REMEMBERED))
    scales: deque[Fraction] = field(default_factory=lambda: deque(maxlen=ANSWERS_REMEMBERED))


class Expectation:
    """What this instance saw of each model's last answers that ended by themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def output_tokens(self, model: Model) -> int:
        """About how long an answer is, at least one token: the upper quartile of what was seen.

        What the model's document says counts as one answer, so a few real ones outweigh a bad guess.
        """
        with self._lock:
            seen = self._seen.get(model.id, _Seen())
            lengths = sorted([model.expected_output_tokens, *seen.lengths])
        rank = -(-len(lengths) * QUARTERS // 4)
        return max(1, min(lengths[rank - 1], model.max_output_tokens))

    def scale(self, model: Model) -> Fraction | None:
        """How many of the model's tokens make one of those we count ourselves; None before anything was seen."""
        with self._lock:
            seen = self._seen.get(model.id)
            return median_low(seen.scales) if seen and seen.scales else None

    def learn(self, model: Model, *, reported: int, counted: int) -> None:
        """An answer was this long, as the upstream counts and as we do."""
        with self._lock:
            seen = self._seen.setdefault(model.id, _Seen())
            seen.lengths.append(reported)
            if counted >= COUNTED_MIN and not model.is_reasoning:
                seen.scales.append(Fraction(reported, counted))
