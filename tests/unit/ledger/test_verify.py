"""What the verifier says of what our own key signed: a chain that links and still breaks a law."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from shared.kernel.canonical import canonical
from shared.kernel.ids import Uid
from shared.ledger.entries import body_hash
from shared.ledger.findings import FINDINGS_MAX
from shared.ledger.keys import ENTRY_CONTEXT
from shared.ledger.verify.exports import verify_account
from tests.support.books import reinstate, reverse, suspend
from tests.support.ledgers import KEYS, UID, World, charge, grant

Record = dict[str, Any]


@pytest.fixture
def world() -> World:
    world = World()
    ledger = world.ledger
    ledger.execute(UID, grant("g", 100))
    world.clock.advance(1_000)
    ledger.execute(UID, charge("c", 30))
    ledger.execute(UID, charge("d", 5))
    return world


def exported(world: World) -> list[Record]:
    return [orjson.loads(line) for line in world.ledger.export(UID)]


def found(records: list[Record]) -> list[tuple[int, str]]:
    lines = [canonical(record).decode() + "\n" for record in records]
    return [(finding.seq, finding.rule) for finding in verify_account(lines, KEYS)]


def forged(records: list[Record], seq: int, change: Callable[[Record], None]) -> list[Record]:
    """That entry says something else, and all from there on are linked and signed anew, by ourselves."""
    for record in [each for each in records[seq:] if each["type"] == "entry"]:
        body = orjson.loads(record["body"])
        if record["seq"] == seq:
            change(body)
        else:
            body["prev"] = records[record["seq"] - 1]["hash"]
        record["body"] = canonical(body).decode()
        record["hash"] = body_hash(record["body"])
        record["signature"] = KEYS.sign(ENTRY_CONTEXT, record["hash"].encode())
    return records


def test_an_account_that_is_open_and_has_no_entry_is_well(world):
    world.clock.advance(1)
    world.ledger.open(Uid("bob"))

    assert world.ledger.verify(Uid("bob")) == []


def test_nothing_is_found_where_nothing_was_done(world):
    assert found(exported(world)) == []


def test_an_entry_older_than_the_one_before_it_is_named(world):
    records = forged(exported(world), 2, lambda body: body.update(at=body["at"] - 1_001))

    assert found(records) == [(2, "time"), (0, "state")]


def test_an_entry_as_old_as_the_one_before_it_is_well(world):
    records = forged(exported(world), 2, lambda body: body.update(at=body["at"] - 1_000))

    assert found(records) == [(0, "state")]


def test_credits_that_were_never_there_are_named_once_and_what_follows_is_not_guessed_at(world):
    def spends_more(body: Record) -> None:
        body["postings"][0]["amount"] = 101

    assert found(forged(exported(world), 2, spends_more)) == [(2, "postings"), (0, "state")]


def test_a_balance_that_an_entry_tells_wrongly_is_named(world):
    records = forged(exported(world), 2, lambda body: body.update(posted=71))

    assert found(records) == [(2, "balance_after"), (0, "state")]


def test_a_debt_that_is_paid_for_a_lot_that_owes_nothing_breaks_the_law_of_its_state(world):
    """Every posting of it can be applied; the state that they make is none."""
    ledger = world.ledger
    aside, back = suspend("s", "lot_h", operation="s"), reinstate("s", operation="r")
    for command in (grant("h", 2), aside, charge("e", 65), reverse("lot_g", 20), back, charge("f", 1)):
        ledger.execute(UID, command)

    def pays_for_another(body: Record) -> None:
        body["postings"] = [{"from": "promo:welcome", "to": "debt", "amount": 5, "lot": "lot_h"}]

    assert found(forged(exported(world), 9, pays_for_another)) == [(9, "postings"), (0, "state")]


def test_a_body_that_is_not_canonical_ends_the_fold_and_not_the_audit(world):
    records = exported(world)
    records[2]["body"] = " " + records[2]["body"]

    assert found(records) == [(2, "hash"), (2, "canonical"), (3, "link"), (0, "state")]


@pytest.mark.parametrize("change", [{"version": 1}, {"version": 3}, {"format": "other"}, {"type": "entry"}])
def test_an_export_of_another_kind_is_no_export(world, change):
    records = exported(world)
    records[0].update(change)

    assert found(records)[0] == (0, "grammar")


@pytest.mark.parametrize("state", ["{}", "no json", '{"v":2}'])
def test_a_state_that_says_nothing_is_named(world, state):
    records = exported(world)
    records[-1]["state"] = state

    assert found(records) == [(0, "seal"), (0, "state")]


def test_what_listeners_see_is_neither_less_nor_more_than_the_state(world):
    less, more = exported(world), exported(world)
    del less[-1]["plain"]["debt"]
    more[-1]["plain"]["bonus"] = 1

    assert (found(less), found(more)) == ([(0, "plain_balance")], [(0, "plain_balance")])


def test_a_line_is_named_by_its_number(world):
    lines = [*world.ledger.export(UID)]
    lines.insert(1, "[]\n")
    lines.insert(3, '{"type":"poem"}\n')

    details = [finding.detail for finding in verify_account(lines, KEYS)]

    assert details == ["line 2: the line is no JSON object", "line 4: the line is of no known type"]


def test_an_export_without_its_account_is_not_whole(world):
    assert found(exported(world)[:-1]) == [(4, "grammar")]


def test_so_many_findings_are_told_and_none_more(world):
    lines = [next(iter(world.ledger.export(UID))), *["garbage"] * (FINDINGS_MAX + 5)]

    assert len(verify_account(lines, KEYS)) == FINDINGS_MAX
