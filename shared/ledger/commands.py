"""What can be asked of an account. Every command carries the operation it belongs to; amounts are µcr."""

from dataclasses import dataclass
from typing import TypeAlias, TypeVar, dataclass_transform

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId, OperationId
from shared.kernel.money import Micro

PRIORITY_PROMOTIONAL = 10
PRIORITY_PAID = 20
"""Lots with the smaller priority are spent first: what expires or was a gift goes before what was paid for."""

T = TypeVar("T")

Tags: TypeAlias = tuple[tuple[str, str], ...]
"""What a use is of, by names and ids that are nobody's: `("model", "gpt-4o")`, `("key", "key_1f…")`; for analytics."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
def asked(cls: type[T]) -> type[T]:
    """A frozen dataclass that is handed over, not compared or printed: what is not generated is a cold start's gain."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(cls)


@asked
class BudgetClaim:
    """A cap that a hold or charge counts against: created on first use, its limit follows the latest claim."""

    id: str
    limit: Micro
    expires_at: Millis | None = None


@asked
class CallBound:
    """What a call of a model may cost beyond its hold's `amount`; µcr at the price snapshot.

    `input_held` is the input's part of the amount, `input_at_most` all that the input can cost; `at_most` is the whole
    call's ceiling, output included. `output_at_most` is what the output can cost, and None where ending the call ends
    what its provider bills: such output never costs more than is held.
    """

    input_held: Micro
    input_at_most: Micro
    at_most: Micro
    output_at_most: Micro | None = None


@asked
class RateLimit:
    """At most `burst` spending calls at once, and `per_minute` of them in the long run (GCRA)."""

    per_minute: int
    burst: int


@asked
class Asked:
    """One intention: the same `operation` has one effect, and with another `fingerprint` it is a conflict."""

    operation: OperationId
    fingerprint: str
    about: Tags = ()
    """What the entries tell of their purpose; see `shared.ledger.about`. Entries of a hold tell the hold's."""


@asked
class Grant(Asked):
    """Credits enter as a lot of their own; debt is paid from it first. `source` is a posting's: `promo:welcome`.

    With `suspension` what is left of it can only be spent once that ends.
    """

    amount: Micro
    lot: LotId
    source: str
    priority: int = PRIORITY_PROMOTIONAL
    expires_at: Millis | None = None
    is_paid: bool = False
    suspension: HoldId | None = None
    note: str = ""


@asked
class PlaceHold(Asked):
    """Set credits aside for `lifetime`, or refuse. `purpose` names the revenue that a capture goes to.

    With `call` the hold is for a call of a model: more than `amount` is set aside where its bound does not fit what is
    free; see `shared.ledger.exposure`.
    """

    amount: Micro
    hold: HoldId
    purpose: str
    lifetime: Millis
    principal: str
    is_reservation: bool = False
    call: CallBound | None = None
    budgets: tuple[BudgetClaim, ...] = ()
    rate: RateLimit | None = None
    note: str = ""
    tags: Tags = ()


@asked
class ExtendHold(Asked):
    """Set up to `amount` more aside, at least `at_least` or refuse; record what has accrued; live on for `lifetime`."""

    hold: HoldId
    amount: Micro
    at_least: Micro
    accrued: Micro
    lifetime: Millis


@asked
class Accrue(Asked):
    """Write down that up to `accrued` of a hold may be used, so that an ending without a charge charges that much.

    Where that is more than is held, what was kept free for the call's input is set aside, and nothing else: a frozen
    account allows it. The hold lives on for `lifetime`.
    """

    hold: HoldId
    accrued: Micro
    lifetime: Millis


@asked
class Capture(Asked):
    """Charge a hold for what was used, and give back the rest if this is final. With `principal`, only its own.

    `usage` says what was used, where that is counted: `("input_tokens", 12)`.
    """

    hold: HoldId
    amount: Micro
    is_final: bool = True
    principal: str | None = None
    usage: tuple[tuple[str, int], ...] = ()


@asked
class Release(Asked):
    """End a hold without a charge of its own: what has accrued is charged, the rest given back.

    With `principal`, only that principal's hold. `is_unused`: the caller knows that nothing of the hold is owed, so
    that all of it is given back. Otherwise a model's call has lost its holder: its hold ends as if its time were up.
    """

    hold: HoldId
    principal: str | None = None
    is_unused: bool = False


@asked
class Charge(Asked):
    """Spend at once, or refuse."""

    amount: Micro
    purpose: str
    budgets: tuple[BudgetClaim, ...] = ()
    rate: RateLimit | None = None
    tags: Tags = ()
    usage: tuple[tuple[str, int], ...] = ()


@asked
class Reverse(Asked):
    """Of this lot, `target` in all is to be taken back: what is left of it at once, the rest as debt."""

    lot: LotId
    target: Micro
    note: str = ""


@asked
class Restore(Asked):
    """Of this lot, only `target` in all is to stay taken back: what was owed is forgiven, the rest comes back.

    While `suspension` is open it comes back into that.
    """

    lot: LotId
    target: Micro
    suspension: HoldId | None = None


@asked
class Suspend(Asked):
    """Set what is left of these lots aside as `hold`, for nobody to spend; also what other holds took of them.

    `limits` says how much of each lot at most, in µcr and in the order of `lots`. None: all that is left.
    """

    lots: tuple[LotId, ...]
    hold: HoldId
    limits: tuple[Micro, ...] | None = None


@asked
class Reinstate(Asked):
    """End a suspension: what is left in it can be spent again. None of that name is nothing to end."""

    hold: HoldId


@asked
class Annul(Asked):
    """Use the operation up: whoever comes later with its real command is refused, unless it was done before."""


@asked
class Adjust(Asked):
    """An operator's correction: a lot more, or, below zero, so much less. The user reads the note."""

    amount: int
    note: str = ""


@asked
class Recover(Asked):
    """Pay up to `amount` that the user owed under an account which is closed, with what is left of these lots."""

    amount: Micro
    lots: tuple[LotId, ...]


@asked
class Freeze(Asked):
    """Stop spending; what is held may still be captured or released."""

    note: str = ""


@asked
class Unfreeze(Asked):
    """Allow spending again."""

    note: str = ""


@asked
class Close(Asked):
    """The user leaves: holds end as if expired, what remains is forfeited, debt is written off."""


@asked
class Expire(Asked):
    """Nothing but what is due by now; remembered by nobody, as it can be asked at any time."""


Command: TypeAlias = (
    Grant
    | PlaceHold
    | ExtendHold
    | Accrue
    | Capture
    | Release
    | Charge
    | Reverse
    | Restore
    | Suspend
    | Reinstate
    | Annul
    | Adjust
    | Recover
    | Freeze
    | Unfreeze
    | Close
    | Expire
)
