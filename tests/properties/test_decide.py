"""Whatever is asked of an account, in whatever order: every law holds after every step."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.kernel.errors import DomainError
from shared.kernel.money import Micro
from shared.ledger import rest
from shared.ledger.account import SUSPENSION
from shared.ledger.commands import BudgetClaim, Capture, Command, RateLimit
from tests.support.books import (
    Books,
    adjust,
    annul,
    capture,
    charge,
    close,
    expire,
    extend,
    freeze,
    grant,
    hold,
    reinstate,
    release,
    restore,
    reverse,
    suspend,
    unfreeze,
)

AMOUNTS = st.integers(0, 120)
LOTS = st.sampled_from([f"lot{n}" for n in range(8)])
HOLDS = st.sampled_from([f"hold{n}" for n in range(8)])
CLAIMS = st.sets(st.tuples(st.sampled_from(["key", "task"]), st.integers(0, 150), st.sampled_from([None, 5_000])))
RATES = st.none() | st.builds(RateLimit, per_minute=st.just(60), burst=st.integers(1, 5))


class Life(RuleBasedStateMachine):
    """`Books.do` checks the laws after every step: conservation, fold, links, codec, lots, holds, budgets."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()

    def ask(self, command: Command) -> bool:
        before, archive = self.books.account, self.books.archive
        try:
            self.books.do(command)
        except DomainError:
            assert (self.books.account, self.books.archive) == (before, archive), "a refusal changes nothing"
            return False
        hold = before.holds.get(command.hold) if isinstance(command, Capture) else None
        if before.status == "frozen" and hold is not None and hold.is_reservation:
            spent = [posting for posting in self.books.bodies[-1]["postings"] if posting["to"].startswith("revenue:")]
            assert {posting["from"] for posting in spent} <= {"held"}, "a frozen account spends what it had set aside"
        return True

    def claims(self, wanted: set[tuple[str, int, int | None]]) -> tuple[BudgetClaim, ...]:
        by_name = {name: (limit, lifetime) for name, limit, lifetime in sorted(wanted, key=str)}
        return tuple(
            BudgetClaim(id=name, limit=Micro(limit), expires_at=lifetime and self.books.now + lifetime)
            for name, (limit, lifetime) in by_name.items()
        )

    @rule(by=st.sampled_from([-10_000, 0, 1, 999, 1_000, 5_000, 60_000, 1_000_000]))
    def time_passes(self, by):
        self.books.now += by

    @rule(lot=LOTS, amount=AMOUNTS, life=st.none() | st.integers(0, 60_000), priority=st.sampled_from([10, 20]))
    def grant(self, lot, amount, life, priority):
        expires_at = None if life is None else self.books.now + life
        self.ask(grant(lot, amount, expires_at=expires_at, priority=priority))

    @rule(lot=LOTS, amount=AMOUNTS, name=st.sampled_from(["dispute0", "dispute1", "hold0"]))
    def grant_out_of_reach(self, lot, amount, name):
        self.ask(grant(lot, amount, suspension=name))

    @rule(
        name=HOLDS, amount=AMOUNTS, life=st.integers(0, 60_000), claims=CLAIMS, rate=RATES, is_reservation=st.booleans()
    )
    def place(self, name, amount, life, claims, rate, is_reservation):
        claimed = self.claims(claims)
        self.ask(hold(name, amount, lifetime=life, budgets=claimed, rate=rate, is_reservation=is_reservation))

    @precondition(lambda self: self.books.account.holds)
    @rule(data=st.data(), amount=AMOUNTS, at_least=st.integers(0, 20), accrued=AMOUNTS)
    def extend(self, data, amount, at_least, accrued):
        name = data.draw(st.sampled_from(sorted(self.books.account.holds)))
        self.ask(extend(name, amount, at_least=at_least, accrued=accrued))

    @precondition(lambda self: self.books.account.holds)
    @rule(data=st.data(), amount=AMOUNTS, is_final=st.booleans())
    def capture(self, data, amount, is_final):
        self.ask(capture(data.draw(st.sampled_from(sorted(self.books.account.holds))), amount, is_final=is_final))

    @rule(name=HOLDS, amount=AMOUNTS)
    def capture_any(self, name, amount):
        self.ask(capture(name, amount))

    @rule(name=HOLDS)
    def release(self, name):
        self.ask(release(name))

    @rule(amount=AMOUNTS, claims=CLAIMS, rate=RATES)
    def charge(self, amount, claims, rate):
        self.ask(charge(amount, budgets=self.claims(claims), rate=rate))

    @rule(lot=LOTS, amount=AMOUNTS)
    def reverse(self, lot, amount):
        self.ask(reverse(lot, amount))

    @rule(lot=LOTS, amount=AMOUNTS, into=st.sampled_from([None, "dispute0", "dispute1"]))
    def restore(self, lot, amount, into):
        self.ask(restore(lot, amount, into=into))

    @rule(name=st.sampled_from(["dispute0", "dispute1"]), lots=st.sets(LOTS, max_size=3))
    def suspend(self, name, lots):
        if self.ask(suspend(name, *sorted(lots))):
            others = [hold for hold in self.books.account.holds.values() if hold.purpose != SUSPENSION]
            assert not {lot for hold in others for lot, _ in hold.takes} & lots, "what is disputed is in no other hold"
            assert all(self.books.account.lots[lot].available == 0 for lot in lots & self.books.account.lots.keys())

    @rule(name=st.sampled_from(["dispute0", "dispute1", "hold0"]))
    def reinstate(self, name):
        self.ask(reinstate(name))

    @rule()
    def annul(self):
        before = self.books.account
        self.ask(annul())
        assert before.seq == self.books.account.seq or before.due_at is not None

    @rule(amount=st.integers(-50, 50))
    def adjust(self, amount):
        self.ask(adjust(amount))

    @rule(is_frozen=st.booleans())
    def freeze(self, is_frozen):
        self.ask(freeze() if is_frozen else unfreeze())

    @rule()
    def what_is_due_happens(self):
        self.ask(expire())

    @precondition(lambda self: self.books.account.seq > 15)
    @rule()
    def close(self):
        self.ask(close())

    @invariant()
    def what_is_gone_stays_gone(self):
        account = self.books.account
        assert not account.holds.keys() & self.books.archive.holds.keys()
        assert all(not lot.is_empty for lot in account.lots.values())
        if account.status == "closed":
            assert (account.available, account.held, account.debt) == (0, 0, 0)


class LifeWithRest(Life):
    """The same with a state of two lots, so that the others stand in the rest from the third on."""

    @initialize()
    def few_lots_stay(self):
        self.most, rest.LOTS_MAX = rest.LOTS_MAX, 2

    def teardown(self):
        rest.LOTS_MAX = self.most

    @precondition(lambda self: self.books.account.rest_due_at)
    @rule()
    def the_first_of_the_rest_is_over(self):
        self.books.now = max(self.books.now, self.books.account.rest_due_at)
        self.ask(expire())


TestLife = Life.TestCase
TestLifeWithRest = LifeWithRest.TestCase
TestLifeWithRest.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
