"""Reader of the figures: any days, as of one size of the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from shared.kernel.documents import Document, Documents, PreconditionFailed
from shared.ledger.log.figure_documents import (
    FIRST_MONTH,
    day_figures_path,
    stored_day,
    stored_figure_head,
    with_months,
)
from shared.ledger.log.figure_sums import BalanceSums
from shared.ledger.log.figures import MONTH_CHARACTERS, DayFigures
from shared.ledger.log.head import HEAD_PATH, stored_head

ATTEMPTS_MAX = 5
DAYS_OF_LONGEST_MONTH = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePeriod:
    """Figures by day; a day without entries is missing. `is_whole`: they count all entries that the log has.

    `size` is the number of leaves of the log that the figures belong to.
    """

    days: Mapping[str, DayFigures]
    is_whole: bool
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancePeriod:
    """Balances of all accounts by day. `opening` are those before the first day; see `FigurePeriod`."""

    opening: BalanceSums
    figures: FigurePeriod


class FigureReader:
    """Reads the figures of days."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def days(self, first: date, last: date) -> FigurePeriod:
        """Return the figures from `first` to `last`, both included, by ISO date. Reads one document for each day.

        Raises FiguresBroken; LogBroken; PreconditionFailed if the log grows at each attempt; StoreUnavailable.
        """
        return self._read(_dates(first, last))

    def balances(self, first: date, last: date) -> BalancePeriod:
        """Return the balances before `first`, and the figures from `first` to `last`, both included.

        Reads one document for each day from the first of the month on, and one for each earlier month. Raises the
        errors of `days`.
        """
        wanted, before = _dates(first, last), _dates(first.replace(day=1), first)[:-1]
        found = self._read([*_months_before(first), *before, *wanted])
        days = {name: figures for name, figures in found.days.items() if name in wanted}
        earlier = (figures.balances for name, figures in found.days.items() if name not in wanted)
        return BalancePeriod(opening=sum(earlier, BalanceSums()), figures=replace(found, days=days))

    def _read(self, names: Sequence[str]) -> FigurePeriod:
        before = self._documents.get(HEAD_PATH)
        for _ in range(ATTEMPTS_MAX):
            found = self._documents.get_all([day_figures_path(name) for name in names])
            after = self._documents.get(HEAD_PATH)
            if _version(before) == _version(after):
                return _period(names, found, after)
            before = after
        raise PreconditionFailed("The log grows too fast for a consistent look; try again.")


def _dates(first: date, last: date) -> list[str]:
    return [(first + timedelta(number)).isoformat() for number in range((last - first).days + 1)]


def _months_before(day: date) -> list[str]:
    """Return the months from FIRST_MONTH on that end before the day."""
    months, each = list[str](), date.fromisoformat(f"{FIRST_MONTH}-01")
    while each < day.replace(day=1):
        months.append(each.isoformat()[:MONTH_CHARACTERS])
        each = (each + timedelta(DAYS_OF_LONGEST_MONTH)).replace(day=1)
    return months


def _version(head: Document | None) -> object:
    return None if head is None else head.version


def _period(names: Sequence[str], found: Sequence[Document | None], head: Document | None) -> FigurePeriod:
    """Add the figures beside the head to those of the days."""
    state = stored_figure_head(head)
    last_rounds = with_months(state.days)
    stored = {name: stored_day(name, each, state.generation) for name, each in zip(names, found, strict=True)}
    days = {name: each.figures + last_rounds.get(name, DayFigures()) for name, each in stored.items()}
    return FigurePeriod(
        days={name: figures for name, figures in days.items() if figures != DayFigures()},
        is_whole=state.is_whole,
        size=0 if head is None else stored_head(head.data).size,
    )
