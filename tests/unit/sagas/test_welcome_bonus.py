import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from shared.kernel.documents import OutcomeUnknown
from shared.kernel.errors import DomainError
from shared.ledger.commands import Freeze
from shared.ledger.receipts import GrantReceipt
from shared.sagas.accounts.welcome_bonus import AlreadyClaimed, BonusNotAllowed
from shared.users.principal import Principal
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import CREDIT, People, op, settings, signing_key

BONUS = 1000 * CREDIT


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each call gave, or the error it raised, all started together."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[index] = call()
        except DomainError as error:
            results[index] = type(error)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def claim(people: People, principal: Principal, key: str = "key") -> GrantReceipt:
    return people.bonus.claim(principal, op(key), "body")


def test_a_user_gets_the_bonus_once():
    people = People()
    ann = people.user()

    result = claim(people, ann)

    balance = people.ledger.balance(ann.uid)
    assert (result.amount, result.after.available) == (BONUS, BONUS)
    assert [(lot.source, lot.is_paid, lot.available) for lot in balance.lots] == [("promo:welcome", False, BONUS)]
    assert people.profile(ann.uid).welcome_claimed_at == people.clock.now()


def test_the_same_key_gets_the_same_answer_and_another_is_told_it_was_claimed():
    people = People()
    ann = people.user()
    first = claim(people, ann, "one")

    again = claim(people.again(), ann, "one")

    assert again == first
    with pytest.raises(AlreadyClaimed):
        claim(people, ann, "two")
    assert people.ledger.balance(ann.uid).total == BONUS


def test_another_spelling_of_the_mailbox_gets_nothing():
    people = People()
    claim(people, people.user("ann@gmail.com"))
    other = people.user("A.n.n+again@googlemail.com")

    with pytest.raises(AlreadyClaimed):
        claim(people, other, "other")
    assert people.ledger.balance(other.uid).total == 0


def test_a_mailbox_stays_claimed_when_its_user_has_left():
    people = People()
    ann = people.user()
    claim(people, ann)
    people.leaving.leave(ann.uid)

    with pytest.raises(AlreadyClaimed):
        claim(people, people.user("ann@example.com"), "new")


def test_a_phone_number_counts_like_a_mailbox():
    people = People()
    claim(people, people.user(None, phone="+15550100"))
    other = people.user("bob@example.com", phone="+15550100")

    with pytest.raises(AlreadyClaimed):
        claim(people, other, "other")


def test_a_user_who_changes_the_address_gets_nothing_more():
    people = People()
    ann = people.user()
    claim(people, ann, "one")

    with pytest.raises(AlreadyClaimed):
        claim(people, replace(ann, email="ann@example.org"), "two")
    assert people.ledger.balance(ann.uid).total == BONUS


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        ({"email": None}, "anonymous"),
        ({"email": "ann@example.com", "is_email_verified": False}, "unverified"),
    ],
)
def test_who_has_shown_nothing_gets_nothing(principal: dict, reason: str):
    people = People()
    user = people.user(**principal)

    with pytest.raises(BonusNotAllowed) as refused:
        claim(people, user)

    assert refused.value.params == {"reason": reason}
    assert people.ledger.balance(user.uid).total == 0
    assert people.documents.get(f"bonus_claims/{user.uid}") is None


def test_an_api_key_claims_nothing():
    people = People()
    ann = people.user()

    with pytest.raises(BonusNotAllowed):
        claim(people, replace(ann, auth="api_key"))


def test_a_laptop_takes_an_unverified_address():
    people = People(settings=settings(WELCOME_BONUS_REQUIRES="any"))
    ann = people.user(is_email_verified=False)

    assert claim(people, ann).amount == BONUS


def test_anonymous_users_get_nothing_on_a_laptop_either():
    people = People(settings=settings(WELCOME_BONUS_REQUIRES="any"))

    with pytest.raises(BonusNotAllowed):
        claim(people, people.user(None))


def test_a_linked_anonymous_user_may_claim():
    people = People()
    guest = people.user(None)
    people.identity.link_email(guest.uid, "ann@example.com")
    linked = people.identity.verify(people.identity.token(guest.uid))

    assert claim(people, linked).amount == BONUS


def test_a_rotated_key_keeps_old_claims():
    old = settings(LEDGER_SIGNING_KEY=signing_key("k1", 1))
    both = settings(LEDGER_SIGNING_KEY=f"{signing_key('k2', 2)},{signing_key('k1', 1)}")
    people = People(settings=old)
    claim(people, people.user())
    rotated = people.again(settings=both)
    other = rotated.user("ann+2@example.com")

    with pytest.raises(AlreadyClaimed):
        claim(rotated, other, "other")


def test_claims_under_all_keys_outlive_the_first_of_them():
    both = settings(LEDGER_SIGNING_KEY=f"{signing_key('k2', 2)},{signing_key('k1', 1)}")
    people = People(settings=both)
    claim(people, people.user())
    later = people.again(settings=settings(LEDGER_SIGNING_KEY=f"{signing_key('k3', 3)},{signing_key('k2', 2)}"))
    other = later.user("ann+2@example.com")

    with pytest.raises(AlreadyClaimed):
        claim(later, other, "other")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_crash_anywhere_is_finished_by_asking_again(at: int, when):
    people = People()
    ann = people.user()
    with pytest.raises(Crash):
        claim(people.again(FaultyDocuments(people.documents, at=at, when=when)), ann)

    result = claim(people.again(), ann)

    assert (result.amount, people.ledger.balance(ann.uid).total) == (BONUS, BONUS)
    assert people.profile(ann.uid).welcome_claimed_at is not None


def test_a_crash_between_claim_and_grant_is_finished_under_another_key_too():
    people = People()
    ann = people.user()
    with pytest.raises(Crash):
        claim(people.again(FaultyDocuments(people.documents, at=1, when="after")), ann, "lost")

    claim(people.again(), ann, "new")

    with pytest.raises(AlreadyClaimed):
        claim(people.again(), ann, "lost")
    assert people.ledger.balance(ann.uid).total == BONUS


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_unclear_claim_is_cleared_up_by_asking_again(when):
    people = People()
    ann = people.user()
    with pytest.raises(OutcomeUnknown):
        claim(people.again(FaultyDocuments(people.documents, at=1, when=when, error=OutcomeUnknown())), ann)

    assert claim(people.again(), ann).amount == BONUS


def test_a_frozen_account_may_still_receive():
    people = People()
    ann = people.user()
    people.ledger.execute(ann.uid, Freeze(operation=op("freeze")))

    assert claim(people, ann).amount == BONUS


def test_two_users_of_one_mailbox_at_once_get_one_bonus():
    for attempt in range(8):
        people = People()
        users = [people.user(f"ann+{n}@example.com") for n in range(4)]

        results = at_once(*(partial(claim, people.again(), user, user.uid) for user in users))

        assert results.count(AlreadyClaimed) == 3, attempt
        assert sum(people.ledger.balance(user.uid).total for user in users) == BONUS


def test_one_user_asking_many_times_at_once_gets_one_bonus():
    for _ in range(5):
        people = People()
        ann = people.user()

        results = at_once(*(partial(claim, people.again(), ann, f"key{key}") for key in range(8)))

        assert results.count(AlreadyClaimed) == 7
        assert people.ledger.balance(ann.uid).total == BONUS


def test_the_same_key_many_times_at_once_gets_one_answer():
    people = People()
    ann = people.user()

    results = at_once(*(partial(claim, people, ann) for _ in range(8)))

    assert all(result == results[0] for result in results)
    assert people.ledger.balance(ann.uid).total == BONUS
