"""Parts of a running account: lots, holds and budgets that entries change in place, and lots that left the state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, cast

from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import Budget, Hold, HoldStatus, Lot, changed
from shared.ledger.fold import NotApplicable


class PastParts(Protocol):
    """Lots and holds that have left the state of a running account."""

    def lot(self, lot: LotId) -> Lot | None:
        """Return the lot as it left the state last; None if no such lot left the state."""
        ...

    def keep_lot(self, lot: "RunningLot") -> None:
        """Remember a lot that leaves the state. Nobody changes the lot afterwards."""
        ...

    def keep_hold(self, seq: int, hold: "RunningHold", body: Mapping[str, Any]) -> None:
        """Remember a hold that leaves the state by entry `seq`, whose parsed body is `body`."""
        ...

    def is_new_hold(self, hold: HoldId) -> bool:
        """Remember the name of a placed hold, and return False if a hold of this name is known to have been placed."""
        ...


@dataclass(slots=True, eq=False, repr=False)
class RunningLot:
    """Fields of `Lot` that entries change in place."""

    id: LotId
    source: str
    priority: int
    granted_seq: int
    expires_at: int | None
    is_paid: bool
    granted: int
    spent: int = 0
    expired: int = 0
    reversed: int = 0
    owed: int = 0
    held: int = 0

    @property
    def available(self) -> int:
        """Credits (µcr) of the lot that can be spent or set aside."""
        return self.granted - self.spent - self.expired - self.reversed - self.held

    @property
    def has_no_part_below_zero(self) -> bool:
        """True if each part of the lot is an amount. The available part is not among these."""
        return (
            self.granted >= 0
            and self.spent >= 0
            and self.expired >= 0
            and self.reversed >= 0
            and self.owed >= 0
            and self.held >= 0
        )

    def give(self, amount: int, *, is_restored: bool) -> None:
        """Add a grant, or undo a reversal. Credits that were owed and have since been paid are granted again.

        Raises NotApplicable if more is given back than was taken back.
        """
        owed = min(amount, self.owed) if is_restored else 0
        if is_restored and amount - owed > self.reversed:
            raise NotApplicable("more than was taken back is given back")
        self.granted += owed if is_restored else amount
        self.owed -= owed
        self.reversed -= amount - owed if is_restored else 0

    def check_reversible(self, amount: int) -> None:
        """Raise NotApplicable if more would be taken back than was granted."""
        if self.reversed + self.owed + amount > self.granted:
            raise NotApplicable("more than was granted is taken back")


@dataclass(slots=True, eq=False, repr=False)
class RunningHold:
    """Open hold. The other fields mean the same as in `Hold`.

    `opened` has the fields of `Hold` that no entry changes, without those that are None.
    """

    opened: Mapping[str, Any]
    budgets: tuple[str, ...]
    expires_at: int
    takes: dict[LotId, int]
    input_held: int | None
    accrued: int = 0
    placed: int = 0
    captured: int = 0


@dataclass(slots=True, eq=False, repr=False)
class RunningBudget:
    """Fields of `Budget` that entries change in place."""

    id: str
    limit: int
    expires_at: int | None = None
    used: int = 0
    held: int = 0


@dataclass(slots=True, eq=False, repr=False)
class JournalStep:
    """One entry while the entry changes the account, with the lots and budgets that the entry has changed so far."""

    body: Mapping[str, Any]
    kind: str
    claims: tuple[str, ...]
    hold: RunningHold | None = None
    lots: dict[LotId, RunningLot] = field(default_factory=dict)
    budgets: list[RunningBudget] = field(default_factory=list)

    def open_hold(self) -> RunningHold:
        """Return the hold that the entry names. Raises NotApplicable if the entry names no open hold."""
        if self.hold is None:
            raise NotApplicable("the hold is not open")
        return self.hold

    def check(self) -> None:
        """Raise AssertionError if a budget or the hold that the entry changed breaks a law; see `account.check`."""
        for budget in self.budgets:
            assert budget.used >= 0, "a budget is used, not filled"
            assert budget.held >= 0, "a budget holds what its holds hold"
        if self.hold is not None:
            assert self.hold.opened.get("input_at_most", 0) >= 0, "bounds are amounts"
            assert (self.hold.input_held or 0) >= 0, "bounds are amounts"


_LOT = tuple(each.name for each in fields(Lot))
_BUDGET = tuple(each.name for each in fields(Budget))
_CHANGING = ("expires_at", "input_held", "accrued", "placed", "captured")
"""Fields of a hold that entries change, beside `takes`."""
_OPENED_BY_FACTS = ("model", "input_at_most", "output_at_most")
"""Fields of a hold that the opening entry may set."""
_OPENED = tuple(each.name for each in fields(Hold) if each.name not in {*_CHANGING, "takes", "budgets", "status"})
"""Fields of a hold that only the opening entry sets. The status of an open hold is the default."""


def running_lot(lot: Lot) -> RunningLot:
    """Return the running form of a lot."""
    return RunningLot(**_values(lot, _LOT))


def lot_value(lot: RunningLot) -> Lot:
    """Return a lot as a value."""
    return Lot(**_values(lot, _LOT))


def running_hold(hold: Hold) -> RunningHold:
    """Return the running form of an open hold."""
    opened = {name: value for name, value in _values(hold, _OPENED).items() if value is not None}
    return RunningHold(opened=opened, budgets=hold.budgets, takes=dict(hold.takes), **_values(hold, _CHANGING))


def hold_value(hold: RunningHold) -> Hold:
    """Return an open hold as a value."""
    takes = tuple(hold.takes.items())
    return Hold(**hold.opened, budgets=hold.budgets, takes=takes, **_values(hold, _CHANGING))


def ended_value(hold: RunningHold, end: str) -> Hold:
    """Return a hold that ended as a value, as the ledger archives it."""
    return changed(hold_value(hold), status=cast("HoldStatus", end), accrued=0)


def running_budget(budget: Budget) -> RunningBudget:
    """Return the running form of a budget."""
    return RunningBudget(**_values(budget, _BUDGET))


def budget_value(budget: RunningBudget) -> Budget:
    """Return a budget as a value."""
    return Budget(**_values(budget, _BUDGET))


def opened_hold(body: Mapping[str, Any], budgets: tuple[str, ...]) -> RunningHold:
    """Return the hold that an entry opens, without the amount, which the postings take."""
    fact = body["hold"]
    opened = {
        "id": fact["id"],
        "purpose": fact["purpose"],
        "principal": fact["principal"],
        "is_reservation": fact["reservation"],
        "placed_at": body["at"],
    }
    for name in _OPENED_BY_FACTS:
        if name in fact:
            opened[name] = fact[name]
    if body.get("about"):
        opened["about"] = tuple(sorted(body["about"].items()))
    return RunningHold(opened, budgets, fact["expires_at"], {}, fact.get("input_held"))


def _values(value: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}
