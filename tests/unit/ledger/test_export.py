"""An export has every entry once, in order, however many reads that takes."""

import orjson
import pytest

from shared.kernel.documents import Create
from shared.ledger.account_documents import account_path
from shared.ledger.export import WINDOW
from tests.support.ledgers import UID, World, charge, grant


@pytest.fixture
def world() -> World:
    return World()


def records(world: World) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in world.ledger.export(UID)]


def test_an_account_that_nobody_opened_is_a_header_and_nothing_else(world):
    assert [record["type"] for record in records(world)] == ["header"]


def test_what_lies_beside_an_account_that_nobody_opened_is_exported(world):
    world.documents.commit([Create(f"{account_path(UID)}/entries/{1:012}", {"seq": 1, "body": "x"})])

    assert [(record["type"], record.get("seq")) for record in records(world)] == [("header", None), ("entry", 1)]


@pytest.mark.parametrize("count", [WINDOW - 1, WINDOW, WINDOW + 2])
def test_every_entry_is_there_once_and_in_order(world, count):
    ledger = world.ledger
    ledger.execute(UID, grant("g", 10))
    for number in range(count - 1):
        ledger.execute(UID, charge(str(number), 0))

    told = records(world)

    assert [record["type"] for record in told] == ["header", *["entry"] * count, "account"]
    assert [record["seq"] for record in told[1:-1]] == list(range(1, count + 1))
