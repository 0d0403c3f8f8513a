"""Running account of a verifier: an account that each entry of the journal changes in place.

The state after an entry is equal to the state that `shared.ledger.fold.apply` returns, and has the same text. The cost
of an entry depends on the parts that the entry touches, and not on the length of the journal. A property test holds
both folds equal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.kernel.ids import HoldId, LotId, Uid
from shared.ledger.account import (
    ABSORBED_KEYS_MAX,
    BUDGETS_MAX,
    HOLDS_MAX,
    STATED_FIELDS,
    SUSPENSIONS_MAX,
    AbsorbedAmounts,
    Account,
)
from shared.ledger.entries import AVAILABLE, BREAKAGE, DEBT, HELD
from shared.ledger.fold import NotApplicable
from shared.ledger.running_parts import (
    JournalStep,
    PastParts,
    RunningBudget,
    RunningHold,
    RunningLot,
    budget_value,
    hold_value,
    lot_value,
    opened_hold,
    running_budget,
    running_hold,
    running_lot,
)

NEVER = 2**63
NO_FACTS: Mapping[str, Any] = {}
CHANGED_BY_FACTS = ("expires_at", "accrued", "input_held")
"""Fields of an open hold whose next value an entry may name."""


@dataclass(slots=True, eq=False, repr=False)
class RunningAccount:
    """Account that each entry changes in place. `available` and `held` are the totals of `Account`, in µcr."""

    past: PastParts
    ledger: str
    uid: Uid
    seq: int
    head: str
    at: int
    status: Any
    debt: int
    tat: int
    lots: dict[LotId, RunningLot]
    holds: dict[HoldId, RunningHold]
    budgets: dict[str, RunningBudget]
    absorbed: dict[str, AbsorbedAmounts]
    available: int
    held: int
    rest_count: int
    rest_available: int
    rest_due_at: int
    next_end: int = 0
    """Time (ms) before which no budget has to be forgotten."""

    @classmethod
    def of(cls, account: Account, past: PastParts) -> Self:
        """Return the running form of an account."""
        return cls(
            past=past,
            ledger=account.ledger,
            uid=account.uid,
            seq=account.seq,
            head=account.head,
            at=account.at,
            status=account.status,
            debt=account.debt,
            tat=account.tat,
            lots={name: running_lot(lot) for name, lot in account.lots.items()},
            holds={name: running_hold(hold) for name, hold in account.holds.items()},
            budgets={name: running_budget(each) for name, each in account.budgets.items()},
            absorbed=dict(account.absorbed),
            available=account.available,
            held=account.held,
            rest_count=account.rest_count,
            rest_available=account.rest_available,
            rest_due_at=account.rest_due_at,
        )

    def account(self) -> Account:
        """Return the state as a value."""
        return Account(
            ledger=self.ledger,
            uid=self.uid,
            seq=self.seq,
            head=self.head,
            at=self.at,
            status=self.status,
            debt=self.debt,
            tat=self.tat,
            lots={name: lot_value(lot) for name, lot in self.lots.items()},
            holds={name: hold_value(hold) for name, hold in self.holds.items()},
            budgets={name: budget_value(each) for name, each in self.budgets.items()},
            absorbed=dict(self.absorbed),
            rest_count=self.rest_count,
            rest_available=self.rest_available,
            rest_due_at=self.rest_due_at,
        )

    def post(self, body: Mapping[str, Any], head: str) -> None:
        """Change the account by the parsed body of the next entry, whose hash is `head`.

        Raises NotApplicable, AssertionError, KeyError or TypeError if the entry cannot follow this state. The account
        is of no use afterwards.
        """
        at = body["at"]
        if self.budgets and at >= self.next_end:
            self._forget_ended_budgets(at)
        claims = tuple([claim["id"] for claim in body["budgets"]]) if "budgets" in body else ()
        step = JournalStep(body, body["kind"], claims, None, {}, [])
        self._take_facts(step)
        for posting in body["postings"]:
            self._post(step, posting)
        self._settle_lots(step)
        if step.hold is not None and "end" in body["hold"]:
            self._end_hold(step.hold, body)
        self.seq += 1
        self.at, self.head = at, head
        for name in STATED_FIELDS:
            if name in body:
                setattr(self, name, body[name])
        self._check(step)

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_facts(self, step: JournalStep) -> None:
        body = step.body
        if "lot" in body:
            self._open_lot(step, body["lot"])
        if "budgets" in body:
            for claim in body["budgets"]:
                self._claim(claim)
        if len(self.budgets) > BUDGETS_MAX:
            self._forget_unused_budgets(step.claims)
        if "hold" in body:
            self._take_hold_facts(step, body["hold"])

    def _open_lot(self, step: JournalStep, fact: Mapping[str, Any]) -> None:
        name = fact["id"]
        if name in self.lots or self.past.lot(name) is not None:
            raise NotApplicable("the lot exists")
        step.lots[name] = RunningLot(
            id=name,
            source=fact["source"],
            priority=fact["priority"],
            granted_seq=self.seq + 1,
            expires_at=fact.get("expires_at"),
            is_paid=fact["paid"],
            granted=0,
        )

    def _claim(self, claim: Mapping[str, Any]) -> None:
        budget = self.budgets.get(claim["id"])
        if budget is None:
            budget = self.budgets[claim["id"]] = RunningBudget(id=claim["id"], limit=0)
        budget.limit, budget.expires_at = claim["limit"], claim.get("expires_at")
        if budget.expires_at is not None:
            self.next_end = min(self.next_end, budget.expires_at)

    def _take_hold_facts(self, step: JournalStep, fact: Mapping[str, Any]) -> None:
        """Open the hold that the entry places, or change the hold that the entry names. Raises NotApplicable."""
        name: HoldId = fact["id"]
        if step.kind == "hold":
            if name in self.holds or not self.past.is_new_hold(name):
                raise NotApplicable("the hold is open, or was")
            step.hold = self.holds[name] = opened_hold(step.body, step.claims)
            return
        step.hold = hold = self.holds.get(name)
        if hold is None:
            raise NotApplicable("the hold is not open")
        for field in CHANGED_BY_FACTS:
            if field in fact:
                setattr(hold, field, fact[field])

    # ── postings ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _post(self, step: JournalStep, posting: Mapping[str, Any]) -> None:
        """Move one amount between the parts of the account; see `fold.apply`. Raises NotApplicable."""
        source, destination, amount, lot = posting["from"], posting["to"], posting["amount"], posting.get("lot")
        if amount <= 0:
            raise NotApplicable("a posting moves more than nothing")
        if source == HELD:
            self._post_from_held(step, self._lot(step, lot), destination, amount)
        elif source == DEBT:
            self._post_from_debt(self._lot(step, lot), amount)
        elif source == AVAILABLE and destination == BREAKAGE and lot is None:
            self._forfeit_rest(amount)
        elif source == AVAILABLE:
            self._post_from_available(step, self._lot(step, lot), destination, amount)
        elif destination == AVAILABLE:
            self._lot(step, lot).give(amount, is_restored=step.kind == "reversal")
        elif destination == DEBT:
            self._pay_debt(amount)
            if lot is not None:
                self._lot(step, lot).owed -= amount
        elif step.hold is not None:
            self._count_captured(step, amount, paid_by_user=False)
            self._count_absorbed(step, amount)

    def _post_from_debt(self, lot: RunningLot, amount: int) -> None:
        lot.check_reversible(amount)
        self.debt += amount
        lot.owed += amount

    def _post_from_held(self, step: JournalStep, lot: RunningLot, destination: str, amount: int) -> None:
        """Take an amount out of a hold; see `fold.apply`. Only an amount that leaves the user counts as captured."""
        self._give_back(step, lot.id, amount)
        lot.held -= amount
        if destination == AVAILABLE:
            return
        if destination == BREAKAGE:
            lot.expired += amount
        elif destination == DEBT:
            lot.reversed += amount
            lot.owed -= amount
            self._pay_debt(amount)
        elif step.kind == "reversal":
            lot.check_reversible(amount)
            lot.reversed += amount
            self._count_captured(step, amount, paid_by_user=True)
        else:
            lot.spent += amount
            self._count_captured(step, amount, paid_by_user=True)

    def _post_from_available(self, step: JournalStep, lot: RunningLot, destination: str, amount: int) -> None:
        if lot.available < amount:
            raise NotApplicable("more than the lot has")
        if destination == HELD:
            lot.held += amount
            self._take(step, lot.id, amount)
        elif destination == BREAKAGE:
            lot.expired += amount
        elif step.kind == "reversal" and destination != DEBT:
            lot.check_reversible(amount)
            lot.reversed += amount
        else:
            lot.spent += amount
            self._count_spent(step, destination, amount)

    def _count_spent(self, step: JournalStep, destination: str, amount: int) -> None:
        if destination == DEBT:
            self._pay_debt(amount)
        elif step.hold is not None:
            self._count_captured(step, amount, paid_by_user=True)
        else:
            self._change_budgets(step, step.claims, used=amount, held=0)

    def _pay_debt(self, amount: int) -> None:
        if self.debt < amount:
            raise NotApplicable("more than is owed")
        self.debt -= amount

    # ── holds and budgets ────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, step: JournalStep, lot: LotId, amount: int) -> None:
        hold = step.open_hold()
        hold.takes[lot] = hold.takes.get(lot, 0) + amount
        hold.placed += amount
        self._change_budgets(step, hold.budgets, used=0, held=amount)

    def _give_back(self, step: JournalStep, lot: LotId, amount: int) -> None:
        hold = step.open_hold()
        left = hold.takes.get(lot, 0) - amount
        if left < 0:
            raise NotApplicable("more than the hold took")
        if left:
            hold.takes[lot] = left
        else:
            del hold.takes[lot]
        self._change_budgets(step, hold.budgets, used=0, held=-amount)

    def _count_captured(self, step: JournalStep, amount: int, *, paid_by_user: bool) -> None:
        hold = step.open_hold()
        paid = amount if paid_by_user else 0
        hold.captured += paid
        hold.accrued = max(0, hold.accrued - amount)
        self._change_budgets(step, hold.budgets, used=paid, held=0)

    def _change_budgets(self, step: JournalStep, names: Iterable[str], *, used: int, held: int) -> None:
        for name in names:
            budget = self.budgets[name]
            budget.used += used
            budget.held += held
            step.budgets.append(budget)

    def _count_absorbed(self, step: JournalStep, amount: int) -> None:
        """Add to the absorbed sums of the user and of the principal, if the entry names a window."""
        fact = step.body["hold"]
        if "window" not in fact:
            return
        sums = self.absorbed
        for name in dict.fromkeys((str(self.uid), str(fact["principal"]))):
            sums[name] = sums.get(name, AbsorbedAmounts(principal=name)).plus(amount, fact["window"])
        if len(sums) > ABSORBED_KEYS_MAX:
            least = min((each for each in sums.values() if each.principal != self.uid), key=lambda each: each.most)
            del sums[least.principal]

    def _end_hold(self, hold: RunningHold, body: Mapping[str, Any]) -> None:
        if hold.takes:
            raise NotApplicable("an ended hold holds nothing")
        del self.holds[hold.opened["id"]]
        self.past.keep_hold(self.seq + 1, hold, body)
        if any(self.budgets[name].expires_at is not None for name in hold.budgets):
            self.next_end = 0

    def _forget_ended_budgets(self, at: int) -> None:
        """Forget the budgets whose end has come, unless an open hold names them."""
        named = self._named_budgets()
        ended = [each.id for each in self.budgets.values() if each.expires_at is not None and each.expires_at <= at]
        for name in ended:
            if name not in named:
                del self.budgets[name]
        ends = (each.expires_at for each in self.budgets.values() if each.expires_at is not None)
        self.next_end = min((end for end in ends if end > at), default=NEVER)

    def _forget_unused_budgets(self, claimed: Iterable[str]) -> None:
        named = self._named_budgets().union(claimed)
        unused = [each.id for each in self.budgets.values() if each.used == 0 and each.held == 0]
        for name in unused:
            if name not in named:
                del self.budgets[name]

    def _named_budgets(self) -> set[str]:
        return {name for hold in self.holds.values() for name in hold.budgets}

    # ── lots ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _lot(self, step: JournalStep, name: LotId | None) -> RunningLot:
        """Return a lot that the entry names, and take the lot out of the totals until the entry is done.

        Raises NotApplicable if there is no such lot, in the state or among the lots that left the state.
        """
        if name in step.lots:
            return step.lots[name]
        if name is None:
            raise NotApplicable("the lot is not there")
        lot = self.lots.get(name)
        if lot is None:
            left = self.past.lot(name)
            if left is None:
                raise NotApplicable("the lot is not there")
            lot = running_lot(left)
            if lot.available:
                self.rest_count -= 1
                self.rest_available -= lot.available
        self.available -= lot.available
        self.held -= lot.held
        step.lots[name] = lot
        return lot

    def _forfeit_rest(self, amount: int) -> None:
        if amount != self.rest_available:
            raise NotApplicable("the rest is forfeited as a whole")
        self.available -= amount
        self.rest_count = self.rest_available = 0

    def _settle_lots(self, step: JournalStep) -> None:
        """Put the lots that the entry named back into the state. Lots that are empty or join the rest leave the state.

        Raises NotApplicable if a lot that joins the rest is not there, or has held or no available credits, and
        AssertionError if a part of a lot in the state is below zero.
        """
        body = step.body
        rest = body.get("rest", NO_FACTS)
        moved = rest.get("lots", ())
        for name in moved:
            if name not in self.lots and name not in step.lots:
                raise NotApplicable("the lot cannot leave the state")
            self._lot(step, name)
        for name, lot in step.lots.items():
            available = lot.available
            self.available += available
            self.held += lot.held
            if name in moved:
                self.lots.pop(name, None)
                self._move_to_rest(lot)
            elif available == 0 and lot.held == 0:
                self.lots.pop(name, None)
                self.past.keep_lot(lot)
            else:
                assert available >= 0, "nothing spends what it does not have"
                assert lot.has_no_part_below_zero, "parts of a lot are amounts"
                self.lots[name] = lot
        self.rest_due_at = rest.get("due_at", self.rest_due_at) if self.rest_count else 0

    def _move_to_rest(self, lot: RunningLot) -> None:
        value = lot_value(lot)
        if not value.may_rest:
            raise NotApplicable("the lot cannot leave the state")
        self.rest_count += 1
        self.rest_available += value.available
        self.past.keep_lot(lot)

    def _check(self, step: JournalStep) -> None:
        """Raise AssertionError if a part that the entry changed breaks a law; see `account.check`."""
        assert self.debt >= 0, "debt is an amount owed"
        assert len(self.holds) <= HOLDS_MAX + SUSPENSIONS_MAX, "open holds are limited"
        assert 0 <= self.rest_count <= self.rest_available, "each lot of the rest has credits"
        step.check()
