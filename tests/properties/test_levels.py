"""Levels against a simple model of a chain: any order of transfers, blocks, reorgs, sweeps and looks."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.payments.chains.levels import (
    GONE_PAUSE,
    AdvancedLevel,
    LevelRecord,
    Look,
    PaymentClaim,
    Reading,
    advance,
    share_up,
    states,
    with_claims,
)
from shared.payments.fiat import Fiat

DEEP, FINAL = 3, 8
HUGE = 10**30
AMOUNTS = st.sampled_from([1, 7, 10**6, HUGE])
STEPS = st.one_of(
    st.tuples(st.just("receive"), AMOUNTS),
    st.tuples(st.just("mine"), st.integers(1, 4)),
    st.tuples(st.just("reorg"), st.tuples(st.integers(1, FINAL - 1), st.integers(0, 255), st.integers(0, 2))),
    st.tuples(st.just("look"), st.booleans()),
)
SCHEDULES = st.lists(STEPS, max_size=40)


@dataclass
class ModelChain:
    """Blocks with what came in each; a reorg replaces blocks, and drops, keeps or delays what came."""

    blocks: list[tuple[str, int]] = field(default_factory=lambda: [("genesis", 0)] * 10)
    pool: int = 0
    count: int = 0
    now: int = 0
    sent: int = 0
    """Units sent away, since the given height."""
    sent_at: int | None = None

    def mine(self) -> None:
        self.count += 1
        self.blocks.append((f"block {self.count}", self.pool))
        self.pool = 0

    def reorg(self, depth: int, kept: int, delay: int) -> None:
        gone = self.blocks[-depth:]
        del self.blocks[-depth:]
        amounts = [amount if kept >> place & 1 else 0 for place, (_, amount) in enumerate(gone)]
        for amount in [*[0] * delay, *amounts]:
            self.pool += amount
            self.mine()

    def level(self, height: int) -> int:
        return sum(amount for _, amount in self.blocks[: height + 1])

    def reading(self, depth: int) -> Reading:
        height = len(self.blocks) - depth
        is_sent = self.sent_at is not None and height >= self.sent_at
        level = self.level(height) - (self.sent if is_sent else 0)
        return Reading(level=level, height=height, hash=self.blocks[height][0], time=0)

    def is_gone(self, record: LevelRecord) -> bool:
        mark = record.mark
        return mark is not None and self.blocks[mark.height][0] != mark.hash

    def look(self, record: LevelRecord) -> Look:
        self.now += GONE_PAUSE
        deep = self.reading(DEEP)
        return Look(
            at=self.now,
            head=self.reading(1),
            deep=deep,
            final=self.reading(FINAL),
            is_gone=self.is_gone(record),
            is_spent=self.sent_at is not None and deep.height >= self.sent_at,
        )


def claimed(record: LevelRecord, number: int) -> LevelRecord:
    """Everything that counts and is nobody's becomes a payment."""
    if not record.rest or record.missing:
        return record
    claim = PaymentClaim(
        payment=str(number), begin=record.end, end=record.standing, price=Fiat(100, "USD"), rate="1", at=0
    )
    return with_claims(record, claim)


def check_law(chain: ModelChain, record: LevelRecord) -> None:
    """Credited, suspended and taken make up the claims; nothing is final that finality has not passed."""
    parts = [state for _, state in states(record)]
    assert sum(each.credited + each.open + each.lost for each in parts) == record.end
    assert sum(each.credited for each in parts) == min(record.standing, record.end)
    assert sum(each.lost for each in parts) == record.lost
    assert [part for part in parts if part.open or part.lost] == parts[len(parts) - shrunk(record) :]
    assert record.final <= chain.level(len(chain.blocks) - FINAL)


def shrunk(record: LevelRecord) -> int:
    """The number of claims that are not whole: the last ones."""
    return sum(claim.end > record.standing for claim in record.claims)


def run(chain: ModelChain, schedule: list[tuple[str, Any]], seen: LevelRecord | None = None) -> LevelRecord:
    record = seen or LevelRecord()
    for number, (step, told) in enumerate(schedule):
        if step == "receive":
            chain.pool += told
        elif step == "mine":
            for _ in range(told):
                chain.mine()
        elif step == "reorg":
            chain.reorg(*told)
        else:
            record = looked(chain, record, number) if told else advance(record, chain.look(record)).record
        check_law(chain, record)
    return record


def looked(chain: ModelChain, record: LevelRecord, number: int) -> LevelRecord:
    return claimed(advance(record, chain.look(record)).record, number)


def at_rest(chain: ModelChain, record: LevelRecord, *, is_final: bool) -> LevelRecord:
    for number in range(3):
        record = looked(chain, record, 1000 + number)
    if is_final:
        for number in range(FINAL):
            chain.mine()
            record = looked(chain, record, 2000 + number)
    return record


@settings(max_examples=300, deadline=None)
@given(SCHEDULES)
def test_the_account_equals_the_level_after_any_order_of_looks(schedule):
    chain = ModelChain()

    record = at_rest(chain, run(chain, schedule), is_final=False)

    level = chain.level(len(chain.blocks) - DEEP)
    assert record.standing == level
    assert sum(state.credited for _, state in states(record)) == min(level, record.end)
    assert record.end >= level


@settings(max_examples=200, deadline=None)
@given(SCHEDULES)
def test_coins_that_finality_passed_without_are_lost_and_no_others(schedule):
    chain = ModelChain()
    record = run(chain, schedule)
    chain.pool = 0

    record = at_rest(chain, record, is_final=True)

    assert record.final == record.standing == chain.level(len(chain.blocks) - 1)
    assert record.lost == record.missing == record.end - record.standing


@settings(max_examples=200, deadline=None)
@given(SCHEDULES, st.integers(1, 3))
def test_a_sweep_takes_nothing_at_any_time(schedule, blocks):
    chain = ModelChain()
    record = at_rest(chain, run(chain, schedule), is_final=False)
    before = [state for _, state in states(record)]
    chain.sent, chain.sent_at = chain.level(len(chain.blocks) - 1), len(chain.blocks)
    chain.pool = 0

    for number in range(blocks + FINAL + 1):
        chain.mine()
        after = advance(record, chain.look(record), is_swept=number > DEEP)
        record = after.record

    assert [state.credited for _, state in states(record)] == [each.credited for each in before]
    assert record.lost == sum(each.lost + each.open for each in before)


def test_one_look_alone_takes_nothing_and_the_same_moment_is_one_look():
    chain = ModelChain(pool=5)
    for _ in range(DEEP):
        chain.mine()
    record = looked(chain, LevelRecord(), 1)
    chain.reorg(DEEP, 0, 0)
    look = chain.look(record)

    once: AdvancedLevel = advance(record, look)
    again = advance(once.record, look)
    later = advance(again.record, replace(look, at=look.at + GONE_PAUSE))

    assert (once.record.missing, again.record.missing, later.record.missing) == (0, 0, 5)
    assert once.record.gone is not None


def test_what_is_final_is_never_undone_and_told():
    chain = ModelChain(pool=5)
    for _ in range(FINAL):
        chain.mine()
    record = at_rest(chain, looked(chain, LevelRecord(), 1), is_final=True)
    chain.blocks[-2 * FINAL :] = [(f"other {number}", 0) for number in range(2 * FINAL)]

    steps = [advance(record, chain.look(record))]
    steps.append(advance(steps[0].record, chain.look(record)))

    assert steps[1].is_below_final
    assert steps[1].record.missing == 0


@pytest.mark.parametrize(("part", "minor"), [(0, 0), (1, 1), (HUGE // 2, 500), (HUGE, 1_000)])
def test_a_share_of_a_price_is_rounded_up_and_whole_for_all(part, minor):
    assert share_up(Fiat(1_000, "USD"), part, HUGE) == minor
