"""Check that hostile callers cost the platform next to nothing.

Method: bursts of calls, made by seed to cost more than they pay, against a provider that bills the truth. `make leak`
is the long form.
"""

import pytest

from shared.ledger.exposure import ABSORBED_MAX
from tests.leak.hostile_callers import rush
from tests.leak.report import Leak

SEED = 3
CALLERS = 24


@pytest.fixture(scope="module", params=["laptop", "openai"])
def leak(request: pytest.FixtureRequest) -> Leak:
    return Leak(rush(SEED, CALLERS, request.param))


def test_the_platform_loses_at_most_a_hundredth_of_what_it_delivers(leak):
    assert leak.is_tight, "\n".join(leak.lines())


def test_no_user_costs_the_platform_more_than_the_limit(leak):
    assert leak.worst_user <= ABSORBED_MAX


def test_callers_get_much_and_pay_for_it(leak):
    assert leak.delivered > 0
    assert len(leak.bursts) > CALLERS
