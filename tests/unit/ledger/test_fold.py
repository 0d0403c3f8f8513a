"""The fold refuses what `decide` never makes: an entry that somebody else wrote moves nothing that is not there."""

from typing import Any

import pytest

from shared.kernel.ids import HoldId, LotId
from shared.ledger.entries import Draft, Posting
from shared.ledger.fold import NotApplicable, apply
from tests.support.books import NOW, Books, capture, charge, extend, grant, hold, reverse


@pytest.fixture
def books() -> Books:
    """A lot that is spent; one of 30 of which 10 were taken back and 20 are owed; a hold that has ended."""
    books = Books()
    books.do(grant("spent", 5))
    books.do(charge(5))
    books.do(grant("owing", 30))
    books.do(charge(20))
    books.do(reverse("owing", 30))
    books.do(hold("nothing", 0))
    books.do(capture("nothing", 0))
    assert (books.account.debt, books.lot("owing").owed) == (20, 20)
    return books


def give(books: Books) -> None:
    """Credits, of which a debt of 20 leaves 100, and a hold of 60 of them."""
    books.do(grant("lot", 120))
    books.do(hold("h", 60))


LOT = {"id": "lot", "source": "promo:welcome", "priority": 10, "paid": False}
HOLD = {"id": "h", "purpose": "chat", "principal": "me", "reservation": False, "expires_at": NOW + 1}


def moved(source: str, destination: str, amount: int, lot: str | None = None) -> Posting:
    return Posting(source, destination, amount, None if lot is None else LotId(lot))


def refused(books: Books, kind: Any, *postings: Posting, **facts: Any) -> str:
    draft = Draft(kind=kind, operation="theirs", at=NOW, postings=postings, facts=facts)
    with pytest.raises(NotApplicable) as refusal:
        apply(books.account, draft, books.archive)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["lot", "spent"])
def test_a_lot_is_opened_once(books, name):
    give(books)

    assert refused(books, "grant", lot={**LOT, "id": name}) == "the lot exists"


@pytest.mark.parametrize("name", ["h", "nothing"])
def test_a_hold_is_placed_once(books, name):
    give(books)

    assert refused(books, "hold", hold={**HOLD, "id": name}) == "the hold is open, or was"


@pytest.mark.parametrize("kind", ["extension", "charge", "release"])
def test_a_hold_that_is_not_open_is_not_changed(books, kind):
    assert refused(books, kind, hold={"id": "nothing"}) == "the hold is not open"


@pytest.mark.parametrize("amount", [0, -1])
def test_a_posting_moves_something(books, amount):
    give(books)

    assert refused(books, "charge", moved("available", "revenue:chat", amount, "lot")) == (
        "a posting moves more than nothing"
    )


@pytest.mark.parametrize(
    ("posting", "facts", "why"),
    [
        (moved("available", "revenue:chat", 1, "none"), {}, "the lot is not there"),
        (moved("available", "revenue:chat", 1), {}, "the lot is not there"),
        (moved("available", "revenue:chat", 41, "lot"), {}, "more than the lot has"),
        (moved("held", "available", 61, "lot"), {"hold": {"id": "h"}}, "more than the hold took"),
        (moved("held", "available", 1, "owing"), {"hold": {"id": "h"}}, "more than the hold took"),
        (moved("held", "available", 1, "lot"), {}, "the hold is not open"),
        (moved("absorbed", "debt", 1), {}, "more than is owed"),
        (
            moved("held", "available", 59, "lot"),
            {"hold": {"id": "h", "end": "released"}},
            "an ended hold holds nothing",
        ),
    ],
)
def test_nothing_moves_that_is_not_there(books, posting, facts, why):
    give(books)

    assert refused(books, "charge", posting, **facts) == why


def test_no_more_than_is_owed_is_paid(books):
    assert refused(books, "status", moved("absorbed", "debt", 21)) == "more than is owed"


@pytest.mark.parametrize(("source", "facts"), [("available", {}), ("debt", {}), ("held", {"hold": {"id": "h"}})])
def test_no_more_is_taken_back_than_was_granted(books, source, facts):
    """One lot, all of whose 100 were taken back or are owed, and that has some all the same."""
    books.do(grant("paid", 100))
    books.do(hold("h", 40))
    books.do(reverse("paid", 100))
    owed = books.lot("paid").owed

    assert owed > 0
    assert refused(books, "reversal", moved(source, "promo:welcome", 1, "paid"), **facts) in {
        "more than was granted is taken back",
        "more than the lot has",
    }


def test_no_more_comes_back_than_was_taken(books):
    """Of this lot 10 were taken back and 20 are owed."""
    assert refused(books, "reversal", moved("promo:welcome", "available", 31, "owing")) == (
        "more than was taken back is given back"
    )


def test_a_lot_knows_the_entry_that_granted_it():
    books = Books()
    books.do(grant("one", 1))
    books.do(grant("two", 1))

    assert [books.lot(name).granted_seq for name in ("one", "two")] == [1, 2]


def test_what_is_charged_no_longer_accrues_whoever_bears_it():
    """A hold of 20, all of it used: 15 are charged, 5 are still to come; of 40 more the platform bears 35."""
    books = Books()
    books.do(grant("lot", 20))
    books.do(hold("h", 20))
    books.do(extend("h", 0, accrued=20))

    books.do(capture("h", 15, is_final=False))
    open_hold = books.account.holds[HoldId("h")]
    said = books.said(capture("h", 40, is_final=False))

    assert (open_hold.accrued, open_hold.captured, open_hold.amount) == (5, 15, 5)
    assert said == {"hold": "h", "captured": 5, "absorbed": 35, "released": 0}
    assert (books.account.holds[HoldId("h")].accrued, books.account.holds[HoldId("h")].captured) == (0, 20)
