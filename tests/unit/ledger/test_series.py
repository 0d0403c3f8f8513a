"""Periods to the day at their limits, and groups in their order."""

from datetime import date, timedelta

import pytest

from shared.kernel.errors import InvalidValue
from shared.ledger.series import DAYS_DEFAULT, DAYS_MAX, Period, grouped, period
from shared.ledger.usage import Amounts, Use

TODAY = date(2026, 11, 24)


def test_a_period_ends_today_and_has_so_many_days_unless_it_says():
    assert period(None, None, TODAY) == Period(first=TODAY - timedelta(days=DAYS_DEFAULT - 1), last=TODAY)


def test_one_day_is_a_period():
    assert period(TODAY, TODAY, TODAY) == Period(first=TODAY, last=TODAY)


@pytest.mark.parametrize(("days", "is_refused"), [(DAYS_MAX, False), (DAYS_MAX + 1, True), (0, True)])
def test_a_period_has_so_many_days_and_none_more(days, is_refused):
    first = TODAY - timedelta(days=days - 1)

    if is_refused:
        with pytest.raises(InvalidValue):
            period(first, TODAY, TODAY)
    else:
        assert period(first, TODAY, TODAY) == Period(first=first, last=TODAY)


def test_groups_are_the_costliest_first_and_then_by_name():
    uses = {
        Use("chat", "b", "k1"): Amounts(count=1, cost=5),
        Use("chat", "a", "k1"): Amounts(count=1, cost=5),
        Use("image", "c", "k2"): Amounts(count=2, cost=9),
        Use("chat", "c", "k1"): Amounts(count=1, cost=1),
    }

    assert list(grouped(uses, "model").items()) == [
        (("c",), Amounts(count=3, cost=10)),
        (("a",), Amounts(count=1, cost=5)),
        (("b",), Amounts(count=1, cost=5)),
    ]
    assert list(grouped(uses, "kind", "key")) == [("chat", "k1"), ("image", "k2")]
