"""An account's state: lots, open holds, budgets, debt; the fold of its journal and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId, Uid

T = TypeVar("T")

PRIORITY_PROMOTIONAL = 10
PRIORITY_PAID = 20
"""Priority of bought lots. Lots with a smaller priority are spent first: promotional credits before bought credits."""
NO_LIFETIME_END: Millis = 2**53
"""Time after all ends, for the order of lots that never expire."""

Status = Literal["open", "frozen", "closed"]
HoldStatus = Literal["active", "captured", "released", "expired"]

HOLDS_MAX = 512
SUSPENSIONS_MAX = 64
"""Largest number of open suspensions. Disputes may set credits aside even if the user has `HOLDS_MAX` holds."""
SUSPENSION = "dispute"
"""Purpose of a hold without a principal. Nobody can capture, release or see such a hold as a reservation."""
BUDGETS_MAX = 256
"""Number of budgets beyond which unused budgets are forgotten. A new budget of the same name would be equal."""
BUDGETS_KEPT_MAX = 2_048
"""Largest number of budgets with use that an account remembers, so that no cap is refilled by forgetting."""
ABSORBED_KEYS_MAX = 64
"""Largest number of principals with a sum of their own.

Beyond this number the smallest sum is forgotten. The user's own sum is always kept and includes the forgotten amounts.
"""
TAKES_MAX = 4_096
"""Largest number of lots that the open holds together may name, so that the state stays far below a document's size.

A lot counts for each hold that names the lot.
"""
HELD_LOTS_MAX = 750
"""Largest number of lots of which holds may take credits, so that one commit can end all holds."""
PARTS_MAX = 1_000
"""Largest number of lots that pay for one command beside the command's hold, so that the command fits one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Credits of one origin, in µcr. Each granted credit is spent, expired, reversed, held or available.

    `owed` is the part of a reversal that the lot could not pay any more; the account's debt includes this part.
    `expires_at` is None for a lot that never expires.
    """

    id: LotId
    source: str
    priority: int
    granted_seq: int
    expires_at: Millis | None
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
    def is_empty(self) -> bool:
        """True if the lot has no available and no held credits."""
        return self.held == 0 and self.available == 0

    @property
    def order(self) -> tuple[int, Millis, int]:
        """Place in the order of consumption: by priority, then soonest expiry, then age."""
        expires_at = NO_LIFETIME_END if self.expires_at is None else self.expires_at
        return self.priority, expires_at, self.granted_seq

    @property
    def may_rest(self) -> bool:
        """True if the lot may leave the state with credits in it.

        Lots that expire must come first in the rest. So the rest takes an expiring lot only of the smallest priority.
        """
        is_ordered = self.priority == PRIORITY_PROMOTIONAL or (
            self.expires_at is None and self.priority > PRIORITY_PROMOTIONAL
        )
        return is_ordered and self.held == 0 and self.available > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Credits set aside. `takes` gives the amount from each lot; `accrued` is the amount used and not captured yet."""

    id: HoldId
    purpose: str
    principal: str
    is_reservation: bool
    placed_at: Millis
    expires_at: Millis
    takes: tuple[tuple[LotId, int], ...]
    budgets: tuple[str, ...] = ()
    model: str | None = None
    """Model that the hold's call asks; None if the hold is for no call of a model."""
    input_at_most: int | None = None
    """Highest cost of the call's input (µcr); None if the hold is for no call, or older than this field."""
    input_held: int | None = None
    """Part of the hold that was set aside for the input (µcr); None where `input_at_most` is None."""
    about: tuple[tuple[str, str], ...] | None = None
    """Purpose of the hold as names and texts, see `shared.ledger.about`; None if the hold is older than this field."""
    output_at_most: int | None = None
    """Highest cost of the call's output (µcr); None if the call can be ended when its hold is used up."""
    accrued: int = 0
    placed: int = 0
    captured: int = 0
    status: HoldStatus = "active"

    @property
    def amount(self) -> int:
        """Credits (µcr) set aside now."""
        return sum(amount for _, amount in self.takes)

    @property
    def exposure(self) -> int:
        """Highest cost of the call beyond the amount set aside for the call (µcr)."""
        return self.input_exposure + self.output_exposure

    @property
    def input_exposure(self) -> int:
        """Highest cost of the call's input beyond the amount set aside for the input (µcr)."""
        return max(0, (self.input_at_most or 0) - (self.input_held or 0))

    @property
    def output_exposure(self) -> int:
        """Highest cost of the call's output beyond the amount set aside (µcr). The hold may grow by this amount."""
        if self.output_at_most is None:
            return 0
        return max(0, self.output_at_most - max(0, self.amount - (self.input_held or 0)))

    @property
    def released(self) -> int:
        """Credits (µcr) given back when the hold was resolved; 0 for an open hold, or if captures exceeded the hold."""
        return 0 if self.status == "active" else max(0, self.placed - self.captured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Cap inside the account: at most `limit` may be `used` and `held` together.

    Forgotten after `expires_at`; None: no end.
    """

    id: str
    limit: int
    expires_at: Millis | None = None
    used: int = 0
    held: int = 0

    @property
    def room(self) -> int:
        """Credits (µcr) that may still be held or used under this cap."""
        return max(0, self.limit - self.used - self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsorbedAmounts:
    """Amounts that the platform bore for a user or an API key, in µcr: `amount` in the latest `window`, `most` in
    any.
    """

    principal: str
    window: int = 0
    amount: int = 0
    most: int = 0

    def plus(self, amount: int, window: int) -> "AbsorbedAmounts":
        """Return the amounts with `amount` (µcr) added. A new window starts at zero; `most` never falls."""
        total = amount + (self.amount if window == self.window else 0)
        return AbsorbedAmounts(principal=self.principal, window=window, amount=total, most=max(self.most, total))


LEFT_OUT = {"is_left_out": True}
"""Mark of a field that is left out of the stored state while its value is the default, so that old states stay equal.
"""
STATED = {"is_stated": True}
"""Mark of a field whose next value stands in an entry, as a fact with the field's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """State after entry `seq`, with the hash `head` and the time `at`. `tat` (µs) is the rate limit's state (GCRA)."""

    ledger: str
    uid: Uid
    seq: int = 0
    head: str
    at: Millis = 0
    status: Status = field(default="open", metadata=STATED)
    debt: int = 0
    tat: int = field(default=0, metadata=STATED)
    lots: Mapping[LotId, Lot] = field(default_factory=dict)
    holds: Mapping[HoldId, Hold] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    absorbed: Mapping[str, AbsorbedAmounts] = field(default_factory=dict, metadata=LEFT_OUT)
    """Absorbed sums by principal. The sum under the user's id covers all calls of the account."""
    rest_count: int = field(default=0, metadata=LEFT_OUT)
    """Number of lots with credits that stand outside the state, since other lots are spent before them."""
    rest_available: int = field(default=0, metadata=LEFT_OUT)
    """Credits (µcr) of the rest's lots together."""
    rest_due_at: Millis = field(default=0, metadata=LEFT_OUT)
    """Time (ms) at which the first lot of the rest expires; 0 if none of these lots expires."""

    @property
    def available(self) -> int:
        """Credits (µcr) that can be spent or set aside after the last entry."""
        return sum(lot.available for lot in self.lots.values()) + self.rest_available

    @property
    def held(self) -> int:
        """Credits (µcr) set aside by all open holds."""
        return sum(hold.amount for hold in self.holds.values())

    @property
    def due_at(self) -> Millis | None:
        """Time (ms) at which the next lot or hold ends; None if no lot or hold ends by time."""
        holds = [hold.expires_at for hold in self.holds.values()]
        lots = [lot.expires_at for lot in self.lots.values() if lot.expires_at is not None and lot.available > 0]
        rest = [self.rest_due_at] if self.rest_due_at else []
        return min(holds + lots + rest, default=None)


STATED_FIELDS = tuple(each.name for each in fields(Account) if "is_stated" in each.metadata)
LEFT_OUT_FIELDS = tuple(each.name for each in fields(Account) if "is_left_out" in each.metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Lots and holds that have left the state; some commands read them again.

    The holds are resolved. The lots are empty, or stand in the rest. `rest` names the first lots of the rest in the
    order of consumption, as far as they were read; None if they were not read. `is_whole`: the rest has no others.
    """

    lots: Mapping[LotId, Lot] = field(default_factory=dict)
    holds: Mapping[HoldId, Hold] = field(default_factory=dict)
    rest: tuple[LotId, ...] | None = None
    is_whole: bool = False


NOTHING = Archive()


def changed(value: T, **changes: Any) -> T:
    """Return a copy of `value` with `changes`, in half the time of `dataclasses.replace`.

    Every command copies three or four values.
    """
    fields = {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]  # slotted
    fields.update(changes)
    return type(value)(**fields)


def check(account: Account) -> None:
    """Raise AssertionError if the state breaks a law.

    Called before each write and after each read, in production too.
    """
    assert account.debt >= 0, "debt is an amount owed"
    assert len(account.holds) <= HOLDS_MAX + SUSPENSIONS_MAX, "open holds are limited"
    held_by_lot: dict[LotId, int] = {}
    for hold in account.holds.values():
        assert hold.status == "active", "a resolved hold leaves the state"
        assert min(hold.input_at_most or 0, hold.input_held or 0) >= 0, "bounds are amounts"
        for lot_id, amount in hold.takes:
            assert amount > 0, "a hold takes something from each lot it names"
            held_by_lot[lot_id] = held_by_lot.get(lot_id, 0) + amount
    for lot in account.lots.values():
        _check_lot(lot)
        assert lot.held == held_by_lot.pop(lot.id, 0), "a lot knows what the holds took"
    assert not held_by_lot, "a hold takes from lots that exist"
    assert 0 <= account.rest_count <= account.rest_available, "each lot of the rest has credits"
    assert bool(account.rest_count) == bool(account.rest_available), "credits of the rest stand in lots"
    assert account.rest_count or not account.rest_due_at, "an empty rest is never due"
    for budget in account.budgets.values():
        assert budget.used >= 0, "a budget is used, not filled"
        assert budget.held >= 0, "a budget holds what its holds hold"
    for absorbed in account.absorbed.values():
        assert 0 < absorbed.amount <= absorbed.most, "what was absorbed is an amount"


def _check_lot(lot: Lot) -> None:
    assert lot.available >= 0, "nothing spends what it does not have"
    assert min(lot.granted, lot.spent, lot.expired, lot.reversed, lot.owed, lot.held) >= 0, "parts are amounts"
    assert not lot.is_empty, "an empty lot leaves the state"
