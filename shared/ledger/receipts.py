"""Receipts: the answers to commands, made by `decide` and the same at every replay. Amounts are µcr."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from shared.kernel.clock import Millis
from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import Account, Status

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def lean_dataclass(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass without generated comparison and printing, which shortens a cold start."""
    decorate: Callable[[type[T]], type[T]] = dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
    return decorate(cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTotals:
    """Credits of an account (µcr), with the status, and the number `seq` of the last entry."""

    available: int
    held: int
    debt: int
    status: Status
    seq: int


def totals_of(account: Account) -> AccountTotals:
    """Return the totals of an account's state."""
    return AccountTotals(
        available=account.available,
        held=account.held,
        debt=account.debt,
        status=account.status,
        seq=account.seq,
    )


@lean_dataclass
class Receipt:
    """Answer to a command that says nothing but the account's totals, such as an annulment or a change of status."""

    after: AccountTotals
    """Totals of the account after the command."""

    def __eq__(self, other: object) -> bool:
        """Return True for a receipt of the same class with equal values."""
        return type(other) is type(self) and values_of(self) == values_of(other)

    def __hash__(self) -> int:
        """Return the hash of the values."""
        return hash(tuple(values_of(self).items()))

    def __repr__(self) -> str:
        """Return the class and the values, for logs and failed tests."""
        return f"{type(self).__name__}({values_of(self)})"


def values_of(receipt: Receipt) -> dict[str, object]:
    """Return the values of a receipt by the names of the fields."""
    return {name: getattr(receipt, name) for name in type(receipt).__dataclass_fields__}


@lean_dataclass
class GrantReceipt(Receipt):
    """Answer to a grant: the new lot, and the granted amount (µcr)."""

    lot: LotId
    amount: int


@lean_dataclass
class HoldReceipt(Receipt):
    """Answer to a placed hold: the amount set aside (µcr), and the time (ms) at which the hold ends by itself."""

    hold: HoldId
    amount: int
    expires_at: Millis
    affordable: int | None = None
    """Highest cost that is kept free for the call; None if the balance alone limits the call."""


@lean_dataclass
class ExtensionReceipt(Receipt):
    """Answer to an extension: the `added` part of the hold's whole `amount` (µcr), and the new end (ms)."""

    hold: HoldId
    added: int
    amount: int
    expires_at: Millis


@lean_dataclass
class AccrualReceipt(Receipt):
    """Answer to an accrual: the amount that the hold's expiry would charge (µcr), and the new end (ms)."""

    hold: HoldId
    accrued: int
    expires_at: Millis
    added: int = 0
    """Credits added to the hold from those kept free for the call's input."""


@lean_dataclass
class CaptureReceipt(Receipt):
    """Answer to a capture or release: the amount that the user paid, and the amount given back (µcr).

    `absorbed` is the part of the charge that the platform bore.
    """

    hold: HoldId
    captured: int
    released: int
    absorbed: int = 0
    """Part of the cost that the platform bears."""
    beyond_cap: int | None = None
    """Amount drawn from the balance beyond a cap; None if no cap was exceeded."""


@lean_dataclass
class AmountReceipt(Receipt):
    """Answer to a charge or an adjustment: the amount (µcr); below zero if an operator took credits away."""

    amount: int


@lean_dataclass
class ReversalReceipt(Receipt):
    """Answer to a reversal: the part taken back from the lot, and the part that the account now owes (µcr)."""

    lot: LotId
    reversed: int
    owed: int


@lean_dataclass
class RestorationReceipt(Receipt):
    """Answer to an undone reversal: the part returned to the lot, and the forgiven part of the debt (µcr)."""

    lot: LotId
    restored: int
    forgiven: int


@lean_dataclass
class SuspensionReceipt(Receipt):
    """Answer to a suspension: the hold with the suspended credits, and the amount set aside (µcr)."""

    hold: HoldId
    amount: int


@lean_dataclass
class ReinstatementReceipt(Receipt):
    """Answer to an ended suspension: the amount given back (µcr), 0 if there was no such suspension."""

    hold: HoldId
    released: int


@lean_dataclass
class RecoveryReceipt(Receipt):
    """Answer to a recovery: the amount taken for the debt of a closed account (µcr)."""

    recovered: int


@lean_dataclass
class ClosingReceipt(Receipt):
    """Answer to a closing: the debt that was written off (µcr)."""

    owed: int = 0
