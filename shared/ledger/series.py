"""Series: usage for a chart, with every bucket from the first to the last, empty buckets included."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from shared.kernel.errors import InvalidValue
from shared.ledger.usage import Amounts, Day, Use, summed

Bucket = Literal["day", "month"]
BUCKETS: tuple[Bucket, ...] = ("day", "month")
DAYS_DEFAULT = 30
DAYS_MAX = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days from `first` to `last` (UTC), both included."""

    first: date
    last: date


def period(first: date | None, last: date | None, today: date) -> Period:
    """Return the requested period.

    Raises InvalidValue if the period ends before its first day or exceeds DAYS_MAX days.

    If `last` is None, the period ends today. If `first` is None, the period has DAYS_DEFAULT days.
    """
    last = last or today
    first = first or last - timedelta(days=min(DAYS_DEFAULT - 1, (last - date.min).days))
    if first > last:
        raise InvalidValue("from", "must not be after `to`")
    if (last - first).days >= DAYS_MAX:
        raise InvalidValue("from", f"must be at most {DAYS_MAX} days, `to` included, before it")
    return Period(first=first, last=last)


def series(days: Mapping[str, Day], asked: Period, bucket: Bucket) -> list[tuple[str, Day]]:
    """Return the usage of each day or month of the period `asked`, oldest first: the first date (ISO), and the sums.

    Without usage the sums are empty.
    """
    return [
        (begins, summed(days[day] for day in dates if day in days)) for begins, dates in buckets(asked, bucket).items()
    ]


def buckets(asked: Period, bucket: Bucket) -> Mapping[str, list[str]]:
    """Return the days of each day or month of the period, oldest first, by the first date; all dates are ISO.

    A month begins on its first day, even if that day is outside the period.
    """
    found: dict[str, list[str]] = {}
    for number in range((asked.last - asked.first).days + 1):
        each = asked.first + timedelta(days=number)
        begins = each if bucket == "day" else each.replace(day=1)
        found.setdefault(begins.isoformat(), []).append(each.isoformat())
    return found


def grouped(uses: Mapping[Use, Amounts], *names: str) -> dict[tuple[str, ...], Amounts]:
    """Return the amounts summed by the given `names`, some of `kind`, `model` and `key`; the costliest group first."""
    totals: dict[tuple[str, ...], Amounts] = {}
    for use, amounts in uses.items():
        group = tuple(str(getattr(use, name)) for name in names)
        totals[group] = totals.get(group, Amounts()) + amounts
    return dict(sorted(totals.items(), key=lambda item: (-item[1].cost, item[0])))
