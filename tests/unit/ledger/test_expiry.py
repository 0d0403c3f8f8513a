"""Time: whatever is due happens first, in the order in which it fell due."""

import pytest

from shared.ledger.account import HOLDS_MAX
from shared.ledger.decide import settled
from shared.ledger.errors import InsufficientCredits
from tests.support.books import MINUTE, NOW, Books, capture, charge, expire, extend, grant, hold, release

EXPIRE = expire()


@pytest.fixture
def books() -> Books:
    return Books()


def test_an_expired_lot_cannot_be_spent(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.now += MINUTE

    with pytest.raises(InsufficientCredits) as refusal:
        books.do(charge(1))

    assert refusal.value.params == {"available": 0, "held": 0, "required": 1}


def test_a_lot_can_be_spent_until_the_very_millisecond_it_expires(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.now += MINUTE - 1

    books.do(charge(100))

    assert books.balance()["available"] == 0
    assert books.lot("gift").spent == 100


def test_what_is_left_of_an_expired_lot_is_breakage(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.do(charge(30))
    books.now += MINUTE

    books.do(EXPIRE)

    assert books.postings() == [("available", "breakage", 70, "gift")]
    assert books.lot("gift").expired == 70


def test_asking_for_what_is_due_changes_nothing_when_nothing_is(books):
    books.do(grant("gift", 100))

    assert books.do(EXPIRE).entries == ()


def test_a_hold_keeps_its_credits_beyond_the_expiry_of_their_lot(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.do(hold("h", 60))
    books.now += 2 * MINUTE

    books.do(capture("h", 45))

    assert books.postings() == [("held", "revenue:chat", 45, "gift"), ("held", "breakage", 15, "gift")]
    assert books.balance() == {"available": 0, "held": 0, "debt": 0, "status": "open", "seq": 4}


def test_a_release_into_an_expired_lot_is_breakage(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.do(hold("h", 60))
    books.now += 2 * MINUTE

    books.do(release("h"))

    assert books.postings() == [("held", "breakage", 60, "gift")]
    assert books.kinds()[-1] == "expiry"
    assert books.archive.holds["h"].released == 60


def test_what_is_due_happens_in_the_order_of_its_time(books):
    books.do(grant("first", 10, expires_at=NOW + MINUTE))
    books.do(grant("rest", 100, expires_at=NOW + 20 * MINUTE))
    books.do(hold("h", 50))
    books.now += 60 * MINUTE

    books.do(EXPIRE)

    assert [body["op"] for body in books.bodies[3:]] == ["expire:h", "expire:rest"]


def test_a_late_reader_sees_the_balance_that_a_prompt_one_would(books):
    def life(steps):
        books = Books()
        books.do(grant("short", 50, expires_at=NOW + 10 * MINUTE))
        books.do(grant("long", 50))
        books.do(hold("h", 70))
        books.do(extend("h", 0, accrued=60))
        for step in steps:
            books.now = NOW + step * MINUTE
            books.do(EXPIRE)
        return {k: v for k, v in books.balance().items() if k != "seq"}

    assert life([60]) == life([5, 9, 10, 11, 15, 16, 60])


def test_reading_a_balance_needs_no_entry_for_what_is_due(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))

    later = settled(books.account, NOW + MINUTE)

    assert (later.available, books.account.available) == (0, 100)


def test_time_never_runs_behind_the_head(books):
    books.do(grant("gift", 100, expires_at=NOW + MINUTE))
    books.now -= 60 * MINUTE

    books.do(charge(1))

    assert books.bodies[-1]["at"] == NOW


def test_a_hold_placed_by_a_slow_clock_lives_from_the_head_s_time(books):
    books.do(grant("gift", 100))
    books.now -= 60 * MINUTE

    assert books.said(hold("h", 10))["expires_at"] == NOW + 15 * MINUTE


def test_every_hold_an_account_may_have_can_expire_in_two_commits(books):
    books.rush(grant("gift", HOLDS_MAX))
    for number in range(HOLDS_MAX):
        books.rush(hold(f"h{number}", 1))
    books.now += 15 * MINUTE

    before = books.account.seq

    last = books.rush(EXPIRE)

    assert 0 < len(last.entries) < books.account.seq - before == HOLDS_MAX
    assert books.balance()["available"] == HOLDS_MAX
