"""The job `figures`: counts entries that the figures lack, and compares the figures with the books of the log."""

from collections import Counter
from collections.abc import Iterator

from shared.kernel.documents import Documents, Query
from shared.kernel.events import Alerts, log
from shared.ledger.log.books import OTHER, LedgerBooks, stored_books
from shared.ledger.log.figure_count import FigureCount
from shared.ledger.log.figure_documents import FiguresBroken, FiguresNewer, day_of_path, stored_day, stored_figure_head
from shared.ledger.log.figures import DayFigures
from shared.ledger.log.head import HEAD_PATH
from shared.sagas.engine.jobs import JobRun

PAGE = 100
ATTEMPTS_MAX = 3
"""Comparisons of a run. Each fails if the log has grown meanwhile."""


class FigureSweep:
    """Keeper of the figures of the whole platform."""

    def __init__(self, documents: Documents, alerts: Alerts) -> None:
        self._documents = documents
        self._alerts = alerts
        self._count = FigureCount(documents)

    def sweep(self, run: JobRun) -> None:
        """Count what the figures lack, from the run's cursor on, and compare the whole figures with the books.

        If they differ or cannot be read, operators are alerted and the figures are counted again from the start. Raises
        PreconditionFailed, StoreUnavailable.
        """
        state = self._count.head()
        generation, _, after = run.cursor.partition(":")
        if not state.is_whole:
            rest = self._count.go_on(after if generation == str(state.generation) else "", run.deadline)
            run.cursor = f"{state.generation}:{rest or ''}"
            if rest is not None or not self._count.mark_whole(state.generation).is_whole:
                return
        differing = self._differences(run)
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
            state, flows = stored_figure_head(head), Counter[str]()
            try:
                for figures in (*state.days.values(), *self._days(state.generation)):
                    _add(flows, figures)
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
                return _differing(stored_books(head.data.get("books")), flows) if state.is_whole else ()
        log("figures_not_compared", "WARNING")
        return ()

    def _days(self, generation: int) -> Iterator[DayFigures]:
        after: tuple[str] | None = None
        while True:
            found = self._documents.query(Query(collection="shards", group=True, limit=PAGE, after=after))
            for document in found:
                yield stored_day(day_of_path(document.path), document, generation).figures
            if len(found) < PAGE:
                return
            after = (found[-1].path,)


def _add(flows: Counter[str], figures: DayFigures) -> None:
    for (_, source, destination), amount in figures.flows.items():
        flows[source] -= amount
        flows[destination] += amount


def _differing(books: LedgerBooks, flows: Counter[str]) -> tuple[str, ...]:
    """Return the sources and destinations whose sums differ. Names beyond the bound of either are summed together."""
    if OTHER in flows or OTHER in books.flows:
        return () if sum(flows.values()) == sum(books.flows.values()) else ("total",)
    names = sorted({*flows, *books.flows})
    return tuple(name for name in names if flows.get(name, 0) != books.flows.get(name, 0))
