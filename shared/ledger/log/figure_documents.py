"""Documents of the figures: `books/{day}/shards/0` for each day (UTC), and the last rounds beside the head of the log.

`books/{month}/shards/0` has the growth of all balances in a month, so that the balances of any day need few documents.

The figures of a round stand beside the head first, in the write that the head needs anyway, and move to the documents
of their days together with those of some more rounds. A rebuild begins a new generation. Figures of an older generation
count as empty, so nothing is deleted in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from shared.kernel.documents import Create, Data, Delete, Document, PreconditionFailed, Put, Value, Version, Write
from shared.kernel.errors import Conflict
from shared.kernel.events import log
from shared.ledger.log.figures import MONTH_CHARACTERS, DayFigures, figures_text, stored_figures

FIGURES = "figures"
"""Field of the head of the log with the state of the figures."""
ROUNDS_MAX = 10
"""Rounds of the sequencer after which figures move to their days: a tenth of a write for each round."""
ROWS_BESIDE_MAX = 500
"""Rows beside the head beyond which figures move at once, so that the head stays small."""
DAYS_MAX = 20
"""Most days of a commit. A day's document has up to half a megabyte, a month's is small, and a commit has less than 10.
"""
FIRST_MONTH = "2025-01"
"""Month that counts the growth of all earlier months, too. Balances are known from this month on."""
RULES = 4
"""Version of the rules that make figures from entries. A new version counts all entries again."""
GENERATIONS_AT_A_SIZE = 1_000
"""Most generations that begin while the log has one size."""
SIZE_MAX = 2**40
GENERATION_MAX = 2**53
UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class FiguresNewer(PreconditionFailed):
    """Figures of a day that are of a newer generation than the one that was read. Read the head again."""

    code = "figures_newer"

    def __init__(self, generation: int) -> None:
        super().__init__("The figures are counted again since; try again.")
        self.generation = generation


class FiguresBroken(Conflict):
    """Stored figures that the ledger did not write so. They are deleted, and a new generation counts all again."""

    code = "figures_broken"

    def __init__(self, document: Document) -> None:
        super().__init__(
            f"The figures at {document.path} cannot be read. The next count makes them again.", path=document.path
        )
        self.delete = Delete(document.path, document.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureHead:
    """State of the figures beside the head of the log: the generation, and the figures of the last rounds by day.

    `is_whole`: days and last rounds together count all entries that the log has. `rounds` is the number of the last
    rounds.
    """

    generation: int = 0
    is_whole: bool = False
    rounds: int = 0
    days: Mapping[str, DayFigures] = field(default_factory=dict)

    def with_account(self, days: Mapping[str, DayFigures], *, is_behind: bool) -> "FigureHead":
        """Return the state with the figures of an account's new entries. `is_behind`: some entries are not counted."""
        return replace(self, days=added_days(self.days, days), is_whole=self.is_whole and not is_behind)

    def has_room_for(self, days: Mapping[str, DayFigures]) -> bool:
        """Return True if a commit has room for the documents of these days and of those of the last rounds."""
        return len(self.days.keys() | days.keys()) <= DAYS_MAX

    def begun_again(self) -> "FigureHead":
        """Return the beginning of a new generation, in which nothing is counted yet."""
        return FigureHead(generation=self.generation + 1)

    def after_round(self) -> "FigureHead":
        """Return the state after one more round."""
        return replace(self, rounds=self.rounds + 1)

    @property
    def is_due(self) -> bool:
        """True if the figures of the last rounds must move to the documents of their days."""
        rows = sum(len(each.flows) + len(each.uses) for each in self.days.values())
        return bool(self.days) and (self.rounds >= ROUNDS_MAX or rows > ROWS_BESIDE_MAX)

    def data(self) -> Data:
        """Return the stored fields beside the head of the log."""
        days: dict[str, Value] = {day: figures_text(figures) for day, figures in self.days.items()}
        stored: dict[str, Value] = {"generation": self.generation, "is_whole": self.is_whole, "rounds": self.rounds}
        return {FIGURES: {**stored, "rules": RULES, "days": days}}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDay:
    """Figures of a day, or growth of a month, as read. `version` is None without a document."""

    day: str
    figures: DayFigures = field(default_factory=DayFigures)
    version: Version | None = None

    def write_with(self, more: DayFigures, generation: int) -> Write:
        """Return the write that adds figures to the day, on the version that was read."""
        data: Data = {"generation": generation, FIGURES: figures_text(self.figures + more)}
        path = day_figures_path(self.day)
        return Create(path, data) if self.version is None else Put(path, data, self.version)


def with_months(days: Mapping[str, DayFigures]) -> Mapping[str, DayFigures]:
    """Return the figures by day, and the growth of the balances by month."""
    months: dict[str, DayFigures] = {}
    for day, figures in days.items():
        month = month_of(day)
        months[month] = months.get(month, DayFigures()) + DayFigures(growth=figures.growth)
    return {**days, **months}


def month_of(day: str) -> str:
    """Return the month that counts the growth of a day."""
    return max(day[:MONTH_CHARACTERS], FIRST_MONTH)


def is_month(name: str) -> bool:
    """Return True if the name is a month's, not a day's."""
    return len(name) == MONTH_CHARACTERS


def day_figures_path(day: str) -> str:
    """Return `books/{day}/shards/0`, the path of a day's or month's figures."""
    return f"books/{day}/shards/0"


def day_of_path(path: str) -> str:
    """Return the day or month of the path of its figures."""
    return path.split("/")[1]


def stored_figure_head(head: Document | None) -> FigureHead:
    """Return the state beside the head of the log. A log without a head has counted all of its entries.

    A new generation begins if the figures of the last rounds cannot be read, or if an earlier release wrote them or
    dropped them.
    """
    if head is None:
        return FigureHead(is_whole=True)
    stored = head.data.get(FIGURES)
    generation = stored.get("generation") if isinstance(stored, Mapping) else None
    is_known = isinstance(stored, Mapping) and stored.get("rules") == RULES
    if not isinstance(stored, Mapping) or not is_known or not _is_generation(generation):
        return FigureHead(generation=_generation_at(head))
    number, rounds, days = cast("int", generation), stored.get("rounds"), stored.get("days")
    try:
        known = {day: stored_figures(text) for day, text in days.items()} if isinstance(days, Mapping) else {}
    except UNREADABLE:
        log("figures_broken", "ERROR", path=head.path)
        return FigureHead(generation=number).begun_again()
    return FigureHead(
        generation=number,
        is_whole=stored.get("is_whole") is True,
        rounds=rounds if isinstance(rounds, int) else 0,
        days=known,
    )


def stored_day(day: str, document: Document | None, generation: int) -> StoredDay:
    """Return the figures of a day in this generation; empty ones if the document is of an older one.

    Raises FiguresBroken; FiguresNewer if the document is of a newer generation.
    """
    if document is None:
        return StoredDay(day=day)
    told = document.data.get("generation")
    if not _is_generation(told):
        raise FiguresBroken(document)
    stored = cast("int", told)
    if stored > generation:
        raise FiguresNewer(stored)
    if stored < generation:
        return StoredDay(day=day, version=document.version)
    try:
        figures = stored_figures(document.data.get(FIGURES))
    except UNREADABLE as error:
        raise FiguresBroken(document) from error
    return StoredDay(day=day, figures=figures, version=document.version)


def _is_generation(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= GENERATION_MAX


def _generation_at(head: Document) -> int:
    """Return a generation beyond all that began while the log was smaller."""
    tree = head.data.get("tree")
    size = tree.get("size") if isinstance(tree, Mapping) else None
    return GENERATIONS_AT_A_SIZE * (min(size, SIZE_MAX) + 1) if isinstance(size, int) and size >= 0 else 0


def added_days(days: Mapping[str, DayFigures], more: Mapping[str, DayFigures]) -> dict[str, DayFigures]:
    """Return the figures of both by day."""
    return {**days, **{day: days.get(day, DayFigures()) + figures for day, figures in more.items()}}
