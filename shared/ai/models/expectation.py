"""Expected length of a model's answers: the estimate of the model's document, refined by the last answers of all users.

`expectations/{model}` stores the last answers, so that a new instance starts with the knowledge of the others. The
expectation is a hint for admission and never a charge. While the stored record is young, every answer is written, later
only now and then. The turn that writes waits for two seconds at most; turns that end meanwhile do not wait.

No user can steer the holds of others. Only a few answers of each user are remembered, and all of a user's answers
together are one vote. The model's document has `DOCUMENT_VOTES`, and the result stays within `SHARED_FACTOR_MAX` of the
document. A user's own answers count one by one, for that user alone.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from statistics import median_low
from typing import cast

from shared.ai.models.catalogue import Model
from shared.kernel.clock import Clock
from shared.kernel.documents import Create, Data, Document, Documents, PreconditionFailed, Put, Version
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid, derived_id

ANSWERS_REMEMBERED = 32
ANSWERS_PER_USER = 4
ANSWERS_FEW = 3
USERS_FEW = 3
DOCUMENT_VOTES = 3
SHARED_FACTOR_MAX = 4
QUARTERS = 3
"""Quarters of the answers that are no longer than the expectation. A hold by the mean would run out in half of the
answers.
"""
COLLECTION = "expectations"
FRESH_SECONDS = 60.0
FRESH_SECONDS_YOUNG = 1.0
STORE_SECONDS = 60.0
STORE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Length:
    """Length of one answer: tokens as the upstream reported them, and the mark of the user.

    `mark` is empty for answers that were stored before marks.
    """

    reported: int
    mark: str


@dataclass(slots=True)
class _LastAnswers:
    """Last answers of one model: the stored answers, and this instance's own answers that are not yet stored."""

    stored: tuple[_Length, ...] = ()
    stored_count: int = 0
    """Number of answers ever stored, up to ANSWERS_REMEMBERED. Not all of these answers are remembered."""
    version: Version | None = None
    own: deque[_Length] = field(default_factory=lambda: deque(maxlen=ANSWERS_REMEMBERED))
    read_at: float = float("-inf")
    store_at: float = float("inf")
    storing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def lengths(self) -> tuple[_Length, ...]:
        return _remembered((*self.stored, *self.own))

    @property
    def is_young(self) -> bool:
        return self.stored_count < ANSWERS_REMEMBERED


class Expectation:
    """Estimator of answer lengths from each model's last answers that ended by themselves."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _LastAnswers] = {}

    def output_tokens(self, model: Model, uid: Uid) -> int:
        """Return the expected tokens of an answer to this user, at least one.

        The result is the upper quartile of the user's own answers and of the shared expectation, which counts as one
        answer. So a few own answers outweigh a bad guess.
        """
        lengths, mark = self._lengths(model), _mark(uid)
        own = [length.reported for length in lengths if length.mark == mark]
        return _within(model, _quartile([_shared(model, lengths), *own]))

    def known_output_tokens(self, model: Model) -> int:
        """Return the shared expectation as this instance remembers, without a read: good enough to compare models."""
        with self._lock:
            seen = self._seen.get(model.id)
            return _shared(model, seen.lengths if seen else ())

    def is_guess(self, model: Model, uid: Uid) -> bool:
        """Return True if too few answers of this user and of other users are known to outweigh the model's document."""
        lengths, mark = self._lengths(model), _mark(uid)
        own = sum(length.mark == mark for length in lengths)
        return own < ANSWERS_FEW and len({length.mark for length in lengths}) < USERS_FEW

    def learn(self, model: Model, uid: Uid, *, reported: int) -> None:
        """Remember the tokens that the upstream reported for an answer to this user. Never raises."""
        with self._lock:
            seen = self._seen.setdefault(model.id, _LastAnswers())
            seen.own.append(_Length(reported, _mark(uid)))
            is_due = seen.is_young or self._clock.monotonic() >= seen.store_at
        if is_due and seen.storing.acquire(blocking=False):
            try:
                self._store(model.id, seen)
            finally:
                seen.storing.release()

    def _lengths(self, model: Model) -> tuple[_Length, ...]:
        with self._lock:
            seen = self._seen.setdefault(model.id, _LastAnswers())
            age = self._clock.monotonic() - seen.read_at
            is_stale = age >= (FRESH_SECONDS_YOUNG if seen.is_young else FRESH_SECONDS)
        if is_stale:
            self._read(model.id, seen)
        with self._lock:
            return seen.lengths

    def _read(self, model_id: str, seen: _LastAnswers) -> None:
        """Read the answers that other instances stored. If the read fails, keep the known answers."""
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
                seen.stored_count = _count(found)

    def _store(self, model_id: str, seen: _LastAnswers) -> None:
        """Store the answers for other instances. If another instance was faster, read, and store after
        the next answer.
        """
        with self._lock:
            own, lengths, version = len(seen.own), seen.lengths, seen.version
            count = min(seen.stored_count + own, ANSWERS_REMEMBERED)
        path, data = f"{COLLECTION}/{model_id}", _data(lengths, count)
        write = Create(path, data) if version is None else Put(path, data, version)
        try:
            written = self._documents.commit([write], timeout_seconds=STORE_TIMEOUT_SECONDS)[0]
        except DomainError as error:
            if not isinstance(error, PreconditionFailed):
                log("expectation_not_stored", "WARNING", model=model_id, code=error.code)
            self._read(model_id, seen)
            return
        with self._lock:
            seen.stored, seen.stored_count, seen.version = lengths, count, written
            for _ in range(own):
                seen.own.popleft()
            seen.read_at = self._clock.monotonic()
            seen.store_at = seen.read_at + STORE_SECONDS


def _shared(model: Model, lengths: tuple[_Length, ...]) -> int:
    """Return the upper quartile of the votes: the median of each user's answers, and DOCUMENT_VOTES for the document.

    The result stays within SHARED_FACTOR_MAX of the document.
    """
    answers: dict[str, list[int]] = {}
    for length in lengths:
        answers.setdefault(length.mark, []).append(length.reported)
    document = max(1, model.expected_output_tokens)
    voted = _quartile([*[document] * DOCUMENT_VOTES, *map(median_low, answers.values())])
    return _within(model, min(max(voted, -(-document // SHARED_FACTOR_MAX)), document * SHARED_FACTOR_MAX))


def _quartile(lengths: list[int]) -> int:
    return sorted(lengths)[-(-len(lengths) * QUARTERS // 4) - 1]


def _within(model: Model, tokens: int) -> int:
    return max(1, min(tokens, model.max_output_tokens))


def _remembered(lengths: tuple[_Length, ...]) -> tuple[_Length, ...]:
    """Return the newest answers, but only a few of each user, so that no user displaces all others."""
    kept: list[_Length] = []
    of_user: dict[str, int] = {}
    for length in reversed(lengths):
        of_user[length.mark] = of_user.get(length.mark, 0) + 1
        if of_user[length.mark] <= ANSWERS_PER_USER:
            kept.append(length)
    return tuple(reversed(kept[:ANSWERS_REMEMBERED]))


def _mark(uid: Uid) -> str:
    """Return a pseudonym that distinguishes users without naming them."""
    return derived_id("user", uid)


def _data(lengths: tuple[_Length, ...], count: int) -> Data:
    # `lengths` are pairs, as they were when each answer had our own count beside the reported one.
    pairs = chain.from_iterable((length.reported, 0) for length in lengths)
    return {"lengths": list(pairs), "marks": [length.mark for length in lengths], "count": count}


def _count(document: Document) -> int:
    # What was stored before there was a count remembers every answer, two numbers each.
    return cast("int", document.data.get("count", len(cast("list[int]", document.data["lengths"])) // 2))


def _parsed(document: Document) -> tuple[_Length, ...]:
    # Written by us alone; what was stored before answers had marks is one unknown user's.
    reported = cast("list[int]", document.data["lengths"])[::2]
    marks = cast("list[str]", document.data.get("marks") or [])
    if len(marks) != len(reported):
        marks = [""] * len(reported)
    return _remembered(tuple(_Length(tokens, mark) for tokens, mark in zip(reported, marks, strict=True)))
