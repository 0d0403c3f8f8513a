"""The same key: one model call, one charge, one answer; whoever crashes, pauses or asks twice, and wherever."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from shared.ai.models.expectation import ANSWERS_REMEMBERED
from shared.ai.ports import AnswerEnd, TextDelta, UpstreamUnavailable
from shared.ai.tokens import Usage
from shared.kernel.clock import SystemClock
from shared.kernel.documents import COMMIT_TIMEOUT_SECONDS, Create, OutcomeUnknown, Patch, StoreUnavailable
from shared.kernel.errors import IdempotencyMismatch, StillRunning
from shared.kernel.ids import HoldId, Uid, derived_id, operation_id
from shared.ledger.errors import Contended, InsufficientCredits
from shared.platform.memory.chat_model import says
from shared.platform.memory.clock import ManualClock
from shared.sagas.chat.turn import Delta, TurnEnded, TurnEvent
from tests.support.chat import ANN, CREDIT, World, answer_of, end_of, text_of
from tests.support.faults import Crash, Dying, FaultyDocuments

COST = 100 * 12 + 200 * 3
WORDS = (" one", " two", " three")
REPORTED = Usage(input_tokens=12, output_tokens=3)
PAST_THE_LEASE = 31_000


def make(**fields) -> World:
    return World(scripts=[says(*WORDS, usage=REPORTED)], **fields)


@pytest.fixture
def world() -> World:
    return make()


def check_one_effect(world, conversation, charged=COST):
    """One charge, nothing held, one question with one answer, a journal that verifies."""
    balance = world.ledger.balance(ANN)
    assert (balance.available, balance.held) == (CREDIT - charged, 0)
    assert world.charges() == [charged]
    roles = [message.role for message in world.conversations.messages(ANN, conversation.id).items]
    assert roles == ["assistant", "user"]
    assert world.ledger.verify(ANN) == []


def test_the_same_key_answers_the_same_without_asking_the_model_again(world):
    conversation = world.conversation(world.user())

    first = list(world.run(conversation, key="k"))
    second = list(world.run(conversation, key="k"))

    assert second == [Delta(" one two three"), first[-1]]
    assert end_of(first).as_wire() == end_of(second).as_wire()
    assert len(world.upstream.requests) == 1
    check_one_effect(world, conversation)


def test_it_answers_the_same_after_a_restart_and_after_the_balance_has_changed(world):
    conversation = world.conversation(world.user())
    first = world.ask(conversation, key="k")
    world.user(CREDIT)
    world.ask(world.conversation())

    again = answer_of(world.on(world.documents).run(world.request(conversation, key="k")))

    assert again == first
    assert len(world.upstream.requests) == 2


def test_the_same_key_with_another_request_is_a_mismatch(world):
    conversation = world.conversation(world.user())
    world.ask(conversation, "One thing", key="k")

    with pytest.raises(IdempotencyMismatch):
        next(world.run(conversation, "Another thing", key="k"))


def test_fifty_at_once_are_one(capsys):
    world = make(clock=SystemClock())
    conversation = world.conversation(world.user())
    gate, answers = threading.Barrier(50), []

    def call():
        gate.wait(60)
        answers.append(world.ask(conversation, key="k"))

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)

    assert len(answers) == 50
    assert all(answer == answers[0] for answer in answers)
    assert len(world.upstream.requests) == 1
    check_one_effect(world, conversation)


def test_a_duplicate_of_a_call_that_does_not_end_is_told_so_in_the_end():
    class Patient(ManualClock):
        """The first call stays alive: its lease is renewed while the second waits."""

        def wait(self, seconds):
            super().wait(seconds)
            world.documents.commit([Patch(f"turns/{operation}", {"lease_until": self.now() + 30_000})])

    world = make(clock=(clock := Patient()))
    conversation = world.conversation(world.user())
    operation = world.request(conversation, key="k").operation
    events = world.run(conversation, key="k")
    next(events)
    began = clock.now()

    with pytest.raises(StillRunning):
        next(world.run(conversation, key="k"))

    assert 60_000 <= clock.now() - began < 62_000


def test_what_failed_before_any_effect_is_not_remembered(world):
    conversation = world.conversation(world.user(0))

    with pytest.raises(InsufficientCredits):
        next(world.run(conversation, key="k"))
    world.user(CREDIT)
    world.ask(conversation, key="k")

    check_one_effect(world, conversation)


def test_after_a_failure_of_the_upstream_the_same_key_tries_again():
    world = World(scripts=[[UpstreamUnavailable()], says(*WORDS, usage=REPORTED)])
    conversation = world.conversation(world.user())

    with pytest.raises(UpstreamUnavailable):
        next(world.run(conversation, key="k"))
    answer = world.ask(conversation, key="k")

    assert answer.message.content == "".join(WORDS)
    check_one_effect(world, conversation)


def test_an_answer_that_broke_off_is_the_same_broken_answer_again():
    world = World(scripts=[[TextDelta(" one"), UpstreamUnavailable()]])
    conversation = world.conversation(world.user())
    runs = []

    for _ in range(2):
        events: list[TurnEvent] = []
        with pytest.raises(UpstreamUnavailable):
            events.extend(event for event in world.run(conversation, key="k"))
        runs.append(events)

    assert runs[0] == runs[1] == [Delta(" one")]
    assert len(world.upstream.requests) == 1
    assert len(world.charges()) == 1


def test_a_client_that_left_finds_what_it_had_got():
    world = World(scripts=[[*map(TextDelta, WORDS), 30.0, AnswerEnd("stop")]])
    conversation = world.conversation(world.user())
    events = world.run(conversation, key="k")
    next(events)
    events.close()

    again = list(world.run(conversation, key="k"))

    assert text_of(again) == " one"
    assert end_of(again).message.finish_reason == "disconnected"
    assert [end_of(again).cost] == world.charges()


# Crashes ---------------------------------------------------------------------------------------------------------


COMMITS = 3
"""Claim, hold, and all of the end: the messages, the charge, and what was told of it."""
POINTS = [(at, when) for at in range(1, COMMITS + 1) for when in ("before", "after")]


def well_known(world):
    """Nobody writes down any more how long the answers of this model are, or not with every answer."""
    world.documents.commit([Create("expectations/cheap", {"v": 1, "lengths": [5, 0] * ANSWERS_REMEMBERED})])


def test_a_turn_with_a_key_is_three_commits(world):
    well_known(world)
    conversation = world.conversation(world.user())
    documents = FaultyDocuments(world.documents)

    answer_of(world.on(documents).run(world.request(conversation, key="k")))

    assert documents.commits == COMMITS


def test_a_turn_without_a_key_is_two(world):
    well_known(world)
    conversation = world.conversation(world.user())
    documents = FaultyDocuments(world.documents)

    answer_of(world.on(documents).run(world.request(conversation)))

    assert documents.commits == 2


@pytest.mark.parametrize(("at", "when"), POINTS)
def test_a_crash_anywhere_is_made_good_by_the_next_call_with_the_key(world, at, when):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    with pytest.raises(Crash):
        list(world.on(Dying(world.documents, at=at, when=when)).run(request))

    world.clock.advance(PAST_THE_LEASE)
    answer = answer_of(world.on(world.documents).run(request))

    assert (answer.message.content, answer.cost) == ("".join(WORDS), COST)
    assert answer_of(world.turn.run(request)) == answer
    check_one_effect(world, conversation)
    was_asked = at > 2
    was_appended = (at, when) == (3, "after")
    assert len(world.upstream.requests) == was_asked + (not was_appended)


@pytest.mark.parametrize(("at", "when"), POINTS)
def test_a_crash_anywhere_is_never_more_than_one_charge_also_when_the_hold_has_expired(world, at, when):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    with pytest.raises(Crash):
        list(world.on(Dying(world.documents, at=at, when=when)).run(request))

    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)
    answer = answer_of(world.on(world.documents).run(request))

    assert answer.message.content == "".join(WORDS)
    assert world.spent(CREDIT) == answer.cost <= COST
    assert world.ledger.balance(ANN).held == 0
    assert world.ledger.verify(ANN) == []


@pytest.mark.parametrize(("at", "when"), [(at, when) for at in (1, 2) for when in ("before", "after")])
def test_a_crash_without_a_key_leaves_an_answer_that_is_paid_for_or_nothing_once_its_hold_has_expired(world, at, when):
    conversation = world.conversation(world.user())
    with pytest.raises(Crash):
        list(world.on(Dying(world.documents, at=at, when=when)).run(world.request(conversation)))

    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)

    was_ended = (at, when) == (2, "after")
    assert world.spent(CREDIT) == (COST if was_ended else 0)
    assert len(world.conversations.history(conversation.id)) == (2 if was_ended else 0)
    assert world.ledger.balance(ANN).held == 0


class Elsewhere(Dying):
    """Just before the end is committed somebody renames the conversation, so that it has to be ended step by step."""

    is_renamed = False

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        of_the_conversation = [write.path for write in writes if write.path.count("/") == 1 and "conv" in write.path]
        if of_the_conversation and not self.is_renamed:
            self.is_renamed = True
            self.inner.commit([Patch(of_the_conversation[0], {"title": "Renamed"})])
        return super().commit(writes, timeout_seconds=timeout_seconds)


COMMITS_STEP_BY_STEP = 9
"""Claim, hold, the end three times in vain, the messages in vain, the messages, the charge, what was told of it."""


def test_a_turn_whose_conversation_changes_meanwhile_is_ended_step_by_step(world):
    well_known(world)
    conversation = world.conversation(world.user())
    documents = Elsewhere(world.documents)

    answer = answer_of(world.on(documents).run(world.request(conversation, key="k")))

    assert (answer.cost, documents.commits) == (COST, COMMITS_STEP_BY_STEP)
    assert world.conversations.get(ANN, conversation.id).title == "Renamed"
    check_one_effect(world, conversation)


@pytest.mark.parametrize(
    ("at", "when"), [(at, when) for at in range(3, COMMITS_STEP_BY_STEP + 1) for when in ("before", "after")]
)
@pytest.mark.parametrize("minutes", [1, 16])
def test_a_crash_while_it_is_ended_step_by_step_is_made_good_too(world, at, when, minutes):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    with pytest.raises(Crash):
        list(world.on(Elsewhere(world.documents, at=at, when=when)).run(request))

    world.clock.advance(minutes * 60_000)
    world.ledger.expire_due(ANN)
    answer = answer_of(world.on(world.documents).run(request))

    assert world.spent(CREDIT) == answer.cost <= COST
    assert answer_of(world.turn.run(request)) == answer
    assert (world.ledger.balance(ANN).held, world.ledger.verify(ANN)) == (0, [])


def test_what_a_crashed_attempt_had_cost_when_its_hold_expired_is_not_charged_twice():
    words = [" word"] * 120
    world = World(scripts=[says(*words, usage=Usage(input_tokens=12, output_tokens=120))])
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    # Extensions happen in place, so that none is under way when the process dies.
    dying = world.on(documents := Dying(world.documents, at=10**9), spawn=lambda work: work())
    events = dying.run(request)
    for _ in range(120):
        next(events)
    assert documents.commits > 2, "the hold has grown, and with it what had accrued"
    documents.is_dead = True
    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)
    accrued = world.spent(CREDIT)

    answer = answer_of(world.on(world.documents).run(request))

    cost = 100 * 12 + 200 * 120
    assert 0 < accrued < cost
    assert answer.cost == answer.message.cost == world.spent(CREDIT) == cost
    assert answer_of(world.turn.run(request)) == answer
    with pytest.raises(Crash):
        events.close()


def test_what_it_had_cost_is_remembered_also_when_the_next_attempt_fails():
    words = [" word"] * 120
    world = World(
        scripts=[
            says(*words, usage=Usage(input_tokens=12, output_tokens=120)),
            [UpstreamUnavailable()],
            says(*words, usage=Usage(input_tokens=12, output_tokens=120)),
        ]
    )
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    dying = world.on(documents := Dying(world.documents, at=10**9), spawn=lambda work: work())
    events = dying.run(request)
    for _ in range(120):
        next(events)
    documents.is_dead = True
    world.clock.advance(16 * 60_000)
    world.ledger.expire_due(ANN)

    with pytest.raises(UpstreamUnavailable):
        next(world.run(conversation, key="k"))
    answer = world.ask(conversation, key="k")

    assert answer.cost == world.spent(CREDIT) == 100 * 12 + 200 * 120
    with pytest.raises(Crash):
        events.close()


# Pauses: an instance that stands still while another takes over, and then goes on --------------------------------


class Pausing(FaultyDocuments):
    """Does something else entirely before or after one of its commits, as if it had been paused there."""

    def __init__(self, inner, at: int, when: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(inner)
        self._pause = (at, when, meanwhile)

    def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
        at, when, meanwhile = self._pause
        is_here = self.commits + 1 == at
        if is_here and when == "before":
            meanwhile()
        versions = super().commit(writes, timeout_seconds=timeout_seconds)
        if is_here and when == "after":
            meanwhile()
        return versions


@pytest.mark.parametrize(("at", "when"), POINTS)
def test_a_paused_instance_that_was_taken_over_changes_nothing_when_it_goes_on(world, at, when):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    answers = []

    def meanwhile():
        world.clock.advance(PAST_THE_LEASE)
        answers.append(answer_of(world.on(world.documents).run(request)))

    paused = world.on(Pausing(world.documents, at, when, meanwhile))
    with contextlib.suppress(StillRunning, Contended):
        answers.append(answer_of(paused.run(request)))

    assert all(answer == answers[0] for answer in answers)
    assert answer_of(world.turn.run(request)) == answers[0]
    check_one_effect(world, conversation)


def test_a_stream_that_was_taken_over_ends_without_charging(world):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    paused = world.turn.run(request)
    next(paused)

    world.clock.advance(PAST_THE_LEASE)
    answer = answer_of(world.on(world.documents).run(request))
    with pytest.raises(StillRunning):
        list(paused)

    assert answer.cost == COST
    check_one_effect(world, conversation)


# A store that does not say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OutcomeUnknown(), StoreUnavailable()])
@pytest.mark.parametrize(("at", "when"), POINTS)
def test_an_unclear_or_failing_commit_is_settled_or_can_be_asked_again(world, at, when, error):
    if isinstance(error, StoreUnavailable) and when == "after":
        when = "before"  # StoreUnavailable says that nothing was applied
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    documents = FaultyDocuments(world.documents, at=at, when=when, error=error)
    with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
        answer_of(world.on(documents).run(request))

    world.clock.advance(PAST_THE_LEASE)
    answer = answer_of(world.on(world.documents).run(request))

    assert answer.cost == COST
    check_one_effect(world, conversation)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_unclear_append_without_a_key_is_settled(world, when):
    conversation = world.conversation(world.user())
    documents = FaultyDocuments(world.documents, at=2, when=when, error=OutcomeUnknown())

    answer = answer_of(world.on(documents).run(world.request(conversation)))

    assert answer.cost == COST
    check_one_effect(world, conversation)


def test_a_store_that_stays_away_is_told_and_the_hold_is_given_back_by_time(world):
    class Away(FaultyDocuments):
        def commit(self, writes, *, timeout_seconds=COMMIT_TIMEOUT_SECONDS):
            if self.commits >= 2:
                raise StoreUnavailable
            return super().commit(writes, timeout_seconds=timeout_seconds)

    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")

    with pytest.raises(Contended):
        list(world.on(Away(world.documents)).run(request))
    world.clock.advance(16 * 60_000)
    answer = answer_of(world.on(world.documents).run(request))

    assert answer.cost == COST
    check_one_effect(world, conversation)


# What it rests on ------------------------------------------------------------------------------------------------


def test_the_hold_of_an_attempt_can_be_found_by_its_name(world):
    conversation = world.conversation(world.user())
    request = world.request(conversation, key="k")
    events = world.turn.run(request)
    next(events)
    run = world.documents.get(f"turns/{request.operation}").data["holder"]

    operation = operation_id("chat", request.operation, run, "hold")

    assert world.ledger.hold(ANN, HoldId(derived_id("hold", operation))).status == "active"
    events.close()


def test_turns_hold_no_text(world):
    conversation = world.conversation(world.user(), system_prompt="SECRET")
    request = world.request(conversation, "SECRET", key="k")
    list(world.turn.run(request))

    data = world.documents.get(f"turns/{request.operation}").data

    assert "SECRET" not in str(data)
    assert "one" not in str(data).replace("done", "")
    assert data["uid"] == ANN


def test_keys_are_their_users_own(world):
    conversation = world.conversation(world.user())
    world.ask(conversation, key="k")
    bob = world.user(uid=Uid("bob"))

    events = list(world.run(world.conversation(bob), key="k"))

    assert isinstance(events[-1], TurnEnded)
    assert len(world.upstream.requests) == 2
