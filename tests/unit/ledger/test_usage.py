"""What entries add up to, one kind of entry at a time."""

import pytest

from shared.kernel.clock import DAY
from shared.kernel.errors import InvalidValue
from shared.ledger.usage import OTHERS, ROWS_MAX, Amounts, Day, UsageFold, Use, day_of, folded, summed
from tests.support.books import NOW, Books, adjust, capture, charge, close, extend, grant, hold, release, reverse

TODAY = day_of(NOW)


def usage_of(books: Books) -> UsageFold:
    return folded(UsageFold(), books.bodies)


def today(books: Books) -> Day:
    return usage_of(books).days[TODAY]


def test_a_capture_is_a_use_of_what_its_hold_was_for():
    books = Books()
    books.do(grant("l", 100))
    books.do(hold("h", 30, tags=(("model", "gpt-4o"),), principal="key:key_1"))
    books.do(extend("h", 10))
    books.do(capture("h", 25, usage=(("input_tokens", 7), ("output_tokens", 3))))

    assert today(books).uses == {
        Use("chat", "gpt-4o", "key_1"): Amounts(count=1, cost=25, input_tokens=7, output_tokens=3)
    }
    assert usage_of(books).open == {}


def test_what_we_absorb_costs_the_user_nothing():
    books = Books()
    books.do(grant("l", 20))
    books.do(hold("h", 20))
    books.do(capture("h", 50))

    assert today(books).uses == {Use("chat"): Amounts(count=1, cost=20)}


def test_a_call_that_was_free_is_a_use_all_the_same_and_one_that_was_given_up_is_none():
    books = Books()
    books.do(grant("l", 20))
    books.do(hold("free", 0, tags=(("model", "m"),)))
    books.do(capture("free", 0))
    books.do(hold("failed", 5))
    books.do(release("failed"))

    assert today(books).uses == {Use("chat", "m"): Amounts(count=1)}


def test_a_hold_that_expires_is_told_on_the_day_it_ended():
    books = Books()
    books.do(grant("l", 20))
    books.do(hold("h", 10, lifetime=DAY))
    books.do(extend("h", 0, accrued=4))
    books.now += 2 * DAY
    books.do(charge(1))

    days = usage_of(books).days
    assert day_of(NOW) in days
    assert summed(days.values()).uses == {Use("chat"): Amounts(count=2, cost=5)}


def test_every_way_that_credits_move_has_its_name():
    books = Books()
    books.do(grant("bought", 100, source="world:stripe"))
    books.do(grant("soon", 7, expires_at=NOW + 1))
    books.do(grant("back", 5, source="refund:img"))
    books.do(adjust(3))
    books.do(charge(4))
    books.now += 2
    books.do(reverse("bought", 10))
    books.do(adjust(-2))
    moved = today(books).moved
    books.do(close())

    assert moved == {
        "granted": 107,
        "refunded": 5,
        "adjusted": 1,
        "spent": -4,
        "expired": -3,
        "reversed": -10,
    }
    assert sum(today(books).moved.values()) == 0
    assert today(books).moved["expired"] == -3 - sum(moved.values())


def test_debt_that_is_written_off_is_told():
    books = Books()
    books.do(grant("l", 10))
    books.do(charge(10))
    books.do(reverse("l", 10))
    books.do(close())

    assert today(books).moved == {"granted": 10, "spent": -10, "reversed": -10, "written_off": 10}


def test_a_day_stays_small_however_many_models_there_are():
    books = Books()
    books.do(grant("l", 10 * ROWS_MAX))
    for number in range(ROWS_MAX + 3):
        books.do(charge(1, tags=(("model", f"m{number}"),)))

    uses = today(books).uses
    assert len(uses) == ROWS_MAX + 1
    assert uses[Use("chat", OTHERS, OTHERS)] == Amounts(count=3, cost=3)


@pytest.mark.parametrize(
    "tags",
    [
        (("model", "Ann said hello"),),
        (("model", ""),),
        (("model", "m"), ("model", "n")),
        (("two words", "m"),),
        tuple((f"t{number}", "m") for number in range(9)),
    ],
)
def test_an_entry_takes_ids_and_no_text(tags):
    books = Books()
    books.do(grant("l", 100))

    with pytest.raises(InvalidValue):
        books.do(hold("h", 1, tags=tags))
    with pytest.raises(InvalidValue):
        books.do(charge(1, tags=tags))


def test_an_entry_takes_counts_from_zero_up():
    books = Books()
    books.do(grant("l", 100))
    books.do(hold("h", 1))

    with pytest.raises(InvalidValue):
        books.do(capture("h", 1, usage=(("input_tokens", -1),)))
