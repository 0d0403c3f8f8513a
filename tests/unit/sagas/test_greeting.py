import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from shared.kernel.clock import DAY, to_datetime
from shared.kernel.documents import OutcomeUnknown, PreconditionFailed
from shared.kernel.ids import Uid
from shared.users.sign_ups import SignUpBook, SignUpSums
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import CREDIT, People


def test_a_new_user_is_greeted_with_an_offer_and_an_open_account(capsys: pytest.CaptureFixture[str]):
    people = People()
    ann = people.stranger()
    people.profiles.ensure(ann)

    is_greeted = people.greeting.greet(ann.uid)

    profile = people.profile(ann.uid)
    assert is_greeted
    assert (profile.greeted_at, profile.welcome_offer) == (people.clock.now(), 1000 * CREDIT)
    assert people.stored(f"accounts/{ann.uid}") is not None
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["event"] == "user_greeted"


def test_greeting_twice_is_greeting_once():
    people = People()
    ann = people.user()
    people.greeting.greet(ann.uid)
    greeted = people.documents.get(f"users/{ann.uid}")
    people.clock.advance(1000)

    assert not people.greeting.greet(ann.uid)
    assert people.documents.get(f"users/{ann.uid}") == greeted


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [Crash(), OutcomeUnknown("lost"), PreconditionFailed()], ids=type)
def test_sign_up_counts_once_however_often_the_event_is_delivered(fault, when):
    people = People()
    ann, guest = people.user(), people.user(None)
    first = people.clock.now()
    people.clock.advance(DAY)
    for uid in (ann.uid, guest.uid):
        for at in (1, 2, 3):
            with suppress(Crash, OutcomeUnknown):
                people.again(FaultyDocuments(people.documents, at=at, when=when, error=fault)).greeting.greet(uid)
        people.again().greeting.greet(uid)
        people.again().greeting.greet(uid)

    days = SignUpBook(people.documents).days(to_datetime(first).date(), to_datetime(people.clock.now()).date())

    assert days == {to_datetime(first).date().isoformat(): SignUpSums(users=1, anonymous=1)}


def test_users_who_sign_up_at_once_are_all_counted():
    people = People()
    users = [people.user().uid for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(people.again().greeting.greet, users))

    today = to_datetime(people.clock.now()).date()
    assert SignUpBook(people.documents).days(today, today) == {today.isoformat(): SignUpSums(users=12)}


def test_an_anonymous_user_is_offered_nothing_they_could_not_claim():
    people = People()
    guest = people.user(None)

    people.greeting.greet(guest.uid)

    assert people.profile(guest.uid).welcome_offer is None


def test_who_has_left_is_not_greeted():
    people = People()
    ann = people.user()
    people.leaving.leave(ann.uid)

    assert not people.greeting.greet(ann.uid)
    assert people.profile(ann.uid).greeted_at is None


def test_nobody_is_not_greeted():
    assert not People().greeting.greet(Uid("nobody"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_crash_while_greeting_is_finished_by_the_next_delivery(at: int, when):
    people = People()
    ann = people.stranger()
    people.profiles.ensure(ann)
    with pytest.raises(Crash):
        people.again(FaultyDocuments(people.documents, at=at, when=when)).greeting.greet(ann.uid)

    people.again().greeting.greet(ann.uid)

    assert people.profile(ann.uid).greeted_at == people.clock.now()


def test_a_profile_that_changes_meanwhile_is_read_again():
    people = People()
    ann = people.user()
    faulty = FaultyDocuments(people.documents, at=2, error=PreconditionFailed())

    assert people.again(faulty).greeting.greet(ann.uid)
