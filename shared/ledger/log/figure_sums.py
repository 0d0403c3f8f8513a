"""Sums of the figures: whole numbers that add up field by field."""

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Base of sums whose fields are whole numbers."""

    def __add__(self, other: Self) -> Self:
        """Return the sums of both."""
        return type(self)(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def to_list(self) -> list[int]:
        """Return the numbers in the order of the fields."""
        return [getattr(self, each.name) for each in fields(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseSums(Sums):
    """Number of uses, their price in µcr as charged to users and as absorbed by the platform, and reported tokens."""

    count: int = 0
    charged: int = 0
    absorbed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSums(Sums):
    """Accounts of one month of first purchase: purchases, and bought and charged credits in µcr.

    `active_in_month` counts an account on the day of its first entry of a month, and on the day of its first purchase.
    """

    active_in_month: int = 0
    purchases: int = 0
    bought: int = 0
    charged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSums(Sums):
    """Numbers of accounts, each counted on the day of an event.

    `active`: an entry. `active_in_month`: the first entry of the month. `new`: the first entry. `bonuses`: the welcome
    bonus. `buyers`: the first purchase. `buyers_with_bonus`: the first purchase after the welcome bonus. `spenders`:
    the first charge.
    """

    active: int = 0
    active_in_month: int = 0
    new: int = 0
    bonuses: int = 0
    buyers: int = 0
    buyers_with_bonus: int = 0
    spenders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaySums(Sums):
    """Accounts of one month of sign-up, each counted on the day of an event; see `AccountSums`."""

    bonuses: int = 0
    buyers: int = 0
    spenders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyDaySums(Sums):
    """Number of paid payments, and money in minor units: paid and credited, returned or lost, and come back.

    Money comes back if a dispute is won, or if the provider refuses a refund whose credits were taken back.
    """

    payments: int = 0
    came_in: int = 0
    went_out: int = 0
    came_back: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSums(Sums):
    """Growth of the credits in accounts (available + held) and of their debt, in µcr.

    `paid` are credits of lots that were bought, `promotional` all other credits.
    """

    paid: int = 0
    promotional: int = 0
    debt: int = 0

    @property
    def liability(self) -> int:
        """Growth of all credits in accounts."""
        return self.paid + self.promotional
