"""Progress of the listing of a provider's events: the periods that are still to be listed. Pure.

Providers list newest first, a page at a time. A long time is listed in several periods, side by side, and each period
remembers its next page. So a listing that is too long for one run continues where the run ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

from shared.kernel.clock import DAY, MINUTE, Millis, from_datetime, to_datetime
from shared.kernel.documents import Data

LISTING_EVERY: Millis = 5 * MINUTE
OVERLAP: Millis = 15 * MINUTE
"""Overlap of two listings, since a provider may list an event a little after the event's time."""
REVIEW_EVERY: Millis = DAY
REVIEW_REACH: Millis = 8 * DAY
"""Age of the oldest events that a review or a first listing looks for."""
KEPT: Millis = 29 * DAY
"""Age of the oldest events that are asked for. Stripe and PayPal keep events for thirty days."""
PERIOD_MIN: Millis = 30 * MINUTE
PERIODS_MAX = 24
"""Most periods of one listing."""
REVIEW_PERIODS = 8
"""Periods of a review: few, so that a review of a quiet time is one round of pages."""
UNFINISHED_MAX = 2 * PERIODS_MAX
"""Number of unfinished periods from which on the next listing waits, so that their document stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPeriod:
    """Events from `first` until `until` (ms, inclusive) that are not all listed. `cursor` None: at the first page.

    `is_review`: the period was listed before, and is listed again for events that the provider listed late.
    """

    first: Millis
    until: Millis
    cursor: str | None = None
    is_review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingProgress:
    """Progress of one provider's listing. All events before `listed_to` are listed, except those of `periods`.

    `listed_to` and `reviewed_at` (ms) are 0 if that never happened. `periods` are in the order of their listing.
    """

    listed_to: Millis = 0
    reviewed_at: Millis = 0
    periods: tuple[ListedPeriod, ...] = ()

    @property
    def unfinished(self) -> tuple[ListedPeriod, ...]:
        """Return the periods that were never listed to their end. Reviews are none of them."""
        return tuple(each for each in self.periods if not each.is_review)


def planned(progress: ListingProgress, now: Millis) -> ListingProgress:
    """Return the progress with the periods that are due at `now`: the time since the last listing, and once a day a
    review. New events come first, reviews last.
    """
    fresh = _fresh(progress, now)
    kept = tuple(each for each in progress.periods if each.until > now - KEPT)
    is_reviewed = any(each.is_review for each in kept)
    is_review_due = now - progress.reviewed_at >= REVIEW_EVERY and not is_reviewed
    is_new = not progress.listed_to
    review = () if is_new or not is_review_due else _split(now - REVIEW_REACH, now - OVERLAP, REVIEW_PERIODS)
    return ListingProgress(
        listed_to=now if fresh else progress.listed_to,
        reviewed_at=now if is_review_due else progress.reviewed_at,
        periods=(*fresh, *kept, *(replace(each, is_review=True) for each in review)),
    )


def advanced(progress: ListingProgress, period: ListedPeriod, cursor: str | None) -> ListingProgress:
    """Return the progress after a page of the period. `cursor` is the next page; None: the period is listed."""
    onward = () if cursor is None else (replace(period, cursor=cursor),)
    return _replaced(progress, period, onward)


def put_off(progress: ListingProgress, period: ListedPeriod, *, is_restarted: bool = False) -> ListingProgress:
    """Return the progress with the period behind all others, since its page could not be listed.

    `is_restarted`: the provider does not take the period's cursor, so the period begins again at its first page.
    """
    later = replace(period, cursor=None) if is_restarted else period
    return replace(progress, periods=(*_replaced(progress, period, ()).periods, later))


def to_data(progress: ListingProgress) -> Data:
    """Return the stored form of the progress."""
    return {
        "listed_to": to_datetime(progress.listed_to),
        "reviewed_at": to_datetime(progress.reviewed_at),
        "periods": [
            {
                "first": to_datetime(each.first),
                "until": to_datetime(each.until),
                "cursor": each.cursor,
                "is_review": each.is_review,
            }
            for each in progress.periods
        ],
    }


def from_data(data: Data) -> ListingProgress:
    """Return the progress that a stored document describes."""
    stored = cast("Mapping[str, Any]", data)
    return ListingProgress(
        listed_to=from_datetime(stored["listed_to"]),
        reviewed_at=from_datetime(stored["reviewed_at"]),
        periods=tuple(
            ListedPeriod(
                first=from_datetime(each["first"]),
                until=from_datetime(each["until"]),
                cursor=each["cursor"],
                is_review=each["is_review"],
            )
            for each in stored["periods"]
        ),
    )


def _fresh(progress: ListingProgress, now: Millis) -> tuple[ListedPeriod, ...]:
    """Return the periods since the last listing. If too many periods are unfinished, the next listing waits."""
    if now - progress.listed_to < LISTING_EVERY or len(progress.unfinished) >= UNFINISHED_MAX:
        return ()
    since = progress.listed_to - OVERLAP if progress.listed_to else now - REVIEW_REACH
    return _split(max(since, now - KEPT), now)


def _split(first: Millis, until: Millis, most: int = PERIODS_MAX) -> tuple[ListedPeriod, ...]:
    """Return equal periods from `first` until `until`, the newest first."""
    count = max(1, min((until - first) // PERIOD_MIN, most))
    ends = [first + (until - first) * part // count for part in range(count + 1)]
    oldest_first = [ListedPeriod(first=start, until=end) for start, end in pairwise(ends)]
    return tuple(reversed(oldest_first))


def _replaced(progress: ListingProgress, period: ListedPeriod, by: tuple[ListedPeriod, ...]) -> ListingProgress:
    periods = [found for each in progress.periods for found in (by if each == period else (each,))]
    return replace(progress, periods=tuple(periods))
