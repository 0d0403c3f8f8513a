"""The job `figures`: counts entries that the figures lack, and compares the figures with the books of the log."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.kernel.documents import Documents, Query
from shared.kernel.events import Alerts, log
from shared.ledger.entries import AVAILABLE, DEBT, HELD
from shared.ledger.log.books import OTHER, LedgerBooks, stored_books
from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_documents import (
    FiguresBroken,
    FiguresNewer,
    day_of_path,
    is_month,
    stored_day,
    stored_figure_head,
    with_months,
)
from shared.ledger.log.figure_sums import BalanceSums
from shared.ledger.log.figures import DayFigures
from shared.ledger.log.head import HEAD_PATH
from shared.sagas.accounts.figure_accounts import FigureAccounts
from shared.sagas.engine.jobs import JobRun

PAGE = 100
ACCOUNTS = "accounts"
"""Beginning of the cursor while accounts are compared, and their name in the alert."""
ATTEMPTS_MAX = 3
"""Comparisons of a run. Each fails if the log has grown meanwhile."""


class FigureSweep:
    """Keeper of the figures of the whole platform."""

    def __init__(self, documents: Documents, alerts: Alerts, count: FigureCount) -> None:
        self._documents = documents
        self._alerts = alerts
        self._count = count
        self._accounts = FigureAccounts(documents)

    def sweep(self, run: JobRun) -> None:
        """Count what the figures lack, from the run's cursor on, and compare the whole figures with books and accounts.

        If they differ or cannot be read, operators are alerted and the figures are counted again from the start. Raises
        PreconditionFailed, StoreUnavailable.
        """
        state = self._count.head()
        generation, _, after = run.cursor.partition(":")
        compared = after if generation == ACCOUNTS else ""
        if not state.is_whole:
            rest = self._count.go_on(after if generation == str(state.generation) else "", run.deadline)
            run.cursor = f"{state.generation}:{rest or ''}"
            if rest is not None or not self._count.mark_whole(state.generation).is_whole:
                return
        differing = self._differences(run)
        is_different, rest = self._accounts.differing(run, state.generation, compared)
        run.cursor = f"{ACCOUNTS}:{rest or ''}"
        if is_different:
            differing = (*differing, ACCOUNTS)
        if differing:
            self._alerts.alert("figures_differ", sums=", ".join(differing))
            self._count.begin_again()
        run.done += 1

    def _differences(self, run: JobRun) -> tuple[str, ...]:
        """Return names of the sums that differ; none if the log grew at each attempt, or if the run is over first."""
        for _ in range(ATTEMPTS_MAX):
            head = self._documents.get(HEAD_PATH)
            if head is None:
                return ()
            state, sums = stored_figure_head(head), _StoredSums()
            try:
                for name, figures in (*with_months(state.days).items(), *self._stored(state.generation)):
                    sums.add(name, figures)
                    if run.is_over():
                        return ()
            except FiguresBroken as error:
                self._count.begin_again(error)
                return (str(error.params["path"]),)
            except FiguresNewer as error:
                self._count.begin_beyond(error.generation)
                return ("generation",)
            again = self._documents.get(HEAD_PATH)
            if again is not None and again.version == head.version:
                return sums.differing(stored_books(head.data.get("books"))) if state.is_whole else ()
        log("figures_not_compared", "WARNING")
        return ()

    def _stored(self, generation: int) -> Iterator[tuple[str, DayFigures]]:
        """Yield the figures of all days and months by name. Raises FiguresBroken, FiguresNewer, StoreUnavailable."""
        after: tuple[str] | None = None
        while True:
            found = self._documents.query(Query(collection="shards", group=True, limit=PAGE, after=after))
            for document in found:
                name = day_of_path(document.path)
                yield name, stored_day(name, document, generation).figures
            if len(found) < PAGE:
                return
            after = (found[-1].path,)


@dataclass(slots=True, eq=False, repr=False)
class _StoredSums:
    """Sums of the stored figures: flows by source and destination, and growth of the balances by days and by months."""

    flows: Counter[str] = field(default_factory=Counter)
    by_days: BalanceSums = field(default_factory=BalanceSums)
    by_months: BalanceSums = field(default_factory=BalanceSums)

    def add(self, name: str, figures: DayFigures) -> None:
        """Add the figures of a day or month."""
        if is_month(name):
            self.by_months += figures.balances
            return
        self.by_days += figures.balances
        for (_, source, destination), amount in figures.flows.items():
            self.flows[source] -= amount
            self.flows[destination] += amount

    def differing(self, books: LedgerBooks) -> tuple[str, ...]:
        """Return the names of the sums that differ from the books, or from one another."""
        grown = (self.by_days.liability, self.by_days.debt)
        is_equal = grown == (self.flows[AVAILABLE] + self.flows[HELD], -self.flows[DEBT])
        names = {"balances": is_equal, "months": self.by_months == self.by_days}
        return (*_differing(books, self.flows), *(name for name, is_same in names.items() if not is_same))


def _differing(books: LedgerBooks, flows: Counter[str]) -> tuple[str, ...]:
    """Return the sources and destinations whose sums differ. Names beyond the bound of either are summed together."""
    if OTHER in flows or OTHER in books.flows:
        return () if sum(flows.values()) == sum(books.flows.values()) else ("total",)
    names = sorted({*flows, *books.flows})
    return tuple(name for name in names if flows.get(name, 0) != books.flows.get(name, 0))
