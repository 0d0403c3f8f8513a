"""Each unit of work costs what the table says, to the document, and the page says the same."""

import pytest

from tests.cost.metering import plain
from tests.cost.page import PAGE, cost_page, exceeded
from tests.cost.pinned import pinned, pinned_growth
from tests.cost.units import UNITS, Unit

BYTES_SHARE = 0.05
"""Share by which the size of what is kept may differ: ids and times have digits that change."""
BEHIND: frozenset[str] = frozenset()
"""Units that still cost more than their maximum; decision 0081 says why."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_costs_what_is_pinned(unit: Unit):
    cost, expected = plain(unit.run().cost()), plain(pinned()[unit.name])

    assert cost == {**expected, "bytes": pytest.approx(expected["bytes"], rel=BYTES_SHARE)}, (
        "see `python -m tests.cost show`; `python -m tests.cost pin` pins the present costs"
    )


def test_the_table_has_a_line_for_each_unit():
    assert list(pinned()) == [unit.name for unit in UNITS]


def test_units_stay_within_their_maximum():
    over = {unit.name for unit in UNITS if exceeded(unit, pinned()[unit.name])}

    assert over == BEHIND


def test_the_page_of_costs_is_up_to_date():
    assert PAGE.read_text() == cost_page(pinned(), pinned_growth()), (
        "run `python -m tests.cost pin` and commit docs/cost.md"
    )
