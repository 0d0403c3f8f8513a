"""Interleavings that were tried on paper and on the emulator: what each ledger makes of them is held to a law.

A scenario raises AssertionError where somebody lost, doubled or was told what is not so.
"""

from collections.abc import Callable, Sequence

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Document,
    Documents,
    InvalidWrite,
    OutcomeUnknown,
    Query,
    Version,
    Write,
)
from shared.kernel.errors import DomainError
from shared.ledger.errors import IntegrityFailed
from shared.platform.memory.clock import ManualClock
from tests.support.broken_ledgers import Bank, is_done
from tests.support.ledger_faults import Call, Weather, fair, once

MakeBank = Callable[[Documents, ManualClock], Bank]
MakeStore = Callable[[], Documents]
CALLS = range(1, 7)
"""The call of the store before which somebody else comes, or after which a late commit lands."""


class Interrupted:
    """Just before its call number `at` somebody else comes, and again before each of the next `times` - 1."""

    def __init__(self, inner: Documents, *, times: int = 1) -> None:
        self.inner = inner
        self.at = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self._calls, self._times, self._is_inside = 0, times, False

    def get(self, path: str) -> Document | None:
        self._called()
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self._called()
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        self._called()
        return self.inner.commit(writes, timeout_seconds=timeout_seconds)

    def _called(self) -> None:
        if self.at == 0 or self._is_inside:
            return
        self._calls += 1
        if self.at <= self._calls < self.at + self._times:
            self._is_inside = True
            self.meanwhile()
            self._is_inside = False


def told(act: Callable[[], None]) -> DomainError | None:
    """What the caller hears: an error, or None when it is done."""
    try:
        act()
    except DomainError as error:
        return error
    return None


def check_told(documents: Documents, key: str, error: DomainError | None) -> None:
    """Nobody is told done what is not, nor refused or failed what is; "nobody knows" is true of either."""
    if not isinstance(error, OutcomeUnknown):
        assert is_done(documents, key) is (error is None), f"told {error!r}"


# The scenarios ---------------------------------------------------------------------------------------------------


def a_stale_reader_commits_after_another_s_capture(make: MakeBank, store: MakeStore) -> None:
    for at in CALLS:
        clock, inner = ManualClock(), store()
        seam = Interrupted(inner)
        ours, theirs = make(seam, clock), make(inner, clock)
        ours.grant(100)
        ours.hold("h", 40)
        seam.meanwhile, seam.at = lambda theirs=theirs: theirs.capture("theirs", "h", 40), at  # type: ignore[misc]

        told(lambda ours=ours: ours.capture("ours", "h", 40))  # type: ignore[misc]

        assert theirs.balance() == 60, f"charged twice when the other comes before call {at}"


def a_commit_lands_after_the_read_that_looked_for_it(make: MakeBank, store: MakeStore) -> None:
    for delay in CALLS:
        weather, bank = _in_weather(make, store, "late", delay)

        error = told(lambda bank=bank: bank.charge("key", 30))  # type: ignore[misc]
        weather.settle()

        check_told(weather.inner, "key", error)


def a_late_commit_and_its_second_try_are_one(make: MakeBank, store: MakeStore) -> None:
    for delay in CALLS:
        weather, bank = _in_weather(make, store, "late", delay)

        error = told(lambda bank=bank: bank.charge("key", 30))  # type: ignore[misc]
        weather.settle()

        assert bank.balance() in ({70} if error is None else {70, 100}), f"doubled when it lands {delay} calls later"


def an_applied_commit_is_sent_again(make: MakeBank, store: MakeStore) -> None:
    weather, bank = _in_weather(make, store, "applied", 1)

    error = told(lambda: bank.charge("key", 30))

    check_told(weather.inner, "key", error)
    assert bank.balance() == 70


def a_commit_changes_no_balance_and_its_answer_is_lost(make: MakeBank, store: MakeStore) -> None:
    """A document left as it was keeps its update time: that tells nothing about whether its commit has happened."""
    weather, bank = _in_weather(make, store, "applied", 1)

    error = told(lambda: bank.charge("key", 0))

    check_told(weather.inner, "key", error)


def a_refusal_is_told_while_a_commit_may_still_land(make: MakeBank, store: MakeStore) -> None:
    """It must win the precondition first, with a write that changes something: the same data keep the update time."""
    clock = ManualClock()
    weather = Weather(store(), fair, delay=1_000)
    bank = make(weather, clock)
    bank.grant(100, lifetime=1_000)
    commits = sum(call.kind == "commit" for call in weather.calls)

    def script(call: Call) -> "str | None":
        if (call.kind, call.of_kind) == ("commit", commits + 1):
            clock.advance(2_000)
            return "late"
        return None

    weather.script = script  # type: ignore[assignment]
    error = told(lambda: bank.charge("key", 30))
    weather.script = fair
    weather.settle()

    assert error is not None, "its credits had expired"
    check_told(weather.inner, "key", error)


def a_stale_precondition_looks_like_a_foreign_one(make: MakeBank, store: MakeStore) -> None:
    """FAILED_PRECONDITION names no path: that somebody else was faster says nothing about one's own key."""
    for at in CALLS:
        clock, inner = ManualClock(), store()
        seam = Interrupted(inner)
        ours, theirs = make(seam, clock), make(inner, clock)
        ours.grant(100)
        seam.meanwhile, seam.at = lambda theirs=theirs: theirs.charge("theirs", 1), at  # type: ignore[misc]

        error = told(lambda ours=ours: ours.charge("key", 30))  # type: ignore[misc]

        check_told(inner, "key", error)


def a_foreign_entry_looks_like_contention(make: MakeBank, store: MakeStore) -> None:
    """It never goes away: waiting for it is waiting for ever, and it is somebody's hand in the journal."""
    clock, documents = ManualClock(), store()
    bank = make(documents, clock)
    bank.grant(100)
    bank.plant()
    began = clock.monotonic()

    error = told(lambda: bank.charge("key", 30))

    assert isinstance(error, IntegrityFailed), f"told {error!r}"
    assert clock.monotonic() - began < 5


def the_same_key_comes_twice_in_a_batch(make: MakeBank, store: MakeStore) -> None:
    documents = store()
    bank = make(documents, ManualClock())
    bank.grant(100)

    errors = bank.at_once([("a", 10), ("same", 20), ("b", 5), ("same", 20)])

    assert not any(isinstance(error, InvalidWrite) for error in errors), "one path twice spoils the commit"
    assert errors == [None] * 4
    assert bank.balance() == 65


def others_are_faster_many_times(make: MakeBank, store: MakeStore) -> None:
    clock, inner = ManualClock(), store()
    seam = Interrupted(inner, times=24)
    ours, theirs = make(seam, clock), make(inner, clock)
    ours.grant(100)
    keys = iter(range(100))
    seam.meanwhile, seam.at = lambda: theirs.charge(f"theirs{next(keys)}", 1), 1

    error = told(lambda: ours.charge("key", 30))

    assert error is None, f"there was enough all the time, and it was told {error!r}"


def credits_came_that_this_instance_has_not_seen(make: MakeBank, store: MakeStore) -> None:
    clock, documents = ManualClock(), store()
    ours, theirs = make(documents, clock), make(documents, clock)
    ours.grant(10)
    theirs.grant(90)

    error = told(lambda: ours.charge("key", 100))

    assert error is None, f"it is all there, and it was told {error!r}"


def _in_weather(make: MakeBank, store: MakeStore, fault: str, delay: int) -> tuple[Weather, Bank]:
    """A bank with 100 credits, whose next commit meets that fault."""
    weather = Weather(store(), fair, delay=delay)
    bank = make(weather, ManualClock())
    bank.grant(100)
    commits = sum(call.kind == "commit" for call in weather.calls)
    weather.script = once("commit", commits + 1, fault)  # type: ignore[arg-type]
    return weather, bank
