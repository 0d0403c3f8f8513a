"""Series: usage as a chart needs it: every bucket from the first to the last, those where nothing happened too."""

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
    """Days `first` to `last` (UTC), both included."""

    first: date
    last: date


def period(first: date | None, last: date | None, today: date) -> Period:
    """What was asked for; up to today, and DAYS_DEFAULT days, where it does not say. Raises InvalidValue."""
    last = last or today
    first = first or last - timedelta(days=min(DAYS_DEFAULT - 1, (last - date.min).days))
    if first > last:
        raise InvalidValue("from", "must not be after `to`")
    if (last - first).days >= DAYS_MAX:
        raise InvalidValue("from", f"must be at most {DAYS_MAX} days, `to` included, before it")
    return Period(first=first, last=last)


def series(days: Mapping[str, Day], asked: Period, bucket: Bucket) -> list[tuple[str, Day]]:
    """Each bucket by the day it begins on (a month by its first, even if that was not asked for), oldest first."""
    buckets: dict[str, list[Day]] = {}
    for number in range((asked.last - asked.first).days + 1):
        each = asked.first + timedelta(days=number)
        begins = each if bucket == "day" else each.replace(day=1)
        known = days.get(each.isoformat())
        buckets.setdefault(begins.isoformat(), []).extend([known] if known else [])
    return [(begins, summed(found)) for begins, found in buckets.items()]


def grouped(uses: Mapping[Use, Amounts], *names: str) -> dict[tuple[str, ...], Amounts]:
    """The table added up by some of `kind`, `model` and `key`: the costliest first."""
    totals: dict[tuple[str, ...], Amounts] = {}
    for use, amounts in uses.items():
        group = tuple(str(getattr(use, name)) for name in names)
        totals[group] = totals.get(group, Amounts()) + amounts
    return dict(sorted(totals.items(), key=lambda item: (-item[1].cost, item[0])))
