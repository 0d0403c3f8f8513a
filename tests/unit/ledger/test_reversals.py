"""Bought credits whose money is in question: taken back, given back, and out of reach while somebody argues."""

from typing import Any

import pytest

from shared.kernel.errors import IdempotencyMismatch
from shared.kernel.ids import HoldId, LotId, OperationId
from shared.kernel.money import Micro
from shared.ledger.account import HOLDS_MAX, SUSPENSIONS_MAX
from shared.ledger.commands import Annul, Restore, Reverse
from shared.ledger.errors import HoldExists, HoldNotFound, InsufficientCredits, LimitReached, LotNotFound
from tests.support.books import (
    MINUTE,
    Books,
    annul,
    capture,
    charge,
    close,
    expire,
    extend,
    grant,
    hold,
    reinstate,
    release,
    restore,
    reverse,
    suspend,
)
from tests.support.ledgers import UID, World
from tests.support.ledgers import grant as ledger_grant

BOUGHT: dict[str, Any] = {"source": "world:stripe", "priority": 20, "is_paid": True}


def bought(amount: int = 100) -> Books:
    books = Books()
    books.do(grant("bought", amount, **BOUGHT))
    return books


def money(books: Books) -> tuple[int, int, int]:
    return books.account.available, books.account.held, books.account.debt


# Given back -------------------------------------------------------------------------------------------------------


def test_a_reversal_that_is_undone_leaves_everything_as_it_was():
    books = bought()
    before = books.account.lots

    books.do(reverse("bought", 30))
    books.do(restore("bought", 0))

    assert (books.account.lots, money(books)) == (before, (100, 0, 0))


def test_what_was_owed_is_forgiven_before_anything_comes_back():
    books = bought()
    books.do(charge(80))
    books.do(reverse("bought", 100))

    assert books.said(restore("bought", 50)) == {"lot": "bought", "restored": 0, "forgiven": 50}
    assert money(books) == (0, 0, 30)
    assert books.said(restore("bought", 0)) == {"lot": "bought", "restored": 20, "forgiven": 30}
    assert money(books) == (20, 0, 0)


def test_debt_that_was_paid_meanwhile_comes_back_as_credits():
    books = bought()
    books.do(charge(100))
    books.do(reverse("bought", 100))
    books.do(grant("next", 150, **BOUGHT))
    assert money(books) == (50, 0, 0)

    books.do(restore("bought", 0))

    assert money(books) == (150, 0, 0)


def test_what_came_back_can_be_taken_again_and_once_only():
    books = bought()
    books.do(charge(100))
    books.do(reverse("bought", 100))
    books.do(grant("next", 100, **BOUGHT))
    books.do(restore("bought", 0))

    books.do(reverse("bought", 100))
    books.do(reverse("bought", 100))

    assert money(books) == (0, 0, 0)


def test_restoring_to_a_target_already_reached_changes_nothing():
    books = bought()
    books.do(reverse("bought", 30))

    assert books.said(restore("bought", 30)) == {"lot": "bought", "restored": 0, "forgiven": 0}
    assert books.said(restore("bought", 99)) == {"lot": "bought", "restored": 0, "forgiven": 0}
    assert books.kinds() == ["grant", "reversal"]


def test_credits_whose_time_is_over_do_not_come_back_to_be_spent():
    books = Books()
    books.do(grant("short", 100, expires_at=books.now + MINUTE))
    books.do(reverse("short", 100))
    books.now += 2 * MINUTE

    books.do(restore("short", 0))

    assert money(books) == (0, 0, 0)
    assert books.lot("short").expired == 100


def test_nothing_is_restored_that_was_never_granted():
    with pytest.raises(LotNotFound):
        bought().do(restore("other", 0))


# Set aside --------------------------------------------------------------------------------------------------------


def test_disputed_credits_cannot_be_spent():
    books = bought()
    books.do(grant("gift", 7))

    assert books.said(suspend("dispute", "bought")) == {"hold": "dispute", "amount": 100}
    assert money(books) == (7, 100, 0)
    with pytest.raises(InsufficientCredits):
        books.do(charge(8))


def test_a_reservation_that_took_disputed_credits_ends():
    books = bought()
    books.do(grant("gift", 7))
    books.do(hold("mine", 57, is_reservation=True))

    books.do(suspend("dispute", "bought"))

    assert [ended.status for ended in books.archive.holds.values()] == ["released"]
    assert money(books) == (7, 100, 0)


def test_a_call_under_way_keeps_what_is_not_disputed_and_its_capture_takes_no_more():
    books = bought()
    books.do(grant("gift", 7))
    books.do(hold("call", 57))

    books.do(suspend("dispute", "bought"))
    assert books.account.holds[HoldId("call")].takes == ((LotId("gift"), 7),)
    done = books.said(capture("call", 57))

    assert (done["captured"], done["absorbed"]) == (7, 50)
    assert money(books) == (0, 100, 0)


def test_a_call_under_way_cannot_grow_into_disputed_credits():
    books = bought()
    books.do(hold("call", 10))
    books.do(suspend("dispute", "bought"))

    with pytest.raises(InsufficientCredits):
        books.do(extend("call", 10, at_least=1))


def test_nobody_can_capture_or_release_what_is_disputed():
    books = bought()
    books.do(suspend("dispute", "bought"))

    for command in (capture("dispute", 1, principal="user:ada"), release("dispute", principal="user:ada")):
        with pytest.raises(HoldNotFound):
            books.do(command)


def test_a_dispute_that_is_won_gives_everything_back():
    books = bought()
    before = books.account.lots
    books.do(suspend("dispute", "bought"))

    assert books.said(reinstate("dispute")) == {"hold": "dispute", "released": 100}
    assert (books.account.lots, money(books)) == (before, (100, 0, 0))


def test_a_dispute_that_is_lost_takes_what_was_set_aside_and_the_rest_is_owed():
    books = bought()
    books.do(charge(30))
    books.do(suspend("dispute", "bought"))

    assert books.said(reverse("bought", 100)) == {"lot": "bought", "reversed": 70, "owed": 30}
    books.do(reinstate("dispute"))

    assert money(books) == (0, 0, 30)


def test_a_refund_while_a_dispute_is_open_takes_from_what_is_set_aside():
    books = bought()
    books.do(suspend("dispute", "bought"))

    books.do(reverse("bought", 40))
    books.do(reinstate("dispute"))

    assert money(books) == (60, 0, 0)


def test_what_comes_back_while_a_dispute_is_open_comes_back_into_it():
    books = bought()
    books.do(reverse("bought", 30))
    books.do(suspend("dispute", "bought"))

    assert books.said(restore("bought", 0, into="dispute")) == {"lot": "bought", "restored": 30, "forgiven": 0}
    assert money(books) == (0, 100, 0)
    books.do(reinstate("dispute"))
    assert money(books) == (100, 0, 0)


def test_credits_that_are_disputed_when_they_come_come_out_of_reach():
    books = Books()
    books.do(grant("bought", 100, **BOUGHT, suspension="dispute"))
    books.do(grant("gift", 10, suspension="dispute"))
    assert money(books) == (0, 110, 0)

    books.do(reinstate("dispute"))

    assert money(books) == (110, 0, 0)


def test_debt_is_paid_before_anything_is_set_aside():
    books = bought()
    books.do(charge(100))
    books.do(reverse("bought", 100))

    books.do(grant("next", 130, **BOUGHT, suspension="dispute"))

    assert money(books) == (0, 30, 0)


def test_a_suspension_ends_once_and_one_that_never_was_ends_at_once():
    books = bought()
    books.do(suspend("dispute", "bought"))
    books.do(hold("call", 0))
    books.do(reinstate("dispute"))

    assert books.said(reinstate("dispute")) == {"hold": "dispute", "released": 0}
    assert books.said(reinstate("call")) == {"hold": "call", "released": 0}
    with pytest.raises(HoldExists):
        books.do(suspend("dispute", "bought"))


def test_time_ends_no_suspension():
    books = bought()
    books.do(suspend("dispute", "bought"))
    books.now += 400 * 24 * 60 * MINUTE

    books.do(expire())

    assert money(books) == (0, 100, 0)


def test_a_dispute_about_what_is_spent_sets_nothing_aside():
    books = bought()
    books.do(charge(100))

    assert books.said(suspend("dispute", "bought")) == {"hold": "dispute", "amount": 0}


def test_a_user_with_all_reservations_open_can_be_disputed_all_the_same():
    books = bought(HOLDS_MAX + 10)
    for n in range(HOLDS_MAX):
        books.rush(hold(f"h{n}", 1))

    books.rush(suspend("dispute", "bought"))

    assert books.account.available == 0
    assert books.account.holds[HoldId("dispute")].takes == ((LotId("bought"), HOLDS_MAX + 10),)


def test_suspensions_have_a_limit_of_their_own():
    books = bought()
    for n in range(SUSPENSIONS_MAX):
        books.rush(suspend(f"d{n}", "bought"))

    with pytest.raises(LimitReached):
        books.do(suspend("one more", "bought"))


def test_credits_that_are_disputed_when_they_come_count_against_that_limit_and_break_no_other():
    books = bought(HOLDS_MAX + 10)
    for n in range(HOLDS_MAX):
        books.rush(hold(f"h{n}", 1))
    for n in range(SUSPENSIONS_MAX):
        books.rush(suspend(f"d{n}", "none"))

    with pytest.raises(LimitReached):
        books.rush(grant("next", 5, **BOUGHT, suspension="one more"))

    books.rush(grant("next", 5, **BOUGHT, suspension="d0"))
    assert books.account.holds[HoldId("d0")].takes == ((LotId("next"), 5),)


def test_who_leaves_during_a_dispute_leaves_nothing():
    books = bought()
    books.do(suspend("dispute", "bought"))

    books.do(close())

    assert money(books) == (0, 0, 0)


# Used up ----------------------------------------------------------------------------------------------------------


def test_an_annulled_operation_moves_nothing():
    books = bought()
    before = books.account

    decision = books.do(annul())

    assert (decision.entries, books.account) == ((), before)


def test_whoever_comes_late_finds_the_operation_used_up():
    ledger = World().ledger
    late = ledger_grant("k", 5)
    ledger.execute(UID, Annul(operation=late.operation, fingerprint="annulled"))

    with pytest.raises(IdempotencyMismatch):
        ledger.execute(UID, late)

    assert ledger.balance(UID).total == 0


def test_what_was_done_before_cannot_be_annulled():
    ledger = World().ledger
    done = ledger_grant("k", 5)
    ledger.execute(UID, done)

    with pytest.raises(IdempotencyMismatch):
        ledger.execute(UID, Annul(operation=done.operation, fingerprint="annulled"))

    assert ledger.balance(UID).total == 5


def test_an_archived_lot_is_found_by_an_instance_that_never_saw_it():
    world = World()
    world.ledger.execute(UID, ledger_grant("k", 5))
    world.ledger.execute(UID, Reverse(operation=OperationId("r"), lot=LotId("lot_k"), target=Micro(5)))

    world.ledger.execute(UID, Restore(operation=OperationId("u"), lot=LotId("lot_k"), target=Micro(2)))

    assert world.ledger.balance(UID).available == 3
    assert world.ledger.verify(UID) == []


# A part of it -----------------------------------------------------------------------------------------------------


def test_suspension_of_a_part_leaves_the_rest_to_spend():
    books = bought()

    books.do(suspend("s", "bought", limits=(30,)))
    assert money(books) == (70, 30, 0)
    books.do(reinstate("s"))

    assert money(books) == (100, 0, 0)


def test_suspension_of_a_part_leaves_other_holds_where_enough_is_available():
    books = bought()
    books.do(hold("h", 60))

    books.do(suspend("s", "bought", limits=(40,)))

    assert (money(books), books.account.holds[HoldId("h")].amount) == ((0, 100, 0), 60)


def test_suspension_of_a_part_takes_from_other_holds_what_is_missing():
    books = bought()
    books.do(hold("h", 80))

    books.do(suspend("s", "bought", limits=(40,)))

    assert (money(books), books.account.holds[HoldId("h")].amount) == ((60, 40, 0), 0)


def test_reversal_takes_other_credits_before_it_makes_debt():
    books = bought()
    books.do(charge(90))
    books.do(grant("gift", 50))

    books.do(reverse("bought", 100))

    assert money(books) == (0, 0, 40)


def test_reversal_paid_with_other_credits_comes_back_when_undone():
    books = bought()
    books.do(charge(90))
    books.do(grant("gift", 200))
    books.do(reverse("bought", 100))
    assert money(books) == (110, 0, 0)

    books.do(restore("bought", 0))

    assert money(books) == (210, 0, 0)
