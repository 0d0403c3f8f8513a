"""What to expect of a model's answers: what its document says at first, refined by use, shared by all instances.

`expectations/{model}` remembers the last answers, so that a new instance begins with what the others know. It is a hint
and nothing depends on it: written with every answer while it is young, then now and then. That one turn waits for the
write, for two seconds at most; others that end meanwhile do not.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import cast

from shared.ai.models import Model
from shared.kernel.clock import Clock
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put, Version
from shared.kernel.errors import DomainError
from shared.kernel.events import log

ANSWERS_REMEMBERED = 32
ANSWERS_FEW = 3
QUARTERS = 3
"""Three answers in four are no longer than the expectation: a hold by the mean would run out in half of them."""
COUNTED_MIN = 8
"""Shorter answers say little about how the model's tokens compare with ours."""
COLLECTION = "expectations"
FRESH_SECONDS = 60.0
FRESH_SECONDS_YOUNG = 1.0
STORE_SECONDS = 60.0
STORE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Length:
    """One answer: as long as the upstream `reported`, and as we `counted`; zero if that says nothing."""

    reported: int
    counted: int


@dataclass(slots=True)
class _Seen:
    """One model's last answers: those that are stored, and our own that are not yet."""

    stored: tuple[_Length, ...] = ()
    version: Version | None = None
    own: deque[_Length] = field(default_factory=lambda: deque(maxlen=ANSWERS_REMEMBERED))
    read_at: float = float("-inf")
    store_at: float = float("inf")
    storing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lengths(self) -> tuple[_Length, ...]:
        return (*self.stored, *self.own)[-ANSWERS_REMEMBERED:]

    @property
    def is_young(self) -> bool:
        return len(self.stored) < ANSWERS_REMEMBERED


class Expectation:
    """What was seen of each model's last answers that ended by themselves."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def output_tokens(self, model: Model) -> int:
        """About how long an answer is, at least one token: the upper quartile of what was seen.

        What the model's document says counts as one answer, so a few real ones outweigh a bad guess.
        """
        return _quartile(model, self._lengths(model))

    def known_output_tokens(self, model: Model) -> int:
        """The same by what this instance knows without asking: good enough to compare many models by."""
        with self._lock:
            seen = self._seen.get(model.id)
            return _quartile(model, seen.lengths if seen else ())

    def is_guess(self, model: Model) -> bool:
        """Whether too little was seen to outweigh what the model's document says."""
        return len(self._lengths(model)) < ANSWERS_FEW

    def scale(self, model: Model) -> Fraction | None:
        """How many of the model's tokens make one of those we count ourselves; None before anything was seen."""
        telling = [each for each in self._lengths(model) if each.counted]
        if not telling:
            return None
        median = sorted(telling, key=lambda each: each.reported / each.counted)[(len(telling) - 1) // 2]
        return Fraction(median.reported, median.counted)

    def learn(self, model: Model, *, reported: int, counted: int) -> None:
        """An answer was this long, as the upstream counts and as we do. Never raises."""
        is_telling = counted >= COUNTED_MIN and not model.is_reasoning
        with self._lock:
            seen = self._seen.setdefault(model.id, _Seen())
            seen.own.append(_Length(reported, counted if is_telling else 0))
            is_due = seen.is_young or self._clock.monotonic() >= seen.store_at
        if is_due and seen.storing.acquire(blocking=False):
            try:
                self._store(model.id, seen)
            finally:
                seen.storing.release()

    def _lengths(self, model: Model) -> tuple[_Length, ...]:
        with self._lock:
            seen = self._seen.setdefault(model.id, _Seen())
            age = self._clock.monotonic() - seen.read_at
            is_stale = age >= (FRESH_SECONDS_YOUNG if seen.is_young else FRESH_SECONDS)
        if is_stale:
            self._read(model.id, seen)
        with self._lock:
            return seen.lengths

    def _read(self, model_id: str, seen: _Seen) -> None:
        """What others learned meanwhile; if that cannot be read, what we know will do."""
        try:
            found = self._documents.get(f"{COLLECTION}/{model_id}")
        except DomainError as error:
            log("expectation_not_read", "WARNING", model=model_id, code=error.code)
            found = None
        with self._lock:
            seen.read_at = self._clock.monotonic()
            seen.store_at = min(seen.store_at, seen.read_at + STORE_SECONDS)
            if found is not None:
                seen.stored, seen.version = _parsed(found), found.version

    def _store(self, model_id: str, seen: _Seen) -> None:
        """Tell the others, unless one of them was faster: then again with the next answer."""
        with self._lock:
            own, lengths, version = len(seen.own), seen.lengths, seen.version
        path, data = f"{COLLECTION}/{model_id}", _data(lengths)
        write = Create(path, data) if version is None else Put(path, data, version)
        try:
            written = self._documents.commit([write], timeout_seconds=STORE_TIMEOUT_SECONDS)[0]
        except DomainError as error:
            if not isinstance(error, PreconditionFailed):
                log("expectation_not_stored", "WARNING", model=model_id, code=error.code)
            self._read(model_id, seen)
            return
        with self._lock:
            seen.stored, seen.version = lengths, written
            for _ in range(own):
                seen.own.popleft()
            seen.read_at = self._clock.monotonic()
            seen.store_at = seen.read_at + STORE_SECONDS


def _quartile(model: Model, seen: tuple[_Length, ...]) -> int:
    lengths = sorted([model.expected_output_tokens, *(each.reported for each in seen)])
    rank = -(-len(lengths) * QUARTERS // 4)
    return max(1, min(lengths[rank - 1], model.max_output_tokens))


def _data(lengths: tuple[_Length, ...]) -> Data:
    pairs = chain.from_iterable((each.reported, each.counted) for each in lengths)
    return {"v": 1, "lengths": list(pairs)}


def _parsed(document: Document) -> tuple[_Length, ...]:
    # Written by us alone: reported and counted in turn.
    numbers = cast("list[int]", document.data["lengths"])
    return tuple(_Length(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
