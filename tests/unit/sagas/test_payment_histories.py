"""Check that an account agrees with the provider after any order of events.

Method: random events at the provider, in any order, with other events between.
"""

from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shared.kernel.canonical import parse_canonical
from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, OperationId
from shared.kernel.money import Micro
from shared.ledger.commands import Capture, Command, Expire, PlaceHold, Release
from shared.payments.fiat import Fiat
from shared.payments.payment import Payment, seen_in, share
from shared.payments.ports import ProviderName
from shared.sagas.payments.purchase_places import TooManyCheckouts
from tests.support.earlier_payments import store_as_before
from tests.support.ledger_faults import COMMIT_FAULTS, Call, Fault, Weather
from tests.support.ledgers import UID, charge
from tests.support.shop import PRICE, Instance, Shop

AMOUNTS = st.sampled_from([1, 7, 100_000_000, 1_000_000_000])
PARTS = st.sampled_from([1, 3, 333, 500])
ANY = st.integers(0, 99)
FAULTS = st.sampled_from([None, None, *COMMIT_FAULTS])


class Histories(RuleBasedStateMachine):
    """One user, both providers, bad weather now and then; at the end the schedule comes by a few times."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()
        self.shop.every_minute()
        self.payments: list[Payment] = []
        self.refunds: list[tuple[Any, str]] = []
        self.disputes: list[tuple[Any, str]] = []
        self.holds: list[HoldId] = []
        self.count = 0

    # At the provider -------------------------------------------------------------------------------------------------

    @rule(provider=st.sampled_from(["stripe", "paypal"]))
    def begin(self, provider: ProviderName) -> None:
        with suppress(TooManyCheckouts):
            self.payments.append(self.shop.begin(provider, key=self.name("begin")))

    @precondition(lambda self: self.payments)
    @rule(which=ANY, then=st.sampled_from(["paid", "paid", "pending"]))
    def the_user_pays(self, which: int, then: Any) -> None:
        payment, hands = self.one(which)
        stage = hands._held[payment.id].stage
        if stage == "open":
            hands.approve(payment.id, then)
        elif stage == "pending":
            hands.pay(payment.id)

    @precondition(lambda self: self.payments)
    @rule(which=ANY, part=PARTS, status=st.sampled_from(["pending", "succeeded"]))
    def somebody_refunds_in_the_dashboard(self, which: int, part: int, status: Any) -> None:
        payment, hands = self.one(which)
        held = hands._held[payment.id]
        gone = sum(refund.amount.minor for refund in held.refunds.values() if refund.status != "failed")
        if held.paid is not None and gone + part <= PRICE.minor:
            self.refunds.append((hands, hands.refund_by_hand(payment.id, Fiat(part, "USD"), status)))

    @precondition(lambda self: self.refunds)
    @rule(which=ANY, status=st.sampled_from(["failed", "succeeded"]))
    def a_refund_ends(self, which: int, status: Any) -> None:
        hands, refund = self.refunds.pop(which % len(self.refunds))
        hands.end_refund(refund, status)

    @precondition(lambda self: self.payments)
    @rule(which=ANY, minor=st.sampled_from([1_000, 400]))
    def the_bank_disputes(self, which: int, minor: int) -> None:
        payment, hands = self.one(which)
        if hands._held[payment.id].paid is not None:
            self.disputes.append((hands, hands.dispute(payment.id, Fiat(minor, "USD"))))

    @precondition(lambda self: self.disputes)
    @rule(which=ANY, status=st.sampled_from(["won", "lost", "withdrawn"]))
    def a_dispute_ends(self, which: int, status: Any) -> None:
        hands, dispute = self.disputes.pop(which % len(self.disputes))
        hands.end_dispute(dispute, status)

    @precondition(lambda self: self.payments)
    @rule(which=ANY, fault=FAULTS, every=st.integers(1, 6))
    def the_user_turns_back(self, which: int, fault: Fault | None, every: int) -> None:
        self.try_(lambda instance: instance.cancellations.cancel(self.one(which)[0].id), fault, every)

    # On our side -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.payments)
    @rule(which=ANY, fault=FAULTS, every=st.integers(1, 6))
    def settle(self, which: int, fault: Fault | None, every: int) -> None:
        self.try_(lambda instance: instance.settlement.settle(self.one(which)[0].id), fault, every)

    @precondition(lambda self: self.payments)
    @rule(which=ANY, part=st.none() | PARTS, fault=FAULTS, every=st.integers(1, 6))
    def we_refund(self, which: int, part: int | None, fault: Fault | None, every: int) -> None:
        key = self.name("refund")
        self.try_(lambda instance: instance.refund(self.one(which)[0].id, part, key), fault, every)

    @precondition(lambda self: self.payments)
    @rule(which=ANY)
    def an_earlier_release_writes(self, which: int) -> None:
        store_as_before(self.shop.documents, self.shop.instance().payments.get(self.one(which)[0].id))

    @rule()
    def a_minute_s_work(self) -> None:
        self.shop.every_minute()

    @rule(passes=st.sampled_from([SECOND, MINUTE, HOUR, DAY, 31 * DAY]))
    def time(self, passes: int) -> None:
        self.shop.clock.advance(passes)
        self.shop.every_minute()

    # The user --------------------------------------------------------------------------------------------------------

    @rule(amount=AMOUNTS)
    def spend(self, amount: int) -> None:
        self.ask(charge(self.name("charge"), amount))

    @rule(amount=AMOUNTS, lifetime=st.sampled_from([MINUTE, DAY]), is_reservation=st.booleans())
    def set_aside(self, amount: int, lifetime: int, is_reservation: bool) -> None:  # a rule's
        self.holds.append(HoldId(self.name("hold")))
        self.ask(
            PlaceHold(
                operation=OperationId(self.name("op")),
                amount=Micro(amount),
                hold=self.holds[-1],
                purpose="chat",
                lifetime=lifetime,
                principal="user:ada",
                is_reservation=is_reservation,
            )
        )

    @precondition(lambda self: self.holds)
    @rule(which=ANY, amount=AMOUNTS, is_final=st.booleans())
    def capture(self, which: int, amount: int, is_final: bool) -> None:  # a rule's
        operation, hold = OperationId(self.name("op")), self.holds[which % len(self.holds)]
        self.ask(Capture(operation=operation, hold=hold, amount=Micro(amount), is_final=is_final))

    @precondition(lambda self: self.holds)
    @rule(which=ANY)
    def release(self, which: int) -> None:
        operation, hold = OperationId(self.name("op")), self.holds[which % len(self.holds)]
        self.ask(Release(operation=operation, hold=hold))

    # The end ---------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        for _ in range(8):
            self.shop.clock.advance(6 * MINUTE)
            self.shop.every_minute()
        self.ask(Expire())

        granted = sum(self.left_of(payment) for payment in self.payments)
        available, held, debt = self.shop.money()

        assert available + held - debt == granted - self.gone_for_good()
        assert {alert.event for alert in self.shop.alerts.raised} <= {"payment_disputed"}

    def left_of(self, payment: Payment) -> int:
        """What the provider's truth leaves of a payment's credits; the payment says the same."""
        found = self.shop.instance().payments.get(payment.id)
        truth = self.shop.providers[payment.provider].truth(found.refs)
        seen, applied = seen_in(truth, found), found.applied
        if not applied.is_granted:
            assert truth.stage != "paid" or seen.leaving == PRICE.minor
            return 0
        assert seen.gone <= applied.taken <= seen.leaving
        assert applied.taken + applied.aside == seen.gone + seen.undecided
        assert self.shop.providers[payment.provider].captures[payment.id] == 1
        return sum(amount - share(amount, applied.taken, PRICE.minor) for _, amount in found.lots)

    def gone_for_good(self) -> int:
        """What was spent, and what time ended, as the journal says."""
        ledger = self.shop.instance().ledger
        postings: list[Any] = []
        for entry in ledger._store.entries(UID, 1, ledger.balance(UID).seq):
            body: Any = parse_canonical(entry.body)
            postings += body["postings"]
        outward = [one for one in postings if one["to"] == "breakage" or one["to"].startswith("revenue:")]
        return sum(one["amount"] for one in outward if one["from"] in {"available", "held"})

    # What the rules use ----------------------------------------------------------------------------------------------

    def name(self, of: str) -> str:
        self.count += 1
        return f"{of}_{self.count}"

    def one(self, which: int) -> tuple[Payment, Any]:
        payment = self.payments[which % len(self.payments)]
        return payment, self.shop.providers[payment.provider]

    def ask(self, command: Command) -> None:
        with suppress(DomainError):
            self.shop.instance().ledger.execute(UID, command)

    def try_(self, act: Any, fault: Fault | None, every: int) -> None:
        """Every so many commits go wrong, a few times; late ones land before anybody else comes."""

        def script(call: Call) -> Fault | None:
            is_here = call.kind == "commit" and call.of_kind % every == 0 and call.of_kind < 20
            return fault if is_here else None

        weather = Weather(self.shop.documents, script, delay=every)
        instance: Instance = self.shop.instance(weather)
        with suppress(DomainError):
            act(instance)
        weather.settle()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
