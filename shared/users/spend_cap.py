"""Spend caps: the most that may be spent in a day, week, month or in total, and the present window in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.kernel.clock import Millis, from_datetime, to_datetime
from shared.kernel.money import Micro

Period = Literal["day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCap:
    """Limit of `amount` µcr in each `period`."""

    amount: Micro
    period: Period


@dataclass(frozen=True, slots=True)
class Window:
    """Day, week or month of a cap: its name, and the time (ms) at which the next begins. None: a total has no end."""

    name: str
    ends_at: Millis | None


def window(period: Period, now: Millis) -> Window:
    """Return the window of `now`: `2026-11-24`, `2026-W48` (ISO 8601, from Monday), `2026-11`, or `total`."""
    today = to_datetime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return Window(f"{today:%Y-%m-%d}", _later(today, 1))
        case "week":
            year, week, day = today.isocalendar()
            return Window(f"{year}-W{week:02d}", _later(today, 8 - day))
        case "month":
            first_of_next = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
            return Window(f"{today:%Y-%m}", from_datetime(first_of_next))
        case "total":
            return Window("total", None)


def _later(day: datetime, days: int) -> Millis:
    return from_datetime(day + timedelta(days=days))
