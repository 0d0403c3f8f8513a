"""Credits in and out: grants, charges, corrections, reversals, debt."""

import pytest

from shared.kernel.errors import InvalidValue
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.errors import InsufficientCredits, LimitReached, LotExists, LotNotFound, ReversalTooLarge
from tests.support.books import MINUTE, NOW, Books, adjust, capture, charge, grant, hold, release, reverse


@pytest.fixture
def books() -> Books:
    return Books()


def test_a_grant_is_a_lot_of_its_own(books):
    said = books.said(grant("gift", 100))

    assert said == {"lot": "gift", "amount": 100}
    assert books.balance() == {"available": 100, "held": 0, "debt": 0, "status": "open", "seq": 1}
    assert books.postings() == [("promo:welcome", "available", 100, "gift")]


def test_a_refund_is_a_grant_of_another_kind(books):
    books.do(grant("back", 5, source="refund:chat"))

    assert books.kinds() == ["refund"]


def test_a_grant_pays_debt_first(books):
    books.do(grant("bought", 100))
    books.do(charge(100))
    books.do(reverse("bought", 60))

    books.do(grant("next", 100))

    assert books.balance() == {"available": 40, "held": 0, "debt": 0, "status": "open", "seq": 4}
    assert books.postings() == [
        ("promo:welcome", "available", 100, "next"),
        ("available", "debt", 60, "next"),
    ]


def test_a_grant_smaller_than_the_debt_leaves_nothing_and_the_rest_of_the_debt(books):
    books.do(grant("bought", 100))
    books.do(charge(100))
    books.do(reverse("bought", 60))

    books.do(grant("next", 50))

    assert (books.balance()["available"], books.balance()["debt"]) == (0, 10)
    assert books.lot("next").spent == 50


def test_a_lot_is_granted_once(books):
    books.do(grant("gift", 100))

    with pytest.raises(LotExists):
        books.do(grant("gift", 100))


def test_a_lot_that_was_spent_and_archived_is_not_granted_again(books):
    books.do(grant("gift", 100))
    books.do(charge(100))

    with pytest.raises(LotExists):
        books.do(grant("gift", 100))


def test_a_lot_granted_after_its_own_expiry_is_never_available(books):
    books.do(grant("late", 100, expires_at=NOW))

    assert books.balance()["available"] == 0
    assert books.kinds() == ["grant", "expiry"]


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1])
def test_a_grant_grants_an_amount(books, amount):
    with pytest.raises(InvalidValue):
        books.do(grant("odd", amount))


@pytest.mark.parametrize("expires_at", [2**52, 2**47 + 1, -1])
def test_a_lot_expires_at_a_time_that_can_be_written_down(books, expires_at):
    with pytest.raises(InvalidValue):
        books.do(grant("odd", 1, expires_at=expires_at))


def test_the_largest_balance_is_reached_and_not_passed(books):
    books.do(grant("all", AMOUNT_MAX))

    with pytest.raises(LimitReached):
        books.do(grant("more", 1))
    with pytest.raises(LimitReached):
        books.do(grant("much", AMOUNT_MAX))
    assert books.balance()["available"] == AMOUNT_MAX


def test_debt_is_bounded_like_a_balance(books):
    for name in ("one", "two"):
        books.do(grant(name, AMOUNT_MAX))
        books.do(charge(AMOUNT_MAX))
    books.do(reverse("one", AMOUNT_MAX))

    with pytest.raises(LimitReached):
        books.do(reverse("two", AMOUNT_MAX))


# What pays ---------------------------------------------------------------------------------------------------------


def test_the_smaller_priority_pays_first_then_the_sooner_expiry_then_the_older(books):
    books.do(grant("paid", 10, priority=20))
    books.do(grant("young", 10))
    books.do(grant("later", 10, expires_at=NOW + 2 * MINUTE))
    books.do(grant("sooner", 10, expires_at=NOW + MINUTE))
    books.do(grant("youngest", 10))

    books.do(charge(45))

    assert books.postings() == [
        ("available", "revenue:chat", 10, "sooner"),
        ("available", "revenue:chat", 10, "later"),
        ("available", "revenue:chat", 10, "young"),
        ("available", "revenue:chat", 10, "youngest"),
        ("available", "revenue:chat", 5, "paid"),
    ]


def test_a_charge_beyond_what_is_available_is_refused_with_the_numbers(books):
    books.do(grant("gift", 100))
    books.do(hold("h", 40))

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(charge(61))

    assert refusal.value.params == {"available": 60, "held": 40, "required": 61}
    assert books.balance() == {"available": 60, "held": 40, "debt": 0, "status": "open", "seq": 2}


def test_exactly_what_is_available_can_be_spent(books):
    books.do(grant("gift", 100))

    assert books.said(charge(100)) == {"amount": 100}
    assert books.balance()["available"] == 0
    assert books.account.lots == {}
    assert books.lot("gift").spent == 100


@pytest.mark.parametrize("amount", [-1, AMOUNT_MAX + 1])
def test_a_charge_is_an_amount(books, amount):
    books.do(grant("gift", 100))

    with pytest.raises(InvalidValue):
        books.do(charge(amount))


# Corrections -------------------------------------------------------------------------------------------------------


def test_an_adjustment_upwards_is_a_lot_named_by_its_operation(books):
    assert books.said(adjust(70, operation="fix")) == {"amount": 70}
    assert books.postings() == [("adjustment", "available", 70, "lot_fix")]


def test_an_adjustment_downwards_takes_what_is_available_or_refuses(books):
    books.do(grant("gift", 100))
    books.do(hold("h", 50))

    books.do(adjust(-50))
    with pytest.raises(InsufficientCredits):
        books.do(adjust(-1))

    assert books.postings() == [("available", "adjustment", 50, "gift")]
    assert books.balance()["held"] == 50


def test_an_adjustment_upwards_pays_debt_first(books):
    books.do(grant("bought", 100))
    books.do(charge(100))
    books.do(reverse("bought", 30))

    books.do(adjust(50))

    assert (books.balance()["available"], books.balance()["debt"]) == (20, 0)


# Reversals ---------------------------------------------------------------------------------------------------------


def test_a_reversal_takes_what_is_left_and_owes_the_rest(books):
    books.do(grant("bought", 100, source="world:stripe"))
    books.do(charge(30))

    said = books.said(reverse("bought", 100))

    assert said == {"lot": "bought", "reversed": 70, "owed": 30}
    assert books.postings() == [
        ("available", "world:stripe", 70, "bought"),
        ("debt", "world:stripe", 30, "bought"),
    ]
    assert (books.balance()["available"], books.balance()["debt"]) == (0, 30)


def test_a_reversal_states_a_target_so_that_saying_it_twice_posts_once(books):
    books.do(grant("bought", 100))
    books.do(reverse("bought", 30))
    seq = books.account.seq

    assert books.said(reverse("bought", 30)) == {"lot": "bought", "reversed": 0, "owed": 0}
    assert books.account.seq == seq
    assert books.said(reverse("bought", 50)) == {"lot": "bought", "reversed": 20, "owed": 0}


def test_a_smaller_target_gives_nothing_back(books):
    books.do(grant("bought", 100))
    books.do(reverse("bought", 50))

    assert books.said(reverse("bought", 10)) == {"lot": "bought", "reversed": 0, "owed": 0}
    assert books.balance()["available"] == 50


def test_a_spent_lot_is_reversed_as_debt_from_the_archive(books):
    books.do(grant("bought", 100))
    books.do(charge(100))

    books.do(reverse("bought", 40))
    books.do(reverse("bought", 100))

    assert books.balance()["debt"] == 100
    assert books.lot("bought").owed == 100


def test_more_than_was_granted_is_never_taken_back(books):
    books.do(grant("bought", 100))

    with pytest.raises(ReversalTooLarge):
        books.do(reverse("bought", 101))


def test_what_was_never_granted_is_not_reversed(books):
    with pytest.raises(LotNotFound):
        books.do(reverse("nothing", 1))


def test_a_hold_released_into_a_reversed_lot_settles_its_debt(books):
    books.do(grant("bought", 100))
    books.do(hold("h", 60))
    books.do(reverse("bought", 90))
    assert (books.balance()["available"], books.balance()["debt"]) == (0, 50)

    books.do(release("h"))

    assert books.postings() == [("held", "debt", 50, "bought"), ("held", "available", 10, "bought")]
    assert (books.balance()["available"], books.balance()["debt"]) == (10, 0)
    assert (books.lot("bought").reversed, books.lot("bought").owed) == (90, 0)


def test_a_debt_that_another_grant_paid_is_not_settled_a_second_time(books):
    books.do(grant("bought", 100))
    books.do(hold("h", 60))
    books.do(reverse("bought", 90))
    books.do(grant("next", 50))

    books.do(release("h"))

    assert books.postings() == [("held", "available", 60, "bought")]
    assert (books.balance()["available"], books.balance()["debt"]) == (60, 0)


def test_a_capture_from_a_reversed_lot_still_owes_what_was_used(books):
    books.do(grant("bought", 100))
    books.do(hold("h", 60))
    books.do(reverse("bought", 100))

    books.do(capture("h", 20))

    assert (books.balance()["available"], books.balance()["debt"]) == (0, 20)
    assert books.lot("bought").spent == 20
