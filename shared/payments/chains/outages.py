"""Outages of a network, and the deadlines of payments that stand still during an outage. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.kernel.clock import DAY, HOUR, MINUTE, Millis

OUTAGE_MIN: Millis = 2 * MINUTE
"""Length of the shortest outage that moves a deadline."""
OUTAGES_MAX = 50
"""Most outages that are remembered of a network, the newest."""
REMEMBERED: Millis = 7 * DAY
EXTENSION_MAX: Millis = 6 * HOUR
"""Most time by which outages move a deadline: a rate must not be locked without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Time from `begin` to `end` in which a network was unavailable; `end` is None while the outage lasts."""

    begin: Millis
    end: Millis | None


def extended(deadline: Millis, outages: Sequence[Outage], begin: Millis, now: Millis) -> Millis:
    """Return the deadline of a time that began at `begin` and stands still during outages, as known at `now`.

    Each outage between `begin` and the deadline moves the deadline by the outage's length, so that a later outage may
    fall before the moved deadline. All outages together move the deadline by at most `EXTENSION_MAX`.
    """
    moved = deadline
    for outage in sorted(outages, key=lambda each: each.begin):
        if outage.begin < moved:
            moved += max(0, _end(outage, now) - max(outage.begin, begin))
    return min(moved, deadline + EXTENSION_MAX)


def with_outage(outages: Sequence[Outage], begin: Millis, end: Millis | None) -> tuple[Outage, ...]:
    """Return the closed outages with one more after them, unless the new outage is over and too short to matter."""
    first = max([begin, *(each.end for each in outages if each.end is not None)])
    is_short = end is not None and end - first < OUTAGE_MIN
    more = () if is_short else (Outage(begin=first, end=end),)
    return (*outages, *more)[-OUTAGES_MAX:]


def remembered(outages: Iterable[Outage], now: Millis) -> tuple[Outage, ...]:
    """Return the outages that may still move the deadline of a payment."""
    return tuple(each for each in outages if _end(each, now) > now - REMEMBERED)


def _end(outage: Outage, otherwise: Millis) -> Millis:
    return otherwise if outage.end is None else outage.end
