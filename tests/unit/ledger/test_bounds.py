"""Exactly at a limit, and one beyond it: amounts, times, counts, and the caps of two budgets at once."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.canonical import INTEGER_MAX
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import HoldId, LotId
from shared.kernel.money import AMOUNT_MAX, Micro
from shared.ledger.account import TAKES_MAX, Hold, Lot
from shared.ledger.commands import BudgetClaim, RateLimit
from shared.ledger.decide import decide
from shared.ledger.errors import BudgetExceeded, HoldExists, InsufficientCredits, LimitReached, RateLimited
from shared.ledger.limits import TIME_MAX, TOLD_MAX
from tests.support.books import (
    KID,
    MINUTE,
    NOW,
    Books,
    adjust,
    capture,
    charge,
    expire,
    extend,
    grant,
    hold,
    release,
    restore,
    reverse,
    suspend,
)


@pytest.fixture
def books() -> Books:
    return Books()


def caps(**limits: int) -> tuple[BudgetClaim, ...]:
    return tuple(BudgetClaim(id=name, limit=Micro(limit)) for name, limit in limits.items())


def lots(count: int, granted: int = 1) -> dict[LotId, Lot]:
    """So many lots, as if granted one after the other."""
    made = (
        Lot(
            id=LotId(f"l{n}"),
            source="promo:x",
            priority=10,
            granted_seq=n,
            expires_at=None,
            is_paid=False,
            granted=granted,
        )
        for n in range(count)
    )
    return {lot.id: lot for lot in made}


# Budgets, when a hold names two --------------------------------------------------------------------------------------


def test_an_extension_stays_within_the_tighter_of_two_caps(books):
    books.do(grant("lot", 1_000))
    books.do(hold("h", 40, budgets=caps(key=100, task=50)))

    assert books.said(extend("h", 50))["added"] == 10


def test_a_capture_beyond_its_hold_stays_within_the_tighter_of_two_caps(books):
    books.do(grant("lot", 1_000))
    books.do(hold("h", 40, budgets=caps(key=100, task=50)))

    assert books.said(capture("h", 80)) == {"hold": "h", "captured": 50, "absorbed": 30, "released": 0}


def test_what_a_cap_leaves_is_what_is_neither_used_nor_held(books):
    books.do(grant("lot", 1_000_000_000))
    books.do(charge(20_000_000, budgets=caps(key=100_000_000)))
    books.do(hold("h", 30_000_000, budgets=caps(key=100_000_000)))

    with pytest.raises(BudgetExceeded) as refusal:
        books.do(charge(60_000_000, budgets=caps(key=100_000_000)))

    assert refusal.value.detail == "This needs 60 credits; the cap leaves 50."


# What comes back -----------------------------------------------------------------------------------------------------


def test_a_debt_is_settled_once_by_all_that_a_release_gives_back(books):
    """Two lots owe 50 each, 60 of it were paid since: the first settles the 40 that are left, the rest comes back."""
    books.do(grant("one", 50))
    books.do(grant("two", 50))
    books.do(hold("h", 100))
    books.do(reverse("one", 50))
    books.do(reverse("two", 50))
    books.do(grant("new", 60))
    assert books.account.debt == 40

    books.do(release("h"))

    assert books.postings() == [
        ("held", "debt", 40, "one"),
        ("held", "available", 10, "one"),
        ("held", "available", 50, "two"),
    ]
    assert (books.account.debt, books.account.available) == (0, 60)


@pytest.mark.parametrize(("after", "where"), [(MINUTE - 1, "available"), (MINUTE, "breakage")])
def test_credits_given_back_in_the_millisecond_of_their_expiry_are_over(books, after, where):
    books.do(grant("lot", 10, expires_at=NOW + MINUTE))
    books.do(hold("h", 10))
    books.now += after

    books.do(release("h"))

    assert books.postings() == [("held", where, 10, "lot")]


@pytest.mark.parametrize(("after", "kind", "where"), [(0, "release", "available"), (MINUTE, "expiry", "breakage")])
def test_a_call_under_way_gives_disputed_credits_back_or_their_time_is_over(books, after, kind, where):
    books.do(grant("lot", 10, expires_at=NOW + MINUTE))
    books.do(grant("other", 10))
    books.do(hold("h", 15))
    books.now += after

    books.do(suspend("dispute", "lot"))

    assert books.bodies[3]["kind"] == kind
    assert [(p["from"], p["to"], p["amount"]) for p in books.bodies[3]["postings"]] == [("held", where, 10)]
    assert books.account.holds[HoldId("h")].amount == 5


def test_two_things_due_at_one_time_happen_by_name_and_the_earlier_before_both(books):
    books.do(grant("zeta", 10, expires_at=NOW + 15 * MINUTE))
    books.do(grant("alpha", 10, expires_at=NOW + 15 * MINUTE))
    books.do(grant("last", 10, expires_at=NOW + 20 * MINUTE))
    books.do(hold("mid", 15))
    books.do(grant("first", 10, expires_at=NOW + MINUTE))
    books.now += 60 * MINUTE

    books.do(expire())

    order = [body["op"] for body in books.bodies[5:]]
    assert order == ["expire:first", "expire:alpha", "expire:mid", "expire:last"]


# Credits and lots ----------------------------------------------------------------------------------------------------


def test_what_is_held_counts_in_what_an_account_may_have(books):
    books.do(grant("lot", AMOUNT_MAX))
    books.do(hold("h", 10))

    with pytest.raises(LimitReached, match="credits"):
        books.do(grant("more", 1))


def test_nothing_comes_back_beyond_what_an_account_may_have(books):
    """Exactly as much as there is room for, what is held included."""
    books.do(grant("lot", 10))
    books.do(reverse("lot", 10))
    books.do(grant("large", AMOUNT_MAX - 9))
    books.do(hold("h", 5))

    with pytest.raises(LimitReached, match="credits"):
        books.do(restore("lot", 0))

    assert books.said(restore("lot", 1)) == {"lot": "lot", "restored": 9, "forgiven": 0}


@pytest.mark.parametrize(("more", "is_refused"), [(0, False), (1, True)])
def test_open_holds_name_so_many_lots_and_none_more(books, more, is_refused):
    """8 holds that each took of 511 lots, and one that takes of 8: exactly as many as may be named."""
    each = TAKES_MAX // 8 - 1
    held = {lot.id: replace(lot, held=8) for lot in lots(each, granted=8).values()}
    free = {LotId(f"free{n}"): replace(lot, id=LotId(f"free{n}")) for n, lot in enumerate(lots(9).values())}
    holds = {
        HoldId(f"h{n}"): Hold(
            id=HoldId(f"h{n}"),
            purpose="chat",
            principal="me",
            is_reservation=False,
            placed_at=NOW,
            expires_at=NOW + MINUTE,
            takes=tuple((lot, 1) for lot in held),
            placed=each,
        )
        for n in range(8)
    }
    account = replace(books.account, lots={**held, **free}, holds=holds)

    if is_refused:
        with pytest.raises(LimitReached, match="lots in reservations"):
            decide(account, hold("new", 8 + more), NOW, kid=KID)
    else:
        assert len(decide(account, hold("new", 8), NOW, kid=KID).account.holds) == 9


def test_an_adjustment_of_the_smallest_amount_is_a_gift_of_its_own(books):
    books.do(adjust(1, operation="op"))

    assert books.lot("lot_op") == Lot(
        id=LotId("lot_op"),
        source="adjustment",
        priority=10,
        granted_seq=1,
        expires_at=None,
        is_paid=False,
        granted=1,
    )


def test_an_adjustment_of_nothing_moves_nothing(books):
    books.do(adjust(0))

    assert (books.kinds(), books.postings(), books.account.lots) == (["adjustment"], [], {})


# Values --------------------------------------------------------------------------------------------------------------


def test_a_time_as_far_away_as_can_be_is_one_and_the_next_is_none(books):
    books.do(grant("lot", 1, expires_at=TIME_MAX))

    with pytest.raises(InvalidValue):
        books.do(grant("more", 1, expires_at=TIME_MAX + 1))


@pytest.mark.parametrize("count", [0, INTEGER_MAX])
def test_a_use_is_counted_from_nothing_to_as_much_as_can_be_written(books, count):
    books.do(charge(0, usage=(("input_tokens", count),)))

    assert books.bodies[-1]["usage"] == {"input_tokens": count}


@pytest.mark.parametrize(
    "told",
    [
        {"usage": (("input_tokens", -1),)},
        {"usage": (("input_tokens", INTEGER_MAX + 1),)},
        {"usage": (("input_tokens", 1), ("output_tokens", -1))},
        {"tags": (("model", "gpt"), ("key", "a text"))},
        {"tags": (("a text", "x"),)},
        {"tags": (("model", "one"), ("model", "two"))},
        {"usage": tuple((f"n{n}", n) for n in range(TOLD_MAX + 1))},
    ],
)
def test_no_text_and_no_more_than_a_few_counts_get_into_an_entry(books, told):
    with pytest.raises(InvalidValue):
        books.do(charge(0, **told))


def test_as_many_counts_as_may_be_told_are_told(books):
    usage: Any = tuple((f"n{n}", n) for n in range(TOLD_MAX))

    books.do(charge(0, usage=usage))

    assert books.bodies[-1]["usage"] == dict(usage)


@pytest.mark.parametrize(("per_minute", "seconds"), [(6, 10), (1, 60)])
def test_a_slow_rate_says_to_the_millisecond_when_the_next_call_is_welcome(books, per_minute, seconds):
    rate = RateLimit(per_minute=per_minute, burst=1)
    books.do(charge(0, rate=rate))

    with pytest.raises(RateLimited) as refusal:
        books.do(charge(0, rate=rate))

    assert refusal.value.params == {"retry_after_ms": seconds * 1_000}
    books.now += seconds * 1_000 - 1
    with pytest.raises(RateLimited):
        books.do(charge(0, rate=rate))
    books.now += 1
    books.do(charge(0, rate=rate))


def test_a_call_that_comes_a_microsecond_early_is_early(books):
    """At this rate calls are some milliseconds and one microsecond apart: that one is waited for."""
    per_minute = next(n for n in range(1, 60_000) if (60_000_000 // n) % 1_000 == 1)
    rate = RateLimit(per_minute=per_minute, burst=1)
    books.do(charge(0, rate=rate))
    books.now += 60_000_000 // per_minute // 1_000

    with pytest.raises(RateLimited) as refusal:
        books.do(charge(0, rate=rate))

    assert refusal.value.params == {"retry_after_ms": 1}


# Disputes ------------------------------------------------------------------------------------------------------------


def test_the_name_of_a_hold_is_no_dispute_s_open_or_resolved(books):
    books.do(grant("lot", 100))
    books.do(hold("open", 1))
    books.do(hold("ended", 1))
    books.do(release("ended"))
    books.do(suspend("disputed", "none"))

    for command in (
        suspend("open", "lot"),
        suspend("ended", "lot"),
        suspend("disputed", "lot"),
        grant("more", 1, suspension=HoldId("open")),
        grant("more", 1, suspension=HoldId("ended")),
    ):
        with pytest.raises(HoldExists):
            books.do(command)


def test_what_is_disputed_is_no_reservation_and_stays_with_the_first_dispute(books):
    books.do(grant("lot", 100))
    books.do(suspend("first", "lot"))
    books.do(suspend("second", "lot"))

    first, second = (books.account.holds[HoldId(name)] for name in ("first", "second"))
    assert (first.amount, second.amount) == (100, 0)
    assert (first.is_reservation, first.principal, first.purpose) == (False, "", "dispute")
    with pytest.raises(InsufficientCredits):
        books.do(charge(1))


def test_a_refund_beyond_what_is_disputed_and_left_is_owed_to_the_micro(books):
    """100 bought, 30 of them spent and 70 disputed; first 80 go back, then all."""
    books.do(grant("lot", 100))
    books.do(charge(30))
    books.do(suspend("dispute", "lot"))

    said = books.said(reverse("lot", 80))

    assert said == {"lot": "lot", "reversed": 70, "owed": 10}
    assert books.said(reverse("lot", 100)) == {"lot": "lot", "reversed": 0, "owed": 20}
    assert "hold" not in books.bodies[-1]


def test_a_refund_takes_what_is_free_before_what_is_disputed_and_owes_nothing(books):
    """Half of what was disputed went back and came again, outside of the dispute: 50 are free, 50 are not."""
    books.do(grant("lot", 100))
    books.do(suspend("dispute", "lot"))
    books.do(reverse("lot", 50))
    books.do(restore("lot", 0))

    books.do(reverse("lot", 20))
    free = (books.postings(), "hold" in books.bodies[-1])
    said = books.said(reverse("lot", 60))

    assert free == ([("available", "promo:welcome", 20, "lot")], False)
    assert said == {"lot": "lot", "reversed": 40, "owed": 0}
    assert books.postings() == [("available", "promo:welcome", 30, "lot"), ("held", "promo:welcome", 10, "lot")]
