"""Page `docs/cost.md`: the table of pinned costs with the maxima and the dollars of a million units."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from emulator.reference.markdown import table
from tests.cost.laws import LAWS, Law, breaches
from tests.cost.metering import Cost, plain
from tests.cost.units import UNITS, Unit

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
DOLLARS: Mapping[str, float] = {
    "reads": 0.06 / 100_000,
    "writes": 0.18 / 100_000,
    "deletes": 0.02 / 100_000,
    "invocations": 0.40 / 1_000_000,
    "messages": 40 / 2**40 * 1_000,
}
"""List prices in nam5 and eur3. A message is billed as 1 kB at least."""
EXPIRY_DOLLARS = DOLLARS["deletes"]
STORAGE_DOLLARS = 0.18 / 2**30
"""List price of a byte for a month."""
MILLION = 1_000_000
TITLES = {
    "reads": "Reads",
    "writes": "Writes",
    "deletes": "Deletes",
    "invocations": "Invocations",
    "messages": "Messages",
    "trips": "Round trips",
    "calls": "Provider calls",
    "kept": "Documents kept",
    "bytes": "Bytes kept",
    "expiring": "Documents with a time to live",
}
OPENING = """\
# Cost of a unit of work

*Printed by `make cost` from [`tests/cost/pinned.py`](../tests/cost/pinned.py): change the code, not this page.*

What Google bills for one unit, in the steady state: documents read, written and deleted, invocations of functions and
messages. A missing document and an empty query are one read each. The counts come from the whole product in memory,
with every trigger of `functions.yaml`, and the tests hold them: a change that adds a document to a call fails until
the table is changed with it ([decision 0081](decisions/0081-costs-are-counted-and-pinned.md))."""
COUNTS = """\
## Counts

`19 > 8` is a count that is above its maximum, `8 (14)` one within. Means have one decimal. *Kept* documents stay for
ever; their bytes are without indexes. *Provider calls* are calls of Stripe or PayPal for one payment."""
MONEY = """\
## Dollars

Dollars of a million units at the list prices of a multi-region database (nam5, eur3): reads 0.06, writes 0.18 and
deletes 0.02 for 100,000; invocations 0.40 a million; messages 40 a TiB, of 1 kB at least. A document with a time to
live is one delete more. *Storage* is the price of the kept bytes of a million units, each month. Compute time, network
and the free quota are not in it."""


GROWS = """\
## Growth

Counts by the size of what is acted on: entries of an account, messages of a conversation, conversations of a user,
tools of a task, purchases of an account. The last may exceed the one before by a quarter at most. The tests measure the
first two sizes, `make cost` all, and the milliseconds of CPU with them."""


def cost_page(costs: Mapping[str, Cost], growth: Mapping[str, Sequence[float]]) -> str:
    """Return the whole page."""
    counts = table(("Unit", *TITLES.values()), [(unit.title, *_cells(unit, costs[unit.name])) for unit in UNITS])
    money = table(
        ("Unit", "Database", "Functions and messages", "Together", "Storage, each month"),
        [(unit.title, *_dollars(costs[unit.name])) for unit in UNITS],
    )
    laws = table(("Act", "Counted", "By size", "At most"), [_law(law, growth[law.name]) for law in LAWS])
    return f"{OPENING}\n\n{COUNTS}\n\n{counts}\n\n{MONEY}\n\n{money}\n\n{GROWS}\n\n{laws}\n"


def _law(law: Law, counts: Sequence[float]) -> tuple[str, ...]:
    by_size = [f"{size:,}: {count:,g}" for size, count in zip(law.sizes, counts, strict=True)]
    broken = breaches(law, counts)
    most = "" if law.most is None else f"{law.most:g}"
    return law.title, law.counted, " · ".join(by_size), f"{most} (not yet)" if broken else most


def exceeded(unit: Unit, cost: Cost) -> Mapping[str, float]:
    """Return the columns in which the cost exceeds the unit's maximum, with the maximum."""
    return {name: most for name, most in unit.most.items() if plain(cost)[name] > most}


def _cells(unit: Unit, cost: Cost) -> Iterator[str]:
    over = exceeded(unit, cost)
    for name in TITLES:
        count = f"{plain(cost)[name]:,g}"
        if name in unit.most:
            count = f"{count} > {unit.most[name]:,g}" if name in over else f"{count} ({unit.most[name]:,g})"
        yield count


def _dollars(cost: Cost) -> Iterator[str]:
    counts = plain(cost)
    each = {name: counts[name] * price * MILLION for name, price in DOLLARS.items()}
    database = each["reads"] + each["writes"] + each["deletes"] + cost.expiring * EXPIRY_DOLLARS * MILLION
    others = each["invocations"] + each["messages"]
    for dollars in (database, others, database + others, cost.bytes * STORAGE_DOLLARS * MILLION):
        yield f"{dollars:,.2f}"
