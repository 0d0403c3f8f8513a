"""Paid credits as the figures count them equal the account's paid lots, whatever the figures have forgotten."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from shared.kernel.documents import Patch, Put, Query
from shared.kernel.errors import DomainError
from shared.kernel.ids import LotId, Uid
from shared.kernel.schemas import RefusedData
from shared.ledger.account import PRIORITY_PAID
from shared.ledger.log.figure_documents import day_figures_path
from shared.ledger.log.figure_lot_reader import lot_kinds
from shared.ledger.log.figure_lots import LOTS_REMEMBERED, LotForgotten, LotMemory, forgotten_lots, grown
from shared.ledger.log.figure_reader import FigureReader
from shared.ledger.log.figure_sums import BalanceSums
from shared.users.sign_ups import SignUpBook
from tests.support import books
from tests.support.books import Books
from tests.support.faults import FaultyDocuments
from tests.support.figures import Platform, check_figures, naive, summed_growth
from tests.unit.ledger.log.test_figures import JOURNALS, UIDS
from tests.unit.ledger.test_accounting import STEP, command

BOUGHT: dict[str, Any] = {"source": "world:stripe", "is_paid": True, "priority": PRIORITY_PAID}


def paid_credits(kept: Books) -> tuple[int, int]:
    """The available and held credits of bought lots, as the account and its archive have them."""
    if kept.account.status == "closed":
        return 0, 0
    lots = {**kept.archive.lots, **kept.account.lots}.values()
    bought = [lot for lot in lots if lot.is_paid]
    return sum(lot.available for lot in bought), sum(lot.held for lot in bought)


@pytest.mark.parametrize("seed", range(4))
def test_paid_credits_equal_the_accounts_bought_lots(seed):
    kept, dice, memory, counted = Books(), random.Random(seed), LotMemory(), BalanceSums()
    for number in range(150):
        kept.now += STEP
        bought = books.grant(f"bought{number}", dice.randrange(1, 10**7), **BOUGHT)
        with suppress(DomainError):
            kept.do(bought if dice.random() < 0.3 else command(kept, dice, number))
    kept.do(books.unfreeze())
    kept.do(books.close())

    for body in kept.bodies:
        memory, growth = grown(memory, body)
        counted += growth
        assert counted.liability == body["posted"]
        assert counted.debt == body["debt"]
        assert counted.paid == memory.available + memory.held
    assert paid_credits(kept) == (memory.available, memory.held)
    assert kept.account.rest_count == 0


def test_closing_forfeits_the_paid_part_of_the_rest():
    kept, memory, counted = Books(), LotMemory(), BalanceSums()
    for number in range(LOTS_REMEMBERED + 10):
        kept.do(books.grant(f"gift{number}", 2, expires_at=None))
        kept.do(books.grant(f"bought{number}", 3, **BOUGHT))
    assert kept.account.rest_available > 0
    kept.do(books.close())

    for body in kept.bodies:
        memory, growth = grown(memory, body)
        counted += growth

    assert (memory.available, memory.held, counted) == (0, 0, BalanceSums())


def test_a_forgotten_lot_is_named_and_counts_once_known():
    memory = LotMemory(kinds={f"lot{number}": True for number in range(LOTS_REMEMBERED + 1)}, available=9).shortened()
    body = {"postings": [{"from": "available", "to": "revenue:chat", "amount": 4, "lot": "lot0"}]}

    with pytest.raises(LotForgotten):
        grown(memory, body)
    assert forgotten_lots(memory, [body]) == {"lot0"}

    after, growth = grown(memory.with_kinds({"lot0": True}), body)
    assert (after.available, growth) == (5, BalanceSums(paid=-4))
    assert list(after.kinds)[-1] == "lot0"
    assert len(after.shortened().kinds) == LOTS_REMEMBERED


def test_balances_equal_all_entries_up_to_each_day():
    platform = Platform(journals=JOURNALS)
    for uid in UIDS:
        platform.live(uid, 60)
        platform.round()
    days = naive(platform.lived)
    first = date.fromisoformat(min(days)) - timedelta(2)

    for number in range(40):
        day = first + timedelta(number)
        found = FigureReader(platform.store).balances(day, day + timedelta(1))
        before = {name: sums for name, sums in days.items() if name < day.isoformat()}
        assert found.opening == summed_growth(before.values())
        assert {name: figures.balances for name, figures in found.figures.days.items()} == {
            name: summed_growth([sums])
            for name, sums in days.items()
            if day.isoformat() <= name <= (day + timedelta(1)).isoformat()
        }


def test_sequencer_reads_lots_that_were_forgotten():
    uid = Uid("collector")
    journal = [granted(seq) for seq in range(1, 51)] + [spent(51, LotId("lot1"))]
    platform = Platform(journals={uid: journal})
    platform.live(uid, 50)
    platform.round()
    platform.live(uid, 1)
    platform.round()

    assert platform.is_whole()
    assert platform.months() == {"2026-09": BalanceSums(paid=49 * 5)}


def test_documents_of_another_release_stop_no_count():
    platform = Platform(journals=JOURNALS)
    platform.live(UIDS[0], 200)
    platform.store.commit([Put(f"users/{UIDS[0]}", {"uid": UIDS[0]})])
    others = OtherRelease(platform.store)
    lots = [each.id for each in platform.store.query(Query(collection="lots", group=True, limit=9))]

    assert SignUpBook(others).months_of(UIDS) == dict.fromkeys(UIDS, "")
    assert lots
    assert lot_kinds(others, UIDS[0], lots) == {}


class OtherRelease(FaultyDocuments):
    """Store whose documents are of a schema that this release does not know."""

    def get_all(self, paths):
        found = super().get_all(paths)
        return [each and replace(each, data=RefusedData("lots", 99, each.data)) for each in found]


def test_account_with_a_lot_that_is_gone_is_left_to_the_count():
    uid = Uid("collector")
    platform = Platform(journals={uid: [granted(seq) for seq in range(1, 51)] + [spent(51, LotId("gone"))]})
    platform.live(uid, 51)
    platform.round()

    assert not platform.is_whole()
    assert platform.waiting == set()


def granted(seq: int) -> dict:
    lot = {"id": f"lot{seq}", "source": "world:stripe", "priority": PRIORITY_PAID, "paid": True}
    moved = {"from": "world:stripe", "to": "available", "amount": 5, "lot": lot["id"]}
    return {"at": books.NOW, "kind": "grant", "postings": [moved], "lot": lot, "posted": 5 * seq}


def spent(seq: int, lot: LotId) -> dict:
    moved = {"from": "available", "to": "revenue:chat", "amount": 5, "lot": lot}
    return {"at": books.NOW, "kind": "charge", "postings": [moved], "posted": 5 * (seq - 2)}


@pytest.mark.parametrize("wrong", ["month", "day"])
def test_balances_that_differ_alert_and_are_counted_again(wrong):
    platform = Platform(journals=JOURNALS)
    for number in range(11):
        platform.live(UIDS[number % 6], 20)
        platform.round()
    month = next(iter(platform.months()))
    name = month if wrong == "month" else min(platform.figures())
    document = platform.store.get(day_figures_path(name))
    assert document is not None
    text = str(document.data["figures"])
    kind = text.index('"growth":{') + len('"growth":{')
    at = text.index("[", kind) + 1
    platform.store.commit([Patch(document.path, {"figures": f"{text[:at]}1{text[at:].lstrip('-')}"}, document.version)])

    platform.count_all()

    assert [each.event for each in platform.alerts.raised] == ["figures_differ"]
    assert platform.is_whole()
    check_figures(platform)
