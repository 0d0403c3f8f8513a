"""Measurement of one unit of work: the mean over several, after some that are not counted."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from shared.kernel.clock import SECOND, Millis
from shared.kernel.documents import Document
from tests.cost.bill import POLLED, Line, Operation, kind_of, stored_bytes
from tests.cost.product import Product

INDEXES = Path(__file__).parents[2] / "firestore.indexes.json"
LISTINGS = frozenset({"notices", "listed_money"})
"""Calls of a provider that list events or the money of a day: part of every minute or day, and of no payment."""
REUSED = frozenset({"checkout_places"})
"""Kinds of documents that later units use again, so that none is left by a unit."""
WARM, MEASURED = 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of one unit. `kept` documents stay for ever, `expiring` documents have a time to live.

    `trips` are calls of the store, `calls` are calls of payment providers, `bytes` is the size of the kept documents.
    """

    reads: float = 0
    writes: float = 0
    deletes: float = 0
    invocations: float = 0
    messages: float = 0
    trips: float = 0
    calls: float = 0
    kept: float = 0
    expiring: float = 0
    bytes: float = 0


COLUMNS = tuple(each.name for each in fields(Cost))


@dataclass(frozen=True, slots=True)
class Measured:
    """Counts of several units, by line and by kind of document that is left, with the number of units."""

    lines: Counter[Line]
    left: Counter[tuple[str, str]]
    bytes: int
    calls: int
    units: int

    def cost(self) -> Cost:
        """Return the mean cost of a unit."""
        totals = {
            name: sum(count for line, count in self.lines.items() if line.operation == name[:-1])
            for name in ("reads", "writes", "deletes", "invocations", "messages", "trips")
        }
        kept, expiring = (self._left(how) for how in ("kept", "expiring"))
        sums = {**totals, "calls": self.calls, "kept": kept, "expiring": expiring, "bytes": self.bytes}
        return Cost(**{name: round(count / self.units, 0 if name == "bytes" else 1) for name, count in sums.items()})

    def plus(self, other: "Measured") -> "Measured":
        """Return the counts of both, as those of all units together."""
        return Measured(
            self.lines + other.lines,
            Counter({key: self.left[key] + other.left[key] for key in {*self.left, *other.left}}),
            self.bytes + other.bytes,
            self.calls + other.calls,
            self.units + other.units,
        )

    def less(self, other: "Measured", times: int) -> "Measured":
        """Return these counts without `times` units of the other measurement."""
        return Measured(
            _less(self.lines, other.lines, times / other.units),
            _less(self.left, other.left, times / other.units),
            self.bytes - round(other.bytes * times / other.units),
            self.calls - round(other.calls * times / other.units),
            self.units,
        )

    def total(self, operation: Operation, kind: str = "") -> int:
        """Return the sum over all functions, of the kinds that begin with `kind`."""
        lines = self.lines.items()
        return sum(count for line, count in lines if line.operation == operation and line.kind.startswith(kind))

    def _left(self, how: str) -> int:
        return sum(count for (each, _), count in self.left.items() if each == how)


NOTHING = Measured(Counter(), Counter(), 0, 0, 0)


class Meter:
    """Counts of a product from a moment on."""

    def __init__(self, product: Product) -> None:
        self._product = product
        product.bill.clear()
        self._before = dict(product.store._documents)
        self._calls = self._provider_calls()

    def read(self, units: int) -> Measured:
        """Return the counts since the meter began, as those of so many units."""
        product = self._product
        lines = Counter({line: count for line, count in product.bill.counts.items() if line.kind not in POLLED})
        new = _beyond(product.store._documents, self._before)
        gone = _beyond(self._before, product.store._documents)
        left = Counter(map(_kept_as, new))
        left.subtract(map(_kept_as, gone))
        size = sum(map(_kept_bytes, new)) - sum(map(_kept_bytes, gone))
        return Measured(lines, left, size, self._provider_calls() - self._calls, units)

    def _provider_calls(self) -> int:
        calls = [provider.calls for provider in self._product.providers.values()]
        return sum(count for each in calls for name, count in each.items() if name not in LISTINGS)


def measure(
    product: Product,
    act: Callable[[], object],
    *,
    before: Callable[[], object] = lambda: None,
    pause: Millis = SECOND,
    warm: int = WARM,
    units: int = MEASURED,
) -> Measured:
    """Act some times, then count `units` acts. `pause` is the time between two acts. `before` each is not counted."""
    measured = NOTHING
    for number in range(warm + units):
        before()
        meter = Meter(product)
        act()
        if number >= warm:
            measured = measured.plus(meter.read(1))
        product.clock.advance(pause)
    return measured


def plain(cost: Cost) -> Mapping[str, float]:
    """Return the numbers of a cost by column."""
    return asdict(cost)


@cache
def times_to_live() -> Mapping[str, str]:
    """Return the field that ends a document's life, by collection group."""
    overrides = json.loads(INDEXES.read_text())["fieldOverrides"]
    return {each["collectionGroup"]: each["fieldPath"] for each in overrides if each.get("ttl")}


def _beyond(these: Mapping[str, Document], others: Mapping[str, Document]) -> list[Document]:
    return [each for path, each in these.items() if path not in others and kind_of(path) not in REUSED]


def _expires(document: Document) -> bool:
    field = times_to_live().get(document.path.split("/")[-2])
    return field is not None and document.data.get(field) is not None


def _kept_as(document: Document) -> tuple[str, str]:
    return "expiring" if _expires(document) else "kept", kind_of(document.path)


def _kept_bytes(document: Document) -> int:
    return 0 if _expires(document) else stored_bytes(document.path, document.data)


def _less(these: Counter, others: Counter, share: float) -> Counter:
    return Counter({key: these[key] - round(others[key] * share) for key in {*these, *others}})
