import threading
from contextlib import suppress

import pytest

from shared.kernel.ids import LotId, Uid
from shared.kernel.money import Micro
from shared.ledger.commands import Charge, Grant, Reverse
from shared.sagas.accounts.mailbox_debts import NONE_OWED
from shared.users.principal import Principal
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import CREDIT, People, op, settings

OWED = 300 * CREDIT


def in_debt(people: People, email: str = "ann@shop.example", owed: int = OWED, **details: object) -> Principal:
    """Return a user who spent credits whose money went back."""
    user = people.user(email, **details)
    bought(people, user.uid, f"first-{user.uid}", owed)
    people.ledger.execute(user.uid, Charge(operation=op(f"spend-{user.uid}"), amount=Micro(owed), purpose="chat"))
    reverse = Reverse(operation=op(f"back-{user.uid}"), lot=LotId(f"lot_first-{user.uid}"), target=Micro(owed))
    people.ledger.execute(user.uid, reverse)
    assert people.ledger.balance(user.uid).debt == owed
    return user


def bought(people: People, uid: Uid, payment: str, amount: int) -> None:
    """Grant what a payment bought, and note it, as the payment's saga does; doing it again changes nothing."""
    lot = LotId(f"lot_{payment}")
    grant = Grant(operation=op(payment), amount=Micro(amount), lot=lot, source="world:stripe", is_paid=True)
    people.ledger.execute(uid, grant)
    people.debts.purchased(uid, payment, [(lot, Micro(amount))])


def available(people: People, user: Principal) -> int:
    return people.ledger.balance(user.uid).available // CREDIT


def test_who_left_in_debt_pays_with_the_next_purchase_of_the_mailbox():
    people = People()
    people.leaving.leave(in_debt(people).uid)
    again = people.user("ANN+new@shop.example")

    bought(people, again.uid, "pay_1", 1000 * CREDIT)

    assert available(people, again) == 700
    assert people.ledger.verify(again.uid) == []


def test_a_debt_is_paid_once_by_any_number_of_purchases():
    people = People()
    people.leaving.leave(in_debt(people).uid)
    again, other = people.user("ann@shop.example"), people.user("ann+2@shop.example")

    for user, payment in ((again, "pay_1"), (again, "pay_1"), (again, "pay_2"), (other, "pay_3")):
        bought(people, user.uid, payment, 1000 * CREDIT)

    assert (available(people, again), available(people, other)) == (1700, 1000)


def test_a_purchase_that_is_too_small_pays_what_it_can():
    people = People()
    people.leaving.leave(in_debt(people).uid)
    again = people.user("ann@shop.example")

    bought(people, again.uid, "pay_1", 100 * CREDIT)
    after_the_first = available(people, again)
    bought(people, again.uid, "pay_2", 1000 * CREDIT)

    assert (after_the_first, available(people, again)) == (0, 800)


def test_debts_of_several_accounts_add_up():
    people = People()
    users = [in_debt(people, f"ann+{number}@shop.example") for number in range(3)]
    for user in users:
        people.leaving.leave(user.uid)
    again = people.user("ann@shop.example")

    bought(people, again.uid, "pay_1", 1000 * CREDIT)

    assert available(people, again) == 100


def test_another_mailbox_pays_nothing():
    people = People()
    people.leaving.leave(in_debt(people).uid)
    bob = people.user("bob@shop.example")

    bought(people, bob.uid, "pay_1", 1000 * CREDIT)

    assert available(people, bob) == 1000


def test_an_address_that_was_never_verified_neither_leaves_nor_pays_a_debt():
    people = People()
    people.leaving.leave(in_debt(people, "eve@shop.example", is_email_verified=False).uid)
    people.leaving.leave(in_debt(people, "ann@shop.example").uid)
    eve = people.user("eve@shop.example")
    unverified = people.user("ann@shop.example", is_email_verified=False)

    bought(people, eve.uid, "pay_1", 1000 * CREDIT)
    bought(people, unverified.uid, "pay_2", 1000 * CREDIT)

    assert (available(people, eve), available(people, unverified)) == (1000, 1000)


def test_a_debt_is_remembered_once_when_leaving_is_asked_again():
    people = People()
    ann = in_debt(people)

    for _ in range(3):
        people.leaving.leave(ann.uid)

    again = people.user("ann@shop.example")
    bought(people, again.uid, "pay_1", 1000 * CREDIT)
    assert available(people, again) == 700


def test_purchases_at_once_pay_a_debt_once():
    for _ in range(10):
        people = People()
        people.leaving.leave(in_debt(people).uid)
        users = [people.user(f"ann+{number}@shop.example") for number in range(4)]
        threads = [
            threading.Thread(target=bought, args=(people, user.uid, f"pay_{number}", 1000 * CREDIT))
            for number, user in enumerate(users)
        ]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(available(people, user) for user in users) == 3700


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_anywhere_is_finished_by_asking_again(at, when):
    people = People()
    people.leaving.leave(in_debt(people).uid)
    again = people.user("ann@shop.example")
    dying = people.again(FaultyDocuments(people.documents, at=at, when=when))
    with suppress(Crash):
        bought(dying, again.uid, "pay_1", 1000 * CREDIT)

    bought(people.again(), again.uid, "pay_1", 1000 * CREDIT)

    assert available(people.again(), again) == 700


def test_a_debt_is_found_under_the_mark_of_an_older_secret():
    people = People()
    people.leaving.leave(in_debt(people).uid)
    later = people.again(settings=settings(MARKS_SECRET="a secret of its own"))
    again = later.user("ann@shop.example")

    bought(later, again.uid, "pay_1", 1000 * CREDIT)

    assert available(later, again) == 700


def test_a_part_that_could_not_be_paid_is_owed_again():
    debt = NONE_OWED.with_departed("left_1", 300).with_part_taken("pay_1", 1000)

    after = debt.with_part_paid("pay_1", 100)

    assert (after.owed, dict(after.taken), dict(after.paid)) == (200, {}, {"pay_1": 100})
    assert after.with_part_taken("pay_1", 1000) == after
