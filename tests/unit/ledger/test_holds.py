"""Holds: placed, extended, captured, released, expired; each resolves once."""

import pytest

from shared.kernel.errors import InvalidValue
from shared.kernel.money import AMOUNT_MAX
from shared.ledger.account import HOLDS_MAX
from shared.ledger.errors import HoldExists, HoldNotFound, HoldResolved, InsufficientCredits, LimitReached
from tests.support.books import MINUTE, NOW, Books, capture, charge, extend, grant, hold, release


@pytest.fixture
def books() -> Books:
    books = Books()
    books.do(grant("gift", 100))
    return books


def resolved(books, name):
    hold = books.archive.holds[name]
    return hold.status, hold.placed, hold.captured, hold.released


def test_a_hold_sets_credits_aside(books):
    said = books.said(hold("h", 40))

    assert said == {"hold": "h", "amount": 40, "expires_at": NOW + 15 * MINUTE}
    assert books.balance() == {"available": 60, "held": 40, "debt": 0, "status": "open", "seq": 2}
    assert books.postings() == [("available", "held", 40, "gift")]


def test_a_hold_beyond_what_is_available_is_refused(books):
    with pytest.raises(InsufficientCredits):
        books.do(hold("h", 101))


def test_exactly_what_is_available_can_be_held(books):
    books.do(hold("h", 100))

    assert (books.balance()["available"], books.balance()["held"]) == (0, 100)


def test_a_hold_of_nothing_can_be_captured_for_nothing(books):
    books.do(hold("h", 0))

    said = books.said(capture("h", 0))

    assert said == {"hold": "h", "captured": 0, "absorbed": 0, "released": 0}
    assert books.balance()["available"] == 100


def test_the_name_of_a_hold_is_used_once(books):
    books.do(hold("h", 10))
    with pytest.raises(HoldExists):
        books.do(hold("h", 10))
    books.do(release("h"))

    with pytest.raises(HoldExists):
        books.do(hold("h", 10))


def test_open_holds_are_limited(books):
    for number in range(HOLDS_MAX):
        books.rush(hold(f"h{number}", 0))

    with pytest.raises(LimitReached, match="open reservations"):
        books.do(hold("one_more", 0))


def test_a_final_capture_charges_and_gives_back_in_one_entry(books):
    books.do(hold("h", 40))

    said = books.said(capture("h", 25))

    assert said == {"hold": "h", "captured": 25, "absorbed": 0, "released": 15}
    assert books.postings() == [("held", "revenue:chat", 25, "gift"), ("held", "available", 15, "gift")]
    assert resolved(books, "h") == ("captured", 40, 25, 15)


def test_a_partial_capture_leaves_the_hold_open(books):
    books.do(hold("h", 40))

    said = books.said(capture("h", 25, is_final=False))
    books.do(capture("h", 10, is_final=False))
    books.do(capture("h", 2))

    assert said == {"hold": "h", "captured": 25, "absorbed": 0, "released": 0}
    assert resolved(books, "h") == ("captured", 40, 37, 3)
    assert books.balance()["available"] == 63


def test_a_capture_beyond_the_hold_takes_what_is_available(books):
    books.do(hold("h", 40))

    said = books.said(capture("h", 70))

    assert said == {"hold": "h", "captured": 70, "absorbed": 0, "released": 0}
    assert books.postings() == [("held", "revenue:chat", 40, "gift"), ("available", "revenue:chat", 30, "gift")]


def test_what_nobody_has_is_absorbed_and_never_the_user_s(books):
    books.do(hold("h", 40))

    said = books.said(capture("h", 130))

    assert said == {"hold": "h", "captured": 100, "absorbed": 30, "released": 0}
    assert books.postings()[-1] == ("absorbed", "revenue:chat", 30, None)
    assert books.balance() == {"available": 0, "held": 0, "debt": 0, "status": "open", "seq": 3}


def test_a_capture_does_not_touch_what_other_holds_hold(books):
    books.do(hold("mine", 10))
    books.do(hold("other", 90))

    said = books.said(capture("mine", 50))

    assert said == {"hold": "mine", "captured": 10, "absorbed": 40, "released": 0}
    assert books.balance()["held"] == 90


def test_a_release_gives_everything_back_where_it_came_from(books):
    books.do(grant("second", 50))
    books.do(hold("h", 120))

    said = books.said(release("h"))

    assert said == {"hold": "h", "captured": 0, "absorbed": 0, "released": 120}
    assert books.postings() == [("held", "available", 100, "gift"), ("held", "available", 20, "second")]
    assert books.kinds()[-1] == "release"
    assert resolved(books, "h") == ("released", 120, 0, 120)


@pytest.mark.parametrize("command", [capture("h", 1), capture("h", 1, is_final=False), release("h"), extend("h", 1)])
@pytest.mark.parametrize(("end", "status"), [(capture("h", 1), "captured"), (release("h"), "released")])
def test_a_resolved_hold_takes_nothing_more(books, command, end, status):
    books.do(hold("h", 10))
    books.do(end)

    with pytest.raises(HoldResolved) as refusal:
        books.do(command)

    assert refusal.value.params == {"status": status}


@pytest.mark.parametrize("command", [capture("h", 1), release("h"), extend("h", 1)])
def test_a_hold_that_never_was_is_not_found(books, command):
    with pytest.raises(HoldNotFound):
        books.do(command)


@pytest.mark.parametrize("command", [capture("h", 1, principal="you"), release("h", principal="you")])
def test_another_principal_s_hold_is_not_found(books, command):
    books.do(hold("h", 10))

    with pytest.raises(HoldNotFound):
        books.do(command)


@pytest.mark.parametrize("command", [capture("h", -1), capture("h", AMOUNT_MAX + 1), extend("h", 1, accrued=-1)])
def test_what_is_captured_or_accrued_is_an_amount(books, command):
    books.do(hold("h", 10))

    with pytest.raises(InvalidValue):
        books.do(command)


def test_a_hold_is_placed_for_an_amount(books):
    with pytest.raises(InvalidValue):
        books.do(hold("h", -5))


# Extensions --------------------------------------------------------------------------------------------------------


def test_an_extension_holds_more_and_lives_longer(books):
    books.do(hold("h", 40))
    books.now += MINUTE

    said = books.said(extend("h", 30, accrued=35))

    assert said == {"hold": "h", "added": 30, "amount": 70, "expires_at": NOW + 16 * MINUTE}
    assert books.account.holds["h"].accrued == 35
    assert books.balance()["available"] == 30


def test_an_extension_takes_what_there_is(books):
    books.do(hold("h", 40))

    assert books.said(extend("h", 500))["added"] == 60


def test_an_extension_that_finds_too_little_is_refused(books):
    books.do(hold("h", 40))

    with pytest.raises(InsufficientCredits):
        books.do(extend("h", 100, at_least=61))


def test_an_extension_of_nothing_only_renews(books):
    books.do(hold("h", 40))
    books.now += 10 * MINUTE

    books.do(extend("h", 0))
    books.now += 10 * MINUTE
    books.do(capture("h", 40))

    assert books.balance()["held"] == 0


def test_an_extension_never_shortens_a_hold(books):
    books.do(hold("h", 40, lifetime=60 * MINUTE))

    assert books.said(extend("h", 1))["expires_at"] == NOW + 60 * MINUTE


def test_an_extension_comes_too_late_for_an_expired_hold(books):
    books.do(hold("h", 40))
    books.now += 15 * MINUTE

    with pytest.raises(HoldResolved):
        books.do(extend("h", 10))


# Time --------------------------------------------------------------------------------------------------------------


def test_an_expired_hold_charges_what_had_accrued_and_gives_back_the_rest(books):
    books.do(hold("h", 40))
    books.do(extend("h", 0, accrued=30))
    books.now += 15 * MINUTE

    books.do(charge(1))

    assert resolved(books, "h") == ("expired", 40, 30, 10)
    assert books.bodies[-2]["op"] == "expire:h"
    assert books.balance()["available"] == 69


def test_what_was_captured_does_not_accrue_any_more(books):
    books.do(hold("h", 40))
    books.do(extend("h", 0, accrued=30))
    books.do(capture("h", 20, is_final=False))
    books.now += 15 * MINUTE

    books.do(charge(0))

    assert resolved(books, "h") == ("expired", 40, 30, 10)


def test_a_capture_comes_too_late_for_an_expired_hold(books):
    books.do(hold("h", 40))
    books.now += 15 * MINUTE

    with pytest.raises(HoldResolved) as refusal:
        books.do(capture("h", 40))

    assert refusal.value.params == {"status": "expired"}


def test_a_hold_is_alive_until_the_very_millisecond_it_expires(books):
    books.do(hold("h", 40))
    books.now += 15 * MINUTE - 1

    books.do(capture("h", 40))

    assert resolved(books, "h") == ("captured", 40, 40, 0)
