"""Freezing and closing an account."""

import pytest

from shared.ledger.errors import AccountClosed, AccountFrozen
from tests.support.books import (
    MINUTE,
    Books,
    adjust,
    capture,
    charge,
    close,
    expire,
    extend,
    freeze,
    grant,
    hold,
    release,
    reverse,
    unfreeze,
)


@pytest.fixture
def books() -> Books:
    books = Books()
    books.do(grant("gift", 100))
    books.do(hold("h", 40))
    return books


@pytest.mark.parametrize("command", [charge(1), hold("h2", 1), extend("h", 1)])
def test_a_frozen_account_spends_nothing_new(books, command):
    books.do(freeze())

    with pytest.raises(AccountFrozen):
        books.do(command)


@pytest.mark.parametrize("command", [capture("h", 10), release("h"), grant("more", 1), adjust(-1), reverse("gift", 1)])
def test_a_frozen_account_may_end_what_it_had_begun(books, command):
    books.do(freeze())

    assert books.do(command).receipt.after.status == "frozen"


def test_thawing_allows_spending_again(books):
    books.do(freeze())
    assert books.said(unfreeze()) == {}

    books.do(charge(1))

    assert books.balance()["status"] == "open"


def test_freezing_twice_is_one_entry(books):
    books.do(freeze())
    seq = books.account.seq

    books.do(freeze())

    assert books.account.seq == seq


def test_closing_ends_holds_forfeits_credits_and_writes_off_debt(books):
    books.do(extend("h", 0, accrued=30))
    books.do(grant("bought", 50, source="world:stripe"))
    books.do(charge(110))
    books.do(reverse("bought", 50))
    assert books.balance()["debt"] == 50

    books.do(close())

    assert books.balance() == {"available": 0, "held": 0, "debt": 0, "status": "closed", "seq": 8}
    assert books.archive.holds["h"].captured == 30
    assert books.postings() == [("available", "breakage", 10, "gift"), ("absorbed", "debt", 50, None)]


def test_a_closed_account_takes_nothing_more(books):
    books.do(close())

    for command in (grant("late", 1), charge(0), release("h"), adjust(1), unfreeze(), freeze(), close()):
        with pytest.raises(AccountClosed):
            books.do(command)


def test_a_closed_account_has_nothing_left_to_expire(books):
    books.do(close())
    books.now += 60 * MINUTE

    assert books.do(expire()).entries == ()
    assert books.account.due_at is None


def test_a_frozen_account_can_be_closed(books):
    books.do(freeze())

    assert books.said(close()) == {"owed": 0}
    assert books.balance()["status"] == "closed"
