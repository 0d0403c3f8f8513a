"""Each law of growth counts what the table says, and no count grows with the size of what is acted on."""

import pytest

from tests.cost.laws import LAWS, Law, breaches
from tests.cost.pinned import pinned_growth

BEHIND: frozenset[str] = frozenset()
"""Laws that are still broken."""

THREADS = 0.05
"""Difference that comes from threads: some share a round trip, or not."""


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_an_act_counts_what_is_pinned_at_each_size(law: Law):
    sizes = law.measured_sizes()

    assert [law.run(size).count for size in sizes] == pytest.approx(
        pinned_growth()[law.name][: len(sizes)], abs=THREADS
    ), "`python -m tests.cost pin` pins the present counts"


def test_counts_do_not_grow():
    broken = {law.name: breaches(law, pinned_growth()[law.name]) for law in LAWS}

    assert broken == {law.name: [] for law in LAWS}


def test_the_table_has_a_count_for_each_size():
    assert {name: len(counts) for name, counts in pinned_growth().items()} == {law.name: len(law.sizes) for law in LAWS}
