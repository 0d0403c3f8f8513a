"""Comparison of our money with a provider's listing, payment by payment. Pure.

The two sides have two clocks: the provider's line is of the time when the money moved, our entry of the time when we
credited it. So a payment around midnight lies on different days. Sums of days therefore prove little. Each payment has
a tally of both sides instead, which is carried from day to day until both sides agree.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import orjson

from shared.kernel.clock import HOUR, Millis
from shared.kernel.ids import is_safe_id
from shared.payments.listed_money import ListedMoney
from shared.payments.payment import Payment, share

Side: TypeAlias = Literal["theirs", "ours"]
Finding: TypeAlias = Literal[
    "missing_here", "missing_there", "outgoing_missing_here", "outgoing_missing_there", "amount_differs",
    "currency_differs", "unknown_payment",
]  # fmt: skip
ItemState: TypeAlias = Literal["in_transit", "pending", "disputed", "differs", "settled"]

EDGE: Millis = 3 * HOUR
"""Time before the end of a day in which one side may move money that the other side has on the next day."""
ITEM_NAME_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyRow:
    """Money of one payment on one side. `micro` are the credits (µcr), below 0 for money that went out.

    `minor` is the money in `currency`, 0 and "" on our side. `id` is the name of the line or entry. A line in another
    currency than the payment's has 0 credits.
    """

    payment: str
    id: str
    side: Side
    micro: int
    at: Millis
    minor: int = 0
    currency: str = ""
    is_pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTally:
    """Sums of one payment on both sides in µcr, money that came in and went out apart. `rows` counts both sides.

    `pending` is money that the provider lists and has not moved. `unvalued` counts the lines of the last compared day
    that say that the sides differ, and not by how much. `last` (ms) is the time of the newest row. `first_day`
    is the day on which the sides differed first.
    """

    payment: str
    first_day: str
    ours_in: int = 0
    ours_out: int = 0
    theirs_in: int = 0
    theirs_out: int = 0
    pending: int = 0
    unvalued: int = 0
    minor: int = 0
    currency: str = ""
    is_foreign: bool = False
    rows: int = 0
    last: Millis = 0
    names: tuple[str, ...] = ()
    """Names of the first lines and entries."""

    def with_row(self, row: MoneyRow) -> "PaymentTally":
        """Return the tally with one more row."""
        name = "pending" if row.is_pending else f"{row.side}_{'out' if row.micro < 0 else 'in'}"
        is_empty = row.side == "theirs" and row.micro == 0 and not row.is_pending
        is_foreign = is_empty and row.minor != 0
        changes: Any = {name: getattr(self, name) + row.micro}
        return replace(
            self,
            minor=self.minor + row.minor,
            currency=row.currency or self.currency,
            is_foreign=self.is_foreign or is_foreign,
            unvalued=self.unvalued + (is_empty and not is_foreign),
            rows=self.rows + 1,
            last=max(self.last, row.at),
            names=(*self.names, row.id)[:NAMES_MAX],
            **changes,
        )

    @property
    def is_balanced(self) -> bool:
        """Return True if both sides agree."""
        return self.is_equal and not self.unvalued

    @property
    def is_equal(self) -> bool:
        """Return True if both sides have the same money.

        Shares of a price are rounded down, so each row may be one µcr off if both sides have money of the same ways.
        """
        ours, theirs = self.ours_in + self.ours_out, self.theirs_in + self.theirs_out
        ours_ways = (bool(self.ours_in), bool(self.ours_out))
        theirs_ways = (bool(self.theirs_in or self.pending), bool(self.theirs_out))
        off = self.rows if ours_ways == theirs_ways else 0
        is_equal = abs(ours - theirs) <= off
        is_late_equal = bool(self.pending) and abs(ours - theirs - self.pending) <= off and ours != 0
        return not self.is_foreign and (is_equal or is_late_equal)

    @property
    def finding(self) -> Finding:
        """Return the name of the difference."""
        if self.is_foreign:
            return "currency_differs"
        has_in, has_out = self.theirs_in or self.ours_in or self.unvalued, self.theirs_out or self.ours_out
        if has_in and not self.ours_in:
            return "missing_here"
        if has_in and not self.theirs_in:
            return "missing_there"
        if has_out and not self.ours_out:
            return "outgoing_missing_here"
        if has_out and not self.theirs_out:
            return "outgoing_missing_there"
        return "amount_differs"


NAMES_MAX = 6
"""Most names of lines and entries that a tally keeps. A payment has rarely more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """Payment on which the sides differ, with a state and the facts for a person. `uid` is "" if nobody is known.

    `day` is the last day that is in the tally, `base` the tally before that day, None without one. So a comparison that
    is made twice counts once. `alerted_day` is the day whose alert names the item, "" before.
    """

    tally: PaymentTally
    finding: Finding
    state: ItemState
    uid: str = ""
    problem: str = ""
    day: str = ""
    base: PaymentTally | None = None
    alerted_day: str = ""

    def tally_before(self, day: str) -> PaymentTally | None:
        """Return the tally without the rows of `day`; None if the item began on that day."""
        return self.base if self.day == day else self.tally

    def is_news(self, day: str) -> bool:
        """Return True if the alert of `day` has to name the item."""
        return self.state == "differs" and self.alerted_day in {"", day}


def theirs(line: ListedMoney, payment: Payment) -> MoneyRow:
    """Return the row of a provider's line for one of our payments: credits by what the payment agreed."""
    price = payment.terms.price
    is_same = line.amount.currency == price.currency and price.minor > 0
    credits_ = int(share(payment.terms.credits, line.amount.minor, price.minor)) if is_same else 0
    if is_same and line.amount.minor > price.minor:
        credits_ = payment.terms.credits * line.amount.minor // price.minor
    sign = -1 if line.is_out else 1
    return MoneyRow(
        payment=payment.id,
        id=line.id,
        side="theirs",
        micro=sign * credits_,
        at=line.at,
        minor=0 if line.is_pending else sign * line.amount.minor,
        currency=line.amount.currency,
        is_pending=line.is_pending,
    )


def judged(tally: PaymentTally, payment: Payment | None, day: str, end: Millis, before: OpenItem | None) -> OpenItem:
    """Return the item of a tally at the end (ms) of `day`. `before` is the stored item, None without one.

    An item of this day is in transit if its newest row lies near the end. Money of an open dispute has left the
    provider's side alone. All others differ.
    """
    finding = tally.finding if payment is not None else "unknown_payment"
    if tally.unvalued and tally.is_equal and payment is not None and payment.applied.is_granted:
        finding = "missing_there"
    is_near = tally.first_day == day and tally.last >= end - EDGE and finding != "amount_differs"
    is_disputed = payment is not None and bool(payment.seen.is_disputed) and tally.theirs_out < tally.ours_out
    state: ItemState = "differs"
    if is_disputed:
        state = "disputed"
    elif tally.pending and not (tally.ours_in or tally.theirs_in):
        state = "pending"
    elif is_near:
        state = "in_transit"
    if tally.is_balanced:
        state = "settled"
    alerted_day = "" if before is None else before.alerted_day
    return OpenItem(
        tally=tally,
        finding=finding,
        state=state,
        day=day,
        base=None if before is None else before.tally_before(day),
        alerted_day=alerted_day or (day if state == "differs" else ""),
        uid="" if payment is None else payment.uid,
        problem="" if payment is None else payment.problem,
    )


def partition_of(payment: str, partitions: int) -> int:
    """Return the partition of a payment, from 0 up to `partitions` - 1."""
    return zlib.crc32(payment.encode()) % partitions


def tallied(rows: Iterable[MoneyRow], known: Mapping[str, PaymentTally], day: str) -> dict[str, PaymentTally]:
    """Return the tallies of all payments in `rows` and `known`. A line that a provider lists twice counts once."""
    tallies, seen = {name: replace(each, unvalued=0) for name, each in known.items()}, set[tuple[str, str]]()
    for row in rows:
        if (row.side, row.id) in seen:
            continue
        seen.add((row.side, row.id))
        tally = tallies.get(row.payment) or PaymentTally(payment=row.payment, first_day=day)
        tallies[row.payment] = tally.with_row(row)
    return tallies


def rows_data(rows: Sequence[MoneyRow]) -> bytes:
    """Return rows as stored."""
    fields = (
        [row.payment, row.id, row.side, str(row.micro), row.at, str(row.minor), row.currency, row.is_pending]
        for row in rows
    )
    return orjson.dumps(list(fields))


def rows_in(data: bytes) -> list[MoneyRow]:
    """Return stored rows. Raises ValueError for any other bytes."""
    return [
        MoneyRow(
            payment=payment,
            id=name,
            side=side,
            micro=int(micro),
            at=at,
            minor=int(minor),
            currency=currency,
            is_pending=is_pending,
        )
        for payment, name, side, micro, at, minor, currency, is_pending in orjson.loads(data)
    ]


def is_item_name(payment: str) -> bool:
    """Return True if the name can be that of a document."""
    return len(payment) <= ITEM_NAME_MAX and is_safe_id(payment)
