"""How long a model's answers are expected to be: what its document says, refined by the last answers of all users.

`expectations/{model}` remembers the last answers, so that a new instance begins with what the others know. It is a hint
for admission, never a charge: written with every answer while it is young, then now and then. That one turn waits for
the write, for two seconds at most; others that end meanwhile do not.

Nobody steers what others hold: of each user only a few answers are remembered, all of them are one vote, the document
has `DOCUMENT_VOTES`, and the result stays within `SHARED_FACTOR_MAX` of the document. A user's own answers count one by
one, for that user alone.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from statistics import median_low
from typing import cast

from shared.ai.models import Model
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
"""Three answers in four are no longer than the expectation: a hold by the mean would run out in half of them."""
COLLECTION = "expectations"
FRESH_SECONDS = 60.0
FRESH_SECONDS_YOUNG = 1.0
STORE_SECONDS = 60.0
STORE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Length:
    """One answer: its length in tokens as the upstream reported it, and the mark of the user who asked.

    The mark is empty for answers of users that nobody remembered.
    """

    reported: int
    mark: str


@dataclass(slots=True)
class _Seen:
    """One model's last answers: those that are stored, and our own that are not yet."""

    stored: tuple[_Length, ...] = ()
    stored_count: int = 0
    """How many answers were ever stored, up to ANSWERS_REMEMBERED: not all of them are remembered."""
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
    """What was seen of each model's last answers that ended by themselves."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def output_tokens(self, model: Model, uid: Uid) -> int:
        """Return how many tokens an answer to this user is expected to have, at least one.

        This is the upper quartile of the user's own answers and of what all users' answers say, as one answer: so a few
        of their own outweigh a bad guess.
        """
        lengths, mark = self._lengths(model), _mark(uid)
        own = [length.reported for length in lengths if length.mark == mark]
        return _within(model, _quartile([_shared(model, lengths), *own]))

    def known_output_tokens(self, model: Model) -> int:
        """Return what all users' answers say, as this instance knows it without asking: enough to compare models by."""
        with self._lock:
            seen = self._seen.get(model.id)
            return _shared(model, seen.lengths if seen else ())

    def is_guess(self, model: Model, uid: Uid) -> bool:
        """Return True if neither this user's answers nor those of enough users outweigh the model's document."""
        lengths, mark = self._lengths(model), _mark(uid)
        own = sum(length.mark == mark for length in lengths)
        return own < ANSWERS_FEW and len({length.mark for length in lengths}) < USERS_FEW

    def learn(self, model: Model, uid: Uid, *, reported: int) -> None:
        """Remember that the upstream reported an answer to this user as so many tokens. Never raises."""
        with self._lock:
            seen = self._seen.setdefault(model.id, _Seen())
            seen.own.append(_Length(reported, _mark(uid)))
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
                seen.stored_count = _count(found)

    def _store(self, model_id: str, seen: _Seen) -> None:
        """Tell the others, unless one of them was faster: then again with the next answer."""
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
    """Return the upper quartile of one vote for each user, the median of their answers, and those of the document."""
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
    """Return the newest answers, of each user only the newest few: so that nobody's answers displace all others'."""
    kept: list[_Length] = []
    of_user: dict[str, int] = {}
    for length in reversed(lengths):
        of_user[length.mark] = of_user.get(length.mark, 0) + 1
        if of_user[length.mark] <= ANSWERS_PER_USER:
            kept.append(length)
    return tuple(reversed(kept[:ANSWERS_REMEMBERED]))


def _mark(uid: Uid) -> str:
    """Return what tells one user's answers from another's, and does not name the user."""
    return derived_id("user", uid)


def _data(lengths: tuple[_Length, ...], count: int) -> Data:
    # `lengths` are pairs, as they were when each answer had our own count beside the reported one.
    pairs = chain.from_iterable((length.reported, 0) for length in lengths)
    return {"v": 1, "lengths": list(pairs), "marks": [length.mark for length in lengths], "count": count}


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
