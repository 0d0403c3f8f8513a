"""Analytics: whoever projects, in whatever order, crashing anywhere, ends with the fold of the journal."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.kernel.clock import DAY
from shared.kernel.documents import Delete, Documents, OutcomeUnknown, StoreUnavailable
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, Uid, operation_id
from shared.kernel.money import Micro
from shared.ledger.analytics import Report, UsageAnalytics
from shared.ledger.commands import Capture, Command, PlaceHold, Release
from shared.ledger.entries import OWN
from shared.ledger.errors import IntegrityFailed
from shared.ledger.store import entry_path
from shared.ledger.usage import UsageFold, folded, summed
from tests.properties.test_decide import Life
from tests.support.faults import Crash, FaultyDocuments
from tests.support.ledger_faults import COMMIT_FAULTS, Weather
from tests.support.ledgers import UID, World, charge, grant, ledger_on

ALWAYS = ("0000-01-01", "9999-12-31")


class LifeInFigures(Life):
    """Whatever is asked of an account, its usage adds up to its balance and its revenue."""

    @invariant()
    def moves_are_the_balance_and_costs_are_the_revenue(self):
        books = self.books
        total = summed(folded(UsageFold(), books.bodies).days.values())
        paid = [
            posting["amount"]
            for body in books.bodies
            for posting in body["postings"]
            if posting["from"] in OWN and posting["to"].startswith("revenue:")
        ]

        assert sum(total.moved.values()) == books.account.available + books.account.held - books.account.debt
        assert sum(amounts.cost for amounts in total.uses.values()) == sum(paid) == -total.moved.get("spent", 0)

    @invariant()
    def open_holds_are_remembered_and_no_others(self):
        assert folded(UsageFold(), self.books.bodies).open.keys() == self.books.account.holds.keys()


LifeInFigures.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLifeInFigures = LifeInFigures.TestCase


class Meanwhile:
    """Passes everything on; just before the first commit, something else happens."""

    def __init__(self, inner: Documents, happens: Callable[[], object]) -> None:
        self.inner = inner
        self.happens: list[Callable[[], object]] = [happens]

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def commit(self, writes, **options):
        if self.happens:
            self.happens.pop()()
        return self.inner.commit(writes, **options)


class Projections(RuleBasedStateMachine):
    """Entries are written while followers start, race, crash, and are begun anew."""

    @initialize()
    def begin(self):
        self.world = World()
        self.count = 0
        self.open: list[str] = []
        self.execute(grant("g", 1_000_000))

    def execute(self, command: Command) -> None:
        self.world.ledger.execute(UID, command)

    def analytics(self, documents: Documents | None = None) -> UsageAnalytics:
        documents = documents or self.world.documents
        return UsageAnalytics(documents, ledger_on(documents, self.world.clock), self.world.clock)

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours):
        self.world.clock.advance(hours * DAY // 24)

    @rule(many=st.sampled_from([1, 2, 3, 70]), amount=st.integers(1, 9))
    def charges(self, many, amount):
        for _ in range(many):
            self.count += 1
            self.execute(charge(f"c{self.count}", amount))

    @rule(model=st.sampled_from(["a", "b"]), principal=st.sampled_from(["ada", "key:k1", "key:k2"]))
    def holds(self, model, principal):
        self.count += 1
        name = f"h{self.count}"
        self.execute(
            PlaceHold(
                operation=operation_id("hold", name),
                amount=Micro(50),
                hold=HoldId(name),
                purpose="chat",
                lifetime=365 * DAY,
                principal=principal,
                tags=(("model", model),),
            )
        )
        self.open.append(name)

    @precondition(lambda self: self.open)
    @rule(cost=st.integers(0, 80), is_kept=st.booleans())
    def ends(self, cost, is_kept):
        name = self.open.pop()
        operation, hold = operation_id("end", name), HoldId(name)
        used = (("input_tokens", cost), ("output_tokens", 1))
        keep = Capture(operation=operation, hold=hold, amount=Micro(cost), usage=used)
        self.execute(keep if is_kept else Release(operation=operation, hold=hold))

    @rule()
    def follows(self):
        self.analytics().follow(UID)

    @rule(to=st.integers(0, 300), steps=st.integers(1, 3))
    def follows_a_little(self, to, steps):
        self.analytics().follow(UID, to, steps=steps)

    @rule(at=st.integers(1, 4), when=st.sampled_from(["before", "after"]), is_rebuilding=st.booleans())
    def crashes(self, at, when, is_rebuilding):
        broken = self.analytics(FaultyDocuments(self.world.documents, at=at, when=when))
        with suppress(Crash):
            (broken.rebuild if is_rebuilding else broken.follow)(UID)

    @rule(at=st.integers(1, 3), fault=st.sampled_from(COMMIT_FAULTS), delay=st.integers(1, 6), is_new=st.booleans())
    def has_bad_weather(self, at, fault, delay, is_new):
        def script(call):
            return fault if call.kind == "commit" and call.of_kind == at else None

        bad = self.analytics(Weather(self.world.documents, script, delay=delay))
        with suppress(StoreUnavailable):
            (bad.rebuild if is_new else bad.follow)(UID)

    @rule(first=st.booleans(), second=st.booleans())
    def races(self, first, second):
        other = self.analytics()
        racing = self.analytics(
            Meanwhile(self.world.documents, lambda: (other.rebuild if second else other.follow)(UID))
        )
        (racing.rebuild if first else racing.follow)(UID)

    @rule()
    def rebuilds(self):
        incremental = self.reported()
        self.analytics().rebuild(UID)

        assert self.reported() == incremental

    @rule()
    def is_read(self):
        bodies = self.world.ledger.bodies(UID, 1, 10_000)
        whole = folded(UsageFold(), bodies)

        assert self.reported() == Report(days=whole.days, seq=len(bodies))

    def reported(self) -> Report:
        return self.analytics().report(UID, *ALWAYS)

    def teardown(self):
        if hasattr(self, "world"):
            self.is_read()


Projections.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestProjections = Projections.TestCase


def test_a_missing_entry_is_an_alarm_and_nothing_behind_it_is_added():
    world = World()
    for number in range(3):
        world.ledger.execute(UID, grant(f"g{number}", 5))
    world.documents.commit([Delete(entry_path(UID, 2))])
    analytics = UsageAnalytics(world.documents, world.ledger, world.clock)

    with pytest.raises(IntegrityFailed) as failure:
        analytics.follow(UID)

    assert failure.value.params == {"uid": UID, "seq": 2, "rule": "sequence"}
    assert world.documents.get(f"accounts/{UID}/relay/usage") is None


def test_nobody_has_used_nothing():
    world = World()

    assert UsageAnalytics(world.documents, world.ledger, world.clock).report(Uid("nobody"), *ALWAYS) == Report(
        days={}, seq=0
    )


def test_a_follower_that_always_loses_says_so():
    world = World()
    world.ledger.execute(UID, grant("g", 5))

    class Losing(Meanwhile):
        def commit(self, writes, **options):
            self.happens = [lambda: None]
            raise OutcomeUnknown

    losing = Losing(world.documents, lambda: None)

    with pytest.raises(DomainError):
        UsageAnalytics(losing, world.ledger, world.clock).follow(UID)
