"""What accrued on an open hold: written down ahead of the truth, and charged by whatever ends the hold."""

import pytest

from shared.ledger.errors import HoldNotFound, HoldResolved
from tests.support.books import MINUTE, Books, accrue, capture, extend, freeze, grant, hold, release


@pytest.fixture
def books() -> Books:
    books = Books()
    books.do(grant("gift", 100))
    books.do(hold("h", 40))
    return books


def test_accruing_moves_no_credits_and_renews_the_hold(books):
    books.now += 5 * MINUTE

    said = books.said(accrue("h", 30))

    assert (said["accrued"], books.account.holds["h"].accrued) == (30, 30)
    assert books.account.holds["h"].expires_at == books.now + 15 * MINUTE
    assert (books.account.available, books.account.held) == (60, 40)


def test_accruing_never_exceeds_the_hold(books):
    assert books.said(accrue("h", 1_000))["accrued"] == 40


def test_accrual_never_falls_by_a_later_command(books):
    books.do(accrue("h", 30))

    books.do(accrue("h", 10))
    books.do(extend("h", 5, accrued=2))

    assert books.account.holds["h"].accrued == 30


def test_an_extension_accrues_within_the_grown_hold(books):
    books.do(extend("h", 20, accrued=1_000))

    assert (books.account.holds["h"].amount, books.account.holds["h"].accrued) == (60, 60)


def test_accruing_works_on_a_frozen_account(books):
    books.do(freeze())

    books.do(accrue("h", 30))

    assert books.account.holds["h"].accrued == 30


def test_a_release_charges_what_accrued(books):
    books.do(accrue("h", 30))

    said = books.said(release("h", is_unused=False))

    assert said == {"hold": "h", "captured": 30, "absorbed": 0, "released": 10}
    assert books.account.available == 70
    assert books.archive.holds["h"].status == "released"


def test_a_release_on_a_frozen_account_charges_what_accrued(books):
    books.do(accrue("h", 30))
    books.do(freeze())

    assert books.said(release("h", is_unused=False))["captured"] == 30


def test_a_release_of_an_unused_hold_gives_all_of_it_back(books):
    books.do(accrue("h", 30))

    books.do(release("h", is_unused=True))

    assert books.account.available == 100


def test_a_capture_charges_the_truth_and_not_what_accrued(books):
    books.do(accrue("h", 30))

    books.do(capture("h", 7))

    assert books.account.available == 93


def test_an_expiry_charges_what_accrued(books):
    books.do(accrue("h", 30))

    books.now += 16 * MINUTE
    books.do(grant("more", 1))

    assert (books.account.available, books.account.held) == (71, 0)


def test_accruing_on_a_hold_that_ended_is_refused(books):
    books.do(release("h"))

    with pytest.raises(HoldResolved):
        books.do(accrue("h", 1))
    with pytest.raises(HoldNotFound):
        books.do(accrue("nothing", 1))
