"""The verifier's cost stays near the floor, and does not grow with a journal; `make prove-speed` has the true limits.

The floor parses each line and body, writes the body again and hashes twice. All times are of this process's CPU, the
smallest of several in turn. A busy machine slows the verifier more than the floor, so the limits leave room for that.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.bench.journals import KEYS, header_line, many_accounts, one_account
from emulator.bench.verify import cpu_seconds, floor_seconds, rebuild_seconds, signature_seconds, write
from shared.ledger.verify.command.checker import UnitChecker

FAST_MAX, FULL_MAX, GROWTH_MAX, REBUILD_MAX = 6, 1.6, 1.5, 6
ROUNDS = 4
PARTS = 8


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("speed") / "many.ndjson"
    write(file, many_accounts(5, 1_000))
    return file


def opened(*, is_full: bool = False) -> UnitChecker:
    checker = UnitChecker()
    keys = [key.to_json() for key in KEYS.registry]
    checker.do("open", {"keys": keys, "is_full": is_full, "now": 1_790_000_000_000}, header_line())
    return checker


def checked_seconds(checker: UnitChecker, name: str, data: bytes, **options: object) -> float:
    started = time.process_time()
    answer = checker.do(name, {"name": name, "first_line": 2, **options}, data)
    assert answer["findings"] == []
    return time.process_time() - started


def least(*works: Callable[[], float]) -> list[float]:
    """The smallest value of each work, done in turn."""
    return [min(values) for values in zip(*[[work() for work in works] for _ in range(ROUNDS)], strict=True)]


def test_a_fast_check_costs_a_few_times_the_floor(many):
    checker, data = opened(), many.read_bytes().split(b"\n", 1)[1]

    floor, fast = least(lambda: floor_seconds(many)[1], lambda: checked_seconds(checker, "accounts", data))

    assert fast < FAST_MAX * floor


def test_a_full_check_costs_little_more_than_its_signatures(tmp_path):
    write(tmp_path / "few", many_accounts(1, 700))
    checker, data = opened(is_full=True), (tmp_path / "few").read_bytes().split(b"\n", 1)[1]

    bare, full = least(
        lambda: signature_seconds(tmp_path / "few")[1], lambda: checked_seconds(checker, "accounts", data)
    )

    assert full < FULL_MAX * bare


def test_an_entry_of_a_long_journal_costs_what_an_early_one_costs():
    lines = list(one_account(12_000))
    entries = [line for line in lines if line.startswith(b'{"body"')]
    size = len(entries) // PARTS
    parts = [b"".join(entries[number * size : (number + 1) * size]) for number in range(PARTS)]
    checker = opened()

    taken = [
        checked_seconds(checker, "part", part, is_first=number == 0, is_last=False) for number, part in enumerate(parts)
    ]

    assert min(taken[-3:]) < GROWTH_MAX * min(taken[:3])


def test_usage_by_day_is_rebuilt_at_a_few_times_the_floor(many):
    floor, rebuilt = least(lambda: floor_seconds(many)[1], lambda: rebuild_seconds(many)[1])

    assert rebuilt < REBUILD_MAX * floor


def test_the_floor_counts_entries_alone(many):
    lines = io.BytesIO(many.read_bytes())

    assert cpu_seconds(many, lambda line: None)[0] == sum(b'"type":"entry"' in line for line in lines) == 5_040
