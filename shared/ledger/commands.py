"""Commands on an account. Every command carries the operation that it belongs to; amounts are µcr."""

from typing import Generic, Literal, TypeAlias, TypeVar

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId, OperationId
from shared.kernel.money import Micro
from shared.ledger.account import PRIORITY_PROMOTIONAL
from shared.ledger.receipts import (
    AccrualReceipt,
    AmountReceipt,
    CaptureReceipt,
    ClosingReceipt,
    ExtensionReceipt,
    GrantReceipt,
    HoldReceipt,
    Receipt,
    RecoveryReceipt,
    ReinstatementReceipt,
    RestorationReceipt,
    ReversalReceipt,
    SuspensionReceipt,
    lean_dataclass,
)

R_co = TypeVar("R_co", bound=Receipt, covariant=True)

NOT_REMEMBERED = OperationId("")
"""Operation of a command that leaves no record, so that each repetition is decided again."""

RecordLifetime: TypeAlias = Literal["kept", "passing", "none"]
"""Lifetime of an operation's record.

`kept`: for ever, for an operation that a client or a saga may repeat at any time. `passing`: for `PASSING_FOR`, for an
operation whose id no other process can derive. `none`: no record. Then only the process that sent the command can learn
whether an unclear commit took effect: the process compares the entry that the commit would have written.
"""

Tags: TypeAlias = tuple[tuple[str, str], ...]
"""Names and ids of a use for analytics. No name or id identifies a person.

Examples are `("model", "gpt-4o")` and `("key", "key_1f…")`.
"""


@lean_dataclass
class BudgetClaim:
    """Cap of `limit` (µcr) that a hold or charge counts against. The first use creates the budget.

    The latest claim sets the budget's limit. `expires_at` is the time (ms) after which the budget is forgotten; None:
    never.
    """

    id: str
    limit: Micro
    expires_at: Millis | None = None


@lean_dataclass
class CallBound:
    """Bounds of a model call's cost beyond its hold's `amount`; µcr at the price snapshot.

    `input_held` is the input's part of the amount. `input_at_most` is the highest cost of the input. `at_most` is the
    highest cost of the whole call, output included. `output_at_most` is the highest cost of the output. None: ending
    the call also ends the provider's billing, so the output never costs more than is held.
    """

    input_held: Micro
    input_at_most: Micro
    at_most: Micro
    output_at_most: Micro | None = None


@lean_dataclass
class RateLimit:
    """Limit on spending calls: at most `burst` at once, and `per_minute` in the long run (GCRA)."""

    per_minute: int
    burst: int


@lean_dataclass
class AccountCommand(Generic[R_co]):
    """Base of all commands, by the class of their receipts. Amounts of all commands are in µcr, times in ms.

    An operation takes effect once. The same operation with another `fingerprint`, or for a command of another kind, is
    a conflict.
    """

    operation: OperationId
    fingerprint: str = ""
    """Hash of the caller's request. Empty for an operation whose name belongs to one command alone."""
    about: Tags = ()
    """Tags that the entries carry about their purpose, see `shared.ledger.about`.

    Entries of a hold carry the hold's tags.
    """
    record: RecordLifetime = "kept"
    """Lifetime of the operation's record, which answers repetitions."""


@lean_dataclass
class Grant(AccountCommand[GrantReceipt]):
    """Add `amount` (µcr) as a new lot, which pays debt first. `source` is the source of the posting: `promo:welcome`.

    `expires_at` (ms) is None for a lot that never expires. With `suspension`, the rest of the lot cannot be spent until
    that suspension ends.
    """

    amount: Micro
    lot: LotId
    source: str
    priority: int = PRIORITY_PROMOTIONAL
    expires_at: Millis | None = None
    is_paid: bool = False
    suspension: HoldId | None = None
    note: str = ""


@lean_dataclass
class PlaceHold(AccountCommand[HoldReceipt]):
    """Set `amount` (µcr) aside for `lifetime` (ms), or refuse. `purpose` names the revenue that a capture goes to.

    With `call`, the hold is for a call of a model. If the call's bound does not fit the free credits, more than
    `amount` is set aside; see `shared.ledger.exposure`. If `rate` is None, no rate limit applies.
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


@lean_dataclass
class ExtendHold(AccountCommand[ExtensionReceipt]):
    """Set up to `amount` (µcr) more aside, or refuse if fewer than `at_least` can be.

    Records in `accrued` (µcr) the use so far, and renews the hold for `lifetime` (ms).
    """

    hold: HoldId
    amount: Micro
    at_least: Micro
    accrued: Micro
    lifetime: Millis


@lean_dataclass
class Accrue(AccountCommand[AccrualReceipt]):
    """Record that up to `accrued` (µcr) of a hold may be used, so that an ending without a charge charges this amount.

    If `accrued` exceeds the held amount, only the credits kept free for the call's input are added. A frozen account
    allows this. The hold is renewed for `lifetime` (ms).
    """

    hold: HoldId
    accrued: Micro
    lifetime: Millis


@lean_dataclass
class Capture(AccountCommand[CaptureReceipt]):
    """Charge a hold `amount` (µcr) for its use. If `is_final`, give back the rest.

    With `principal`, only a hold of that principal is charged. `usage` gives the counts of the use, where there are
    counts: `("input_tokens", 12)`.
    """

    hold: HoldId
    amount: Micro
    is_final: bool = True
    principal: str | None = None
    usage: tuple[tuple[str, int], ...] = ()


@lean_dataclass
class Release(AccountCommand[CaptureReceipt]):
    """End a hold without a charge of its own: charge the accrued amount and give back the rest.

    With `principal`, only a hold of that principal. If `is_unused`, the caller knows that nothing is owed, and all
    credits are given back. Otherwise the hold of a model's call ends as if the hold had expired, since the call has
    lost its holder.
    """

    hold: HoldId
    principal: str | None = None
    is_unused: bool = False


@lean_dataclass
class Charge(AccountCommand[AmountReceipt]):
    """Spend `amount` (µcr) at once, or refuse. If `rate` is None, no rate limit applies.

    With `is_admitted`, the rate limit was checked before the work that is charged now. So the charge counts against the
    limit and is not refused for the limit.
    """

    amount: Micro
    purpose: str
    budgets: tuple[BudgetClaim, ...] = ()
    rate: RateLimit | None = None
    tags: Tags = ()
    usage: tuple[tuple[str, int], ...] = ()
    is_admitted: bool = False


@lean_dataclass
class Reverse(AccountCommand[ReversalReceipt]):
    """Take back `target` (µcr) of this lot in all: the rest of the lot at once, the missing part as debt."""

    lot: LotId
    target: Micro
    note: str = ""


@lean_dataclass
class Restore(AccountCommand[RestorationReceipt]):
    """Reduce the part of this lot that is taken back to `target` (µcr) in all: forgive the owed part, return the rest.

    While `suspension` is open, the returned credits go into the suspension.
    """

    lot: LotId
    target: Micro
    suspension: HoldId | None = None


@lean_dataclass
class Suspend(AccountCommand[SuspensionReceipt]):
    """Set the rest of these lots aside as `hold`, for nobody to spend, including the credits that other holds took.

    `limits` gives the largest amount for each lot, in µcr and in the order of `lots`. None: the whole rest.
    """

    lots: tuple[LotId, ...]
    hold: HoldId
    limits: tuple[Micro, ...] | None = None


@lean_dataclass
class Reinstate(AccountCommand[ReinstatementReceipt]):
    """End a suspension, so that its remaining credits can be spent again. No effect if there is no such suspension."""

    hold: HoldId


@lean_dataclass
class Annul(AccountCommand[Receipt]):
    """Mark the operation as done without any effect. A later command of the same operation is refused.

    If the operation was done before, nothing changes.
    """


@lean_dataclass
class Adjust(AccountCommand[AmountReceipt]):
    """Correct an account as an operator: add `amount` (µcr) as a lot, or take credits if `amount` is below zero.

    The user reads the note.
    """

    amount: int
    note: str = ""


@lean_dataclass
class Recover(AccountCommand[RecoveryReceipt]):
    """Pay up to `amount` (µcr) of the user's debt under a closed account, with the rest of these lots."""

    amount: Micro
    lots: tuple[LotId, ...]


@lean_dataclass
class Freeze(AccountCommand[Receipt]):
    """Stop spending. Holds may still be captured or released."""

    note: str = ""


@lean_dataclass
class Unfreeze(AccountCommand[Receipt]):
    """Allow spending again."""

    note: str = ""


@lean_dataclass
class Close(AccountCommand[ClosingReceipt]):
    """Close the account of a user who leaves: end holds as if expired, forfeit the rest, write off the debt."""


@lean_dataclass
class Expire(AccountCommand[Receipt]):
    """Let due lots and holds expire, and do nothing else.

    The operation is not remembered, so the command may be repeated.
    """

    operation: OperationId = NOT_REMEMBERED


Command: TypeAlias = AccountCommand[Receipt]
"""Any command."""
