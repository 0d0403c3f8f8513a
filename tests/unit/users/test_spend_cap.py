from datetime import UTC, datetime, timedelta

import pytest

from shared.kernel.clock import from_datetime
from shared.users.spend_cap import PERIODS, Window, window


def at(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("period", "now", "name", "ends"),
    [
        ("day", "2026-11-24T00:00:00", "2026-11-24", "2026-11-25T00:00:00"),
        ("day", "2026-12-31T23:59:59.999", "2026-12-31", "2027-01-01T00:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-W48", "2026-11-30T00:00:00"),
        ("week", "2026-11-29T23:59:59", "2026-W48", "2026-11-30T00:00:00"),
        ("week", "2027-01-01T12:00:00", "2026-W53", "2027-01-04T00:00:00"),
        ("month", "2026-11-01T00:00:00", "2026-11", "2026-12-01T00:00:00"),
        ("month", "2026-12-31T23:00:00", "2026-12", "2027-01-01T00:00:00"),
        ("month", "2028-02-29T01:00:00", "2028-02", "2028-03-01T00:00:00"),
    ],
)
def test_a_window_has_a_name_and_an_end(period, now, name, ends):
    assert window(period, at(now)) == Window(name, at(ends))


def test_what_counts_in_total_never_ends():
    assert window("total", at("2026-11-24T00:00:00")) == Window("total", None)


@pytest.mark.parametrize("period", PERIODS)
def test_windows_follow_each_other_without_a_gap(period):
    now = datetime(2026, 12, 20, tzinfo=UTC)
    seen = [window(period, from_datetime(now + timedelta(hours=hour))) for hour in range(24 * 40)]

    names = list(dict.fromkeys(each.name for each in seen))
    assert all(each.ends_at is None or each.ends_at > from_datetime(now) + 3_600_000 * n for n, each in enumerate(seen))
    assert len(names) == len({each.ends_at for each in seen})
