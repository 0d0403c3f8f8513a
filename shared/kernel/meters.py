"""Meters: numbers that an instance counts beside other work, each with few labels of bounded values.

A meter is updated in the middle of other work, also of work on money. So no update raises, waits for anything but a
short lock, or keeps more than a bounded number of series.
"""

import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Literal

MeterKind = Literal["counter", "gauge", "histogram"]
OTHER = "other"
"""Value of a label beyond the bound of a meter, and of a label without a known value."""
LABEL_CHARACTERS_MAX = 100
Labels = tuple[str, ...]


class Meter:
    """Numbers of one name by labels.

    `labels` maps each label to the known values; None means any value, for at most `most` series of each combination
    of the other labels. The name has no ending such as `_total`.
    """

    kind: MeterKind = "counter"

    def __init__(
        self, name: str, meaning: str, labels: Mapping[str, Collection[str] | None] | None = None, *, most: int = 1
    ) -> None:
        """Make a meter without series. `meaning` is a sentence for operators."""
        self.name = name
        self.meaning = meaning
        self.label_names = tuple(labels or {})
        self._known = tuple(None if values is None else frozenset(values) for values in (labels or {}).values())
        self._most = most
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Add to the number with these labels. Never raises."""
        try:
            with self._lock:
                if labels in self._values:
                    self._values[labels] += by
                else:
                    key = self._key(labels)
                    self._values[key] = self._values.get(key, 0) + by
        except Exception:  # noqa: BLE001, S110  # a number must not break the work that it counts
            pass

    def values(self) -> list[tuple[Labels, float]]:
        """Return all numbers by labels, in the order of the labels."""
        with self._lock:
            return sorted(self._values.items())

    def clear(self) -> None:
        """Forget all numbers. For tests: a counter that an operator reads never falls."""
        with self._lock:
            self._values.clear()

    @property
    def series_max(self) -> int:
        """Most series of this meter, as they are written."""
        closed, opened = 1, 0
        for known in self._known:
            closed *= 1 if known is None else len(known) + 1
            opened += known is None
        return closed * (self._most + 1 if opened else 1)

    def _key(self, labels: Labels) -> Labels:
        """Return the labels under which a new number is kept. Call with the lock."""
        if len(labels) != len(self._known):
            raise ValueError(self.name)
        kept = tuple(_value(label, known) for label, known in zip(labels, self._known, strict=True))
        if kept in self._values or None not in self._known:
            return kept
        return kept if self._alike(kept) < self._most else self._overflow(kept)

    def _alike(self, kept: Labels) -> int:
        """Return the number of series that differ from these labels in open labels alone."""
        beyond = self._overflow(kept)
        return sum(1 for each in self._values if each != beyond and self._overflow(each) == beyond)

    def _overflow(self, kept: Labels) -> Labels:
        return tuple(OTHER if known is None else each for each, known in zip(kept, self._known, strict=True))


class LevelMeter(Meter):
    """Levels that rise and fall, such as the height of a chain."""

    kind: MeterKind = "gauge"

    def set(self, *labels: str, to: float) -> None:
        """Note the present level. Never raises."""
        with suppress(Exception), self._lock:
            self._values[self._key(labels)] = to


class TimeMeter(Meter):
    """Seconds, counted by upper bounds."""

    kind: MeterKind = "histogram"

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Mapping[str, Collection[str] | None] | None = None,
        *,
        bounds: Sequence[float],
        most: int = 1,
    ) -> None:
        """Make a meter with these upper bounds (s), in ascending order."""
        super().__init__(name, meaning, labels, most=most)
        self.bounds = tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}

    def note(self, seconds: float, *labels: str) -> None:
        """Count a time. Never raises."""
        try:
            with self._lock:
                key = labels if labels in self._values else self._key(labels)
                counts = self._counts.setdefault(key, [0] * (len(self.bounds) + 1))
                counts[bisect_left(self.bounds, seconds)] += 1
                self._values[key] = self._values.get(key, 0) + seconds
        except Exception:  # noqa: BLE001, S110  # see `add`
            pass

    def counts(self) -> list[tuple[Labels, tuple[int, ...], float]]:
        """Return for all labels the numbers of times by bucket, the last of which has no bound, and the sum (s)."""
        with self._lock:
            return [(labels, tuple(self._counts[labels]), total) for labels, total in sorted(self._values.items())]

    def clear(self) -> None:
        """Forget all times; see `Meter.clear`."""
        with self._lock:
            self._values.clear()
            self._counts.clear()

    @property
    def series_max(self) -> int:
        """Most series of this meter: the buckets with the one without a bound, the sum and the count."""
        return super().series_max * (len(self.bounds) + 3)


def _value(label: str, known: frozenset[str] | None) -> str:
    """Return a label in the form that is kept. A text that cannot be a name becomes OTHER."""
    if known is not None:
        return label if label in known else OTHER
    is_name = 0 < len(label) <= LABEL_CHARACTERS_MAX and label.isascii() and label.isprintable()
    return label if is_name and " " not in label and "@" not in label else OTHER
