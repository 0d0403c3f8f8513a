"""Books of the whole ledger: each entry counts once, and sums that do not agree are named."""

import random
from typing import Any

import pytest

from shared.ledger.log.books import NAMES_MAX, OTHER, LedgerBooks, StatedBalances, books_text, stated, stored_books
from shared.ledger.log.days import DayRecord, DayTotals, record_in
from shared.ledger.log.leaves import LEAF_BYTES_MAX, typed_leaf
from tests.unit.ledger.test_accounting import month


def entries(seed: int, uid: str) -> list[dict]:
    return month(seed, uid)


def summed(*journals: list[dict]) -> LedgerBooks:
    """The books after the journals, in random pieces."""
    dice, books = random.Random(5), LedgerBooks()
    for journal in journals:
        before, at = StatedBalances(), 0
        while at < len(journal):
            piece = journal[at : at + dice.randrange(1, 9)]
            books, before, at = books.with_entries(piece, before), stated(piece[-1]), at + len(piece)
    return books


def test_books_are_the_sums_of_all_postings_and_last_balances():
    journals = entries(1, "ada"), entries(2, "bob")

    books = summed(*journals)

    assert books.differences == ()
    assert sum(books.flows.values()) == 0
    assert books.balances.posted == sum(journal[-1]["posted"] for journal in journals)
    assert books.flows["world:stripe"] < 0 < books.flows["revenue:chat"]
    assert stored_books(books_text(books)) == books


@pytest.mark.parametrize("name", ["posted", "held", "debt"])
def test_an_entry_that_states_another_balance_is_a_difference(name):
    journal = entries(3, "ada")
    wrong = [*journal[:-1], {**journal[-1], name: journal[-1][name] + 1}]

    assert summed(wrong).differences == (name,)


def test_many_and_long_names_are_summed_together():
    journal: list[dict[str, Any]] = [
        {"postings": [{"from": f"world:{number}", "to": "available", "amount": 1}], "posted": 1, "held": 0, "debt": 0}
        for number in range(NAMES_MAX + 5)
    ]
    journal[0]["postings"][0]["from"] = "x" * 300

    books = LedgerBooks().with_entries(journal, StatedBalances())

    assert len(books.flows) == NAMES_MAX
    assert books.flows[OTHER] == -7
    assert sum(books.flows.values()) == 0


@pytest.mark.parametrize(("fill", "width"), [("x", 100), ("x", 200), ("\u20ac", 100), ('"', 100), ("\U0001f600", 200)])
def test_books_of_most_and_longest_names_fit_a_leaf(fill, width):
    names = [str(number).rjust(width, fill) for number in range(NAMES_MAX + 1)]
    postings = [{"from": name, "to": "available", "amount": 2**53 - 1} for name in names]
    books = LedgerBooks().with_entries([{"postings": postings, "posted": 1, "held": 0, "debt": 0}], StatedBalances())
    record = DayRecord(
        ledger="l" * 100, day="2026-12-01", root="0" * 64, totals=DayTotals(), previous="0" * 64, fold=1, books=books
    )

    leaf = typed_leaf("day", {"record": record.text, "seal": "s" * 200})

    assert len(leaf) <= LEAF_BYTES_MAX
    assert record_in(record.text).books == books


def test_sums_have_any_size():
    books = LedgerBooks(flows={"available": 2**80, "world:x": -(2**80)}, balances=StatedBalances(2**80, 0, 0))

    assert stored_books(books_text(books)) == books
    assert books.differences == ()


@pytest.mark.parametrize("value", [7, "", "[]", "{}", '{"flows":{},"posted":true,"held":0,"debt":0}', "null"])
def test_text_that_is_no_book_is_refused(value):
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        stored_books(value)


def test_ledger_without_a_book_has_an_empty_one():
    assert stored_books(None) == LedgerBooks()
