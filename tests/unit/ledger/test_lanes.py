"""Lanes: who leads, who is forgotten, and what becomes of the others when a leader dies."""

import threading
from typing import Any

import pytest

from shared.kernel.documents import OutcomeUnknown
from shared.kernel.ids import HoldId, OperationId, Uid, derived_id
from shared.ledger.lanes import BATCH_COMMANDS_MAX, WARM_ACCOUNTS_MAX, CommandAnswer, Job, Lane, Lanes
from shared.ledger.receipts import AccountTotals, Receipt
from tests.support.books import charge, grant, hold
from tests.support.ledgers import UID

TOTALS = AccountTotals(available=0, held=0, debt=0, status="open", seq=0)
DONE = CommandAnswer(receipt=Receipt(after=TOTALS), is_replay=False)


def job() -> Job:
    return Job(charge(0), 1e12)


def answers_all(lane: Lane, jobs: list[Job]) -> list[Job]:
    for each in jobs:
        each.tell(DONE)
    return []


def answers_one(lane: Lane, jobs: list[Job]) -> list[Job]:
    jobs[0].tell(DONE)
    return jobs[1:]


def in_line(lanes: Lanes, jobs: list[Job]) -> Lane:
    """The lane in which they all stand."""
    (lane,) = {id(lane): lane for lane in [lanes.enter(UID, each) for each in jobs]}.values()
    return lane


def test_what_was_used_longest_ago_is_forgotten_first():
    lanes = Lanes(answers_all)
    users = [Uid(f"user{number}") for number in range(WARM_ACCOUNTS_MAX)]
    for uid in users:
        lanes.answers(uid, [job()])
    lanes.answers(users[0], [job()])

    lanes.answers(Uid("new"), [job()])

    assert len(lanes) == WARM_ACCOUNTS_MAX
    assert (users[0] in lanes._lanes, users[1] in lanes._lanes) == (True, False)


@pytest.mark.parametrize("change", [{"is_led": True}, {"unsettled": (1,)}, {"unsettled": (None,)}])
def test_a_lane_that_is_led_or_unsettled_is_not_forgotten(change):
    lanes = Lanes(answers_all)
    lanes.answers(UID, [job()])
    for name, value in change.items():
        setattr(lanes._lanes[UID], name, value)

    for number in range(WARM_ACCOUNTS_MAX + 5):
        lanes.answers(Uid(f"user{number}"), [job()])

    assert UID in lanes._lanes


def test_forgetting_an_account_drops_what_is_known_of_it_and_no_other():
    lanes = Lanes(answers_all)
    for uid in (UID, Uid("other")):
        lanes.answers(uid, [job()])
        lanes._lanes[uid].warm = "head"  # type: ignore[assignment]

    lanes.forget_account(UID)
    lanes.forget_account(Uid("stranger"))

    kept: Any = lanes._lanes[Uid("other")].warm
    assert (lanes._lanes[UID].warm, kept) == (None, "head")


def test_the_first_leads_and_hands_over_to_the_next():
    lanes, jobs = Lanes(answers_one), [job() for _ in range(3)]
    lane = in_line(lanes, jobs)
    leads = [each.must_lead for each in jobs]

    lanes.lead(lane, jobs[0])

    assert leads == [True, False, False]
    assert [each.answer for each in jobs] == [DONE, None, None]
    assert ([each.must_lead for each in jobs[1:]], lane.is_led) == ([True, False], True)
    assert list(lane.pending) == jobs[1:]


def test_a_leader_whose_command_is_answered_last_works_for_all_before_it():
    def answers_the_last(lane: Lane, jobs: list[Job]) -> list[Job]:
        jobs[-1].tell(DONE)
        return jobs[:-1]

    lanes, jobs = Lanes(answers_the_last), [job() for _ in range(3)]
    lane = in_line(lanes, jobs)

    lanes.lead(lane, jobs[0])

    assert [each.answer for each in jobs] == [DONE] * 3
    assert lane.is_led is False


def test_a_batch_takes_so_many_and_one_while_they_part():
    seen: list[int] = []

    def counts(lane: Lane, jobs: list[Job]) -> list[Job]:
        seen.append(len(jobs))
        lane.solo = 1 if len(seen) == 1 else 0
        return answers_all(lane, jobs)

    lanes, jobs = Lanes(counts), [job() for _ in range(BATCH_COMMANDS_MAX + 3)]
    lane = in_line(lanes, jobs)

    while waiting := [each for each in jobs if each.answer is None]:
        lanes.lead(lane, waiting[0])

    assert seen == [BATCH_COMMANDS_MAX, 1, 2]


def test_a_leader_that_dies_tells_its_own_error_and_the_others_that_nobody_knows():
    answered = job()

    def dies(lane: Lane, jobs: list[Job]) -> list[Job]:
        answered.tell(DONE)
        raise RuntimeError("a bug of ours")

    lanes, own, other, later = Lanes(dies), job(), job(), job()
    lane = lanes.enter(UID, own)
    lanes.enter(UID, answered)
    lanes.enter(UID, other)
    lane.warm = "head"  # type: ignore[assignment]

    with pytest.raises(RuntimeError):
        lanes.lead(lane, own)

    assert isinstance(own.answer, RuntimeError)
    assert answered.answer is DONE
    assert isinstance(other.answer, OutcomeUnknown)
    assert (lane.warm, lane.is_led, list(lane.pending)) == (None, False, [])
    lanes.enter(UID, later)
    assert later.must_lead


class Interrupted(Job):
    __slots__ = ()

    def wait(self) -> None:
        raise KeyboardInterrupt


def test_a_waiting_caller_that_is_interrupted_leaves_the_line():
    lanes, own, waiting, third = Lanes(answers_one), job(), Interrupted(charge(0), 1e12), job()
    lane = lanes.enter(UID, own)
    for each in (waiting, third):
        lanes.enter(UID, each)

    with pytest.raises(KeyboardInterrupt):
        lanes.wait(lane, waiting)
    lanes.lead(lane, own)
    third.must_lead = True
    lanes.lead(lane, third)

    assert isinstance(waiting.answer, KeyboardInterrupt)
    assert (own.answer, third.answer, lane.is_led) == (DONE, DONE, False)


def test_a_caller_that_is_interrupted_with_the_lead_hands_it_on():
    lanes, own, waiting, third = Lanes(answers_one), job(), Interrupted(charge(0), 1e12), job()
    lane = lanes.enter(UID, own)
    for each in (waiting, third):
        lanes.enter(UID, each)
    lanes.lead(lane, own)
    assert waiting.must_lead

    with pytest.raises(KeyboardInterrupt):
        lanes.wait(lane, waiting)

    assert third.must_lead


def test_who_comes_with_several_has_them_all_answered_in_one_batch_and_hears_the_first_refusal():
    batches: list[int] = []

    def refuses_the_second(lane: Lane, jobs: list[Job]) -> list[Job]:
        batches.append(len(jobs))
        for each in jobs:
            each.tell(LookupError("no") if each is second else DONE)
        return []

    lanes, first, second, third = Lanes(refuses_the_second), job(), job(), job()

    with pytest.raises(LookupError):
        lanes.answers(UID, [first, second, third])

    assert (first.answer, third.answer, batches) == (DONE, DONE, [3])
    assert lanes.answers(UID, [job(), job()]) == [DONE, DONE]


def test_who_comes_with_several_and_is_interrupted_leaves_with_all_of_them():
    lanes, other, last = Lanes(answers_one), job(), job()
    lane = lanes.enter(UID, other)
    own = [Interrupted(charge(0), 1e12), job()]

    with pytest.raises(KeyboardInterrupt):
        lanes.answers(UID, own)
    lanes.lead(lane, other)
    lanes.enter(UID, last)

    assert [type(each.answer) for each in own] == [KeyboardInterrupt, OutcomeUnknown]
    assert (other.answer, last.must_lead) == (DONE, True)


def test_a_leader_of_several_who_dies_hands_the_lead_on():
    def dies(lane: Lane, jobs: list[Job]) -> list[Job]:
        raise KeyboardInterrupt

    lanes, own = Lanes(dies), [job(), job()]

    with pytest.raises(KeyboardInterrupt):
        lanes.answers(UID, own)
    last = job()
    lanes.enter(UID, last)

    assert [type(each.answer) for each in own] == [KeyboardInterrupt, OutcomeUnknown]
    assert last.must_lead


def test_only_a_name_that_may_be_taken_needs_a_read():
    op = OperationId("op")

    assert not Job(charge(1), 0).needs_read
    assert Job(grant("lot", 1), 0).needs_read
    assert Job(hold("h", 1), 0).needs_read
    assert not Job(hold(HoldId(derived_id("hold", op)), 1, operation=op), 0).needs_read


def test_a_caller_of_several_commands_is_answered_in_whichever_order_they_wait():
    def turns_round(lane: Lane, jobs: list[Job]) -> list[Job]:
        jobs[0].tell(DONE)
        return jobs[:0:-1]

    lanes, jobs, answers = Lanes(turns_round), [job() for _ in range(4)], []
    caller = threading.Thread(target=lambda: answers.extend(lanes.answers(UID, jobs)), daemon=True)

    caller.start()
    caller.join(10)

    assert answers == [DONE] * 4
