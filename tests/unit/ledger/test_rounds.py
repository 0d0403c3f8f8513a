"""One round of the committer at a time: when it reads, how long it waits, who shares a commit, and who is told what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Create,
    Document,
    InvalidWrite,
    OutcomeUnknown,
    Version,
    Write,
)
from shared.kernel.errors import DomainError
from shared.ledger.account_documents import state_path
from shared.ledger.commands import Command
from shared.ledger.committer import (
    CONTENDED_SECONDS,
    LINGER_ROUND_TRIPS,
    LINGER_SECONDS_MAX,
    OPERATION_SECONDS_MAX,
    ROUND_TRIP_SECONDS,
    WARM_SECONDS,
    Committer,
)
from shared.ledger.errors import Contended, InsufficientCredits, LotExists, UnknownKey
from shared.ledger.lanes import CommandAnswer
from shared.ledger.store import AccountStore
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.books import charge, grant
from tests.support.concurrent_callers import together
from tests.support.ledger_faults import Call, Fault, Weather
from tests.support.ledgers import KEYS, UID

FAR = 1e9


class Watch(ManualClock):
    """Begins at zero, so that sums of seconds are exact; remembers for how long it was asked to wait."""

    def __init__(self) -> None:
        super().__init__(0)
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        super().wait(seconds)


class Store(Weather):
    """Notes how many entries each commit would write, and takes `seconds` for each."""

    def __init__(self, inner: MemoryDocuments, clock: ManualClock) -> None:
        self.faults: list[Fault | BaseException | Callable[[], Fault | None] | None] = []
        self.entries: list[int] = []
        self.accounts_read = 0
        self.seconds = 0.0
        self._clock = clock
        super().__init__(inner, self._next, delay=1)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        self.entries.append(sum("/entries/" in write.path for write in writes))
        self._clock.advance(int(self.seconds * 1000))
        return super().commit(writes, timeout_seconds=timeout_seconds)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self.accounts_read += state_path(UID) in paths
        return super().get_all(paths)

    def _next(self, call: Call) -> Fault | None:
        if call.kind == "read" or not self.faults:
            return None
        fault = self.faults.pop(0)
        if isinstance(fault, BaseException):
            raise fault
        return fault() if callable(fault) else fault


@dataclass
class Stage:
    """One instance whose store does as it is told, and another one that nobody disturbs."""

    jitter: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.documents, self.clock = MemoryDocuments(), Watch()
        self.store = Store(self.documents, self.clock)
        self.committer = self.instance(self.store, **self.options)
        self.rival = self.instance(self.documents)
        self.rival.execute(UID, grant("gift", 1_000))

    def instance(self, documents: Any, **options: Any) -> Committer:
        return Committer(AccountStore(documents, KEYS, "demo-test"), self.clock, jitter=lambda: self.jitter, **options)

    def do(self, *commands: Command, deadline: float = FAR) -> list[Any]:
        """What each is told, when all of them come together."""
        return [job.answer for job in together(self.committer, UID, commands, deadline=deadline)]

    def spend(self) -> None:
        """The rival moves the head."""
        self.rival.execute(UID, charge(1))

    def said(self, *faults: Any) -> None:
        """What the next commits meet; counted from here."""
        self.store.faults = list(faults)
        self.store.entries.clear()
        self.store.accounts_read = 0
        self.store.calls.clear()
        self.clock.waits.clear()


def meanwhile(act: Callable[[], None], fault: Fault | None = None) -> Callable[[], Fault | None]:
    def does() -> Fault | None:
        act()
        return fault

    return does


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.do(charge(1))
    stage.said()
    return stage


# When it reads -------------------------------------------------------------------------------------------------------


def test_a_warm_head_is_used_until_its_time_is_up_and_not_at_that_time(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000) - 1)
    stage.do(charge(1))
    assert stage.store.accounts_read == 0

    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.do(charge(1))
    assert stage.store.accounts_read == 1


def test_an_instance_that_keeps_nothing_warm_reads_every_time():
    stage = Stage(options={"is_warm_allowed": False})

    stage.do(charge(1))
    stage.do(charge(1))

    assert stage.store.accounts_read == 2


def test_after_a_conflict_it_reads_first_for_a_while_and_then_no_longer(stage):
    stage.spend()
    stage.do(charge(1))
    stage.said()

    stage.clock.advance(int(CONTENDED_SECONDS * 1000) - 1)
    stage.do(charge(1))
    assert stage.store.accounts_read == 1

    stage.clock.advance(1)
    stage.do(charge(1))
    assert stage.store.accounts_read == 1


def test_one_command_that_needs_a_read_makes_the_whole_batch_read(stage):
    """On a warm head nobody knows that a lot was there before and is spent."""
    stage.do(grant("spent", 5))
    stage.do(charge(1_004))
    stage.do(grant("more", 10))
    assert stage.documents.get(f"accounts/{UID}/lots/spent"), "it is archived, and so not in the warm head"

    done, refused = stage.do(charge(1), grant("spent", 5))

    assert isinstance(done, CommandAnswer)
    assert isinstance(refused, LotExists)


# How long it waits ---------------------------------------------------------------------------------------------------


def test_the_first_conflict_of_a_warm_head_costs_no_pause_and_the_next_one_does():
    stage = Stage(jitter=1.0)
    stage.do(charge(1))
    stage.said(meanwhile(stage.spend), None)
    stage.do(charge(1))
    assert stage.clock.waits == []

    stage.clock.advance(int(CONTENDED_SECONDS * 1000))
    stage.do(charge(1))
    stage.said(meanwhile(stage.spend), meanwhile(stage.spend), None)
    stage.do(charge(1))
    assert len(stage.clock.waits) == 1


def test_it_lingers_for_some_round_trips_as_long_as_they_have_been_of_late():
    stage = Stage(jitter=0.5)
    stage.store.seconds = 0.02
    stage.do(charge(1))
    lately = 0.8 * ROUND_TRIP_SECONDS + 0.2 * 0.02
    stage.said("lost")

    stage.do(charge(1))

    assert stage.clock.waits == [pytest.approx(0.5 * LINGER_ROUND_TRIPS * lately)]


def test_it_lingers_no_longer_than_a_limit():
    stage = Stage(jitter=1.0)
    stage.store.seconds = 9.0
    stage.do(charge(1))
    stage.said("lost")

    stage.do(charge(1))

    assert stage.clock.waits == [LINGER_SECONDS_MAX]


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.5), (1.0, 1.5)])
def test_a_store_that_is_away_is_given_a_pause(jitter, pause):
    stage = Stage(jitter=jitter)
    stage.said("unavailable", "unavailable")

    (answer,) = stage.do(charge(1))

    assert isinstance(answer, CommandAnswer)
    assert stage.clock.waits == [LINGER_SECONDS_MAX * pause] * 2


def test_no_pause_goes_beyond_the_first_deadline(stage):
    stage.said("unavailable")

    (answer,) = stage.do(charge(1), deadline=stage.clock.monotonic() + 0.05)

    assert isinstance(answer, Contended)
    assert stage.clock.waits == [pytest.approx(0.05)]


def test_a_pause_behind_the_deadline_is_a_short_one(stage):
    def late() -> Fault:
        stage.clock.advance(1_000)
        return "unavailable"

    stage.said(late)

    (answer,) = stage.do(charge(1), deadline=stage.clock.monotonic() + 0.5)

    assert isinstance(answer, Contended)
    assert stage.clock.waits == [0.001]


def test_at_its_deadline_a_command_is_not_tried_any_more(stage):
    (answer,) = stage.do(charge(1), deadline=stage.clock.monotonic())

    assert isinstance(answer, Contended)
    assert stage.store.calls == []


def test_execute_gives_an_operation_its_time(stage):
    stage.said(*["unavailable"] * 1_000)
    began = stage.clock.monotonic()

    with pytest.raises(Contended):
        stage.committer.execute(UID, charge(1))

    assert stage.clock.monotonic() - began == pytest.approx(OPERATION_SECONDS_MAX, abs=0.01)


# Who shares a commit -------------------------------------------------------------------------------------------------


def test_those_who_come_together_share_a_commit(stage):
    stage.do(*[charge(1) for _ in range(5)])

    assert stage.store.entries == [5]


def test_one_that_cannot_be_stored_is_found_one_by_one_and_then_they_share_again(stage):
    poison = charge(1)
    object.__setattr__(poison, "fingerprint", "\ud800")

    answers = stage.do(charge(1), poison, charge(1), charge(1))
    stage.do(charge(1), charge(1), charge(1))

    assert [type(answer) for answer in answers] == [CommandAnswer, InvalidWrite, CommandAnswer, CommandAnswer]
    assert stage.store.entries == [1, 1, 1, 3]


def test_a_batch_that_fails_once_stays_together(stage):
    stage.said("precondition")

    stage.do(charge(1), charge(1), charge(1))

    assert stage.store.entries == [3, 3]


def test_a_batch_that_fails_twice_on_an_unchanged_head_is_committed_one_by_one(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said("precondition", "precondition")

    answers = stage.do(charge(1), charge(1), charge(1))
    stage.do(charge(1), charge(1))

    assert {type(answer) for answer in answers} == {CommandAnswer}
    assert stage.store.entries == [3, 3, 1, 1, 1, 2]


def test_a_batch_that_others_overtake_twice_stays_together(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said(meanwhile(stage.spend), meanwhile(stage.spend), None)

    stage.do(charge(1), charge(1), charge(1))

    assert stage.store.entries == [3, 3, 3]


def test_failures_with_a_success_between_them_are_no_reason_to_part(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said("precondition")
    stage.do(charge(1), charge(1))
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said("precondition")

    stage.do(charge(1), charge(1))

    assert stage.store.entries == [2, 2]


def test_a_head_that_cannot_be_looked_behind_is_tried_again(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said("precondition", "precondition")
    store, gone = stage.committer._store, [True]
    above = store.entry_above

    def entry_above(*arguments: Any) -> Any:
        if gone.pop() if gone else False:
            raise UnknownKey("none")
        return above(*arguments)

    store.entry_above = entry_above

    (answer,) = stage.do(charge(1))

    assert isinstance(answer, CommandAnswer)


def test_an_interrupted_commit_is_unclear_to_whoever_comes_next():
    """It lands behind the interruption; a refusal that it would contradict waits for a fence."""
    stage = Stage()
    stage.do(charge(1))
    writes: list[Any] = []
    commit = stage.documents.commit

    def dies(asked: Sequence[Write], **options: Any) -> list[Version]:
        writes.append(asked)
        raise KeyboardInterrupt

    stage.store.inner = type("Dying", (), {"commit": staticmethod(dies), "get": stage.documents.get})()
    with pytest.raises(KeyboardInterrupt):
        stage.do(charge(900, operation="same"))
    stage.store.inner = stage.documents
    stage.said()

    (refused,) = stage.do(charge(5_000, operation="too much"))
    fenced = list(stage.store.entries)
    with pytest.raises(DomainError):
        commit(writes[0])

    assert isinstance(refused, InsufficientCredits)
    assert fenced == [0]


# Who is told what ----------------------------------------------------------------------------------------------------


def test_what_can_not_have_happened_any_more_is_told_as_not_happened():
    """Unclear, and lost; another commit wins its precondition; and then time runs out."""
    stage = Stage(jitter=1.0)
    stage.do(charge(1))
    stage.said(meanwhile(stage.spend, "lost"), *["precondition"] * 10_000)

    with pytest.raises(Contended):
        stage.committer.execute(UID, charge(1))


def test_what_may_still_happen_is_told_so(stage):
    stage.said("lost", *["unavailable"] * 10_000)

    with pytest.raises(OutcomeUnknown):
        stage.committer.execute(UID, charge(1))


def test_a_refusal_needs_no_fence_when_another_commit_has_settled_it(stage):
    stage.said(meanwhile(lambda: stage.rival.execute(UID, charge(900)), "lost"))

    (answer,) = stage.do(charge(500))

    assert isinstance(answer, InsufficientCredits)
    assert stage.store.entries == [1]


def test_a_refusal_needs_no_fence_when_nothing_is_unclear(stage):
    (answer,) = stage.do(charge(5_000))

    assert isinstance(answer, InsufficientCredits)
    assert stage.store.entries == []


def test_a_replay_needs_no_fence_either(stage):
    stage.do(charge(1, operation="same"))
    stage.said("lost")
    stage.do(charge(1, operation="other"))
    stage.said("lost", *["unavailable"] * 300)
    stage.do(charge(1, operation="third"), deadline=stage.clock.monotonic() + 1)
    stage.said()

    (answer,) = stage.do(charge(1, operation="same"))

    assert (answer.is_replay, stage.store.entries) == (True, [])


def test_a_fence_that_fails_is_put_up_again_and_warms_the_head(stage):
    stage.said("lost", *["unavailable"] * 9)
    stage.do(charge(10), deadline=stage.clock.monotonic() + 1)
    stage.said("unavailable", "precondition", "lost", None)

    (refused,) = stage.do(charge(5_000))
    fences, reads = list(stage.store.entries), stage.store.accounts_read
    (done,) = stage.do(charge(1))

    assert isinstance(refused, InsufficientCredits)
    assert fences == [0] * 4
    assert isinstance(done, CommandAnswer)
    assert stage.store.accounts_read == reads


def test_a_key_that_is_not_known_yet_is_told_and_not_waited_for(stage):
    stage.committer.forget_account(UID)
    store = stage.committer._store

    def read(*arguments: Any) -> Any:
        raise UnknownKey("tomorrow's")

    store.read = read

    (answer,) = stage.do(charge(1))

    assert isinstance(answer, UnknownKey)
    assert stage.clock.waits == []


def test_a_planted_entry_is_looked_for_on_a_head_that_nobody_moved(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.documents.commit([Create(f"accounts/{UID}/entries/000000000003", {})])

    answers = stage.do(charge(1), charge(1))

    assert {getattr(answer, "code", "") for answer in answers} == {"integrity_failed"}
    assert stage.store.entries == [2, 2]


# Two of a kind, where the boundaries are ------------------------------------------------------------------------------


def test_of_two_the_one_that_can_be_stored_is_not_told_of_the_other(stage):
    poison = charge(1)
    object.__setattr__(poison, "fingerprint", "\ud800")

    answers = stage.do(charge(1), poison)

    assert [type(answer) for answer in answers] == [CommandAnswer, InvalidWrite]


def test_two_that_fail_twice_on_an_unchanged_head_are_committed_one_by_one(stage):
    stage.clock.advance(int(WARM_SECONDS * 1000))
    stage.said("precondition", "precondition")

    stage.do(charge(1), charge(1))

    assert stage.store.entries == [2, 2, 1, 1]


def test_a_conflict_on_a_head_just_read_costs_a_pause_at_once():
    stage = Stage(jitter=1.0)
    stage.said(meanwhile(stage.spend), None)

    stage.do(charge(1))

    assert len(stage.clock.waits) == 1


def test_a_fence_is_a_commit_and_counted_as_one(stage):
    stage.said("lost", *["unavailable"] * 9)
    stage.do(charge(10), deadline=stage.clock.monotonic() + 1)
    stage.said()
    before = stage.documents.get(f"accounts/{UID}/sealed/state").data["version"]

    stage.do(charge(5_000))
    fenced = stage.documents.get(f"accounts/{UID}/sealed/state").data["version"]
    stage.do(charge(1))

    assert (fenced, stage.documents.get(f"accounts/{UID}/sealed/state").data["version"]) == (before + 1, before + 2)
