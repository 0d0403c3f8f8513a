from dataclasses import replace

from shared.kernel.documents import PreconditionFailed
from shared.kernel.ids import Uid
from shared.users.principal import Principal
from shared.users.profiles import Profile
from tests.support.faults import FaultyDocuments
from tests.support.people import People

ANN = Principal(uid=Uid("ann"), email="ann@example.com", is_email_verified=True, name="Ann")


def test_a_profile_says_who_was_seen_and_when():
    people = People()

    profile = people.profiles.ensure(ANN)

    assert profile == Profile(
        uid=Uid("ann"),
        status="active",
        email="ann@example.com",
        is_email_verified=True,
        display_name="Ann",
        created_at=people.clock.now(),
    )
    assert people.profiles.get(Uid("ann")) == profile


def test_who_was_never_seen_has_no_profile():
    assert People().profiles.get(Uid("nobody")) is None


def test_a_linked_anonymous_user_keeps_the_profile_and_gains_an_address():
    people = People()
    created = people.profiles.ensure(Principal(uid=Uid("ann"), is_anonymous=True))
    people.clock.advance(1000)

    linked = people.profiles.ensure(ANN)

    named = replace(created, email="ann@example.com", is_email_verified=True, display_name="Ann")
    assert linked == replace(named, is_anonymous=False)


def test_an_older_token_takes_nothing_back():
    people = People()
    profile = people.profiles.ensure(ANN)

    again = people.profiles.ensure(Principal(uid=Uid("ann"), is_anonymous=True))

    assert again == profile


def test_an_api_key_says_nothing_about_its_owner():
    people = People()
    profile = people.profiles.ensure(ANN)

    again = people.profiles.ensure(Principal(uid=Uid("ann"), auth="api_key", name="ci"))

    assert again == profile


def test_a_tombstone_holds_no_personal_data_and_stays():
    people = People()
    people.profiles.ensure(ANN)
    people.profiles.erase(Uid("ann"))
    closed_at = people.clock.now()
    people.clock.advance(1000)

    people.profiles.erase(Uid("ann"))
    seen = people.profiles.ensure(ANN)

    assert seen == Profile(uid=Uid("ann"), status="closed", closed_at=closed_at)
    assert set(people.stored("users/ann")) == {"uid", "status", "closed_at"}


def test_who_was_never_seen_can_be_closed_too():
    people = People()

    people.profiles.erase(Uid("ann"))

    assert people.profiles.ensure(ANN).is_closed


def test_nothing_is_remembered_about_one_who_left():
    people = People()
    people.profiles.erase(Uid("ann"))

    assert not people.profiles.greeted(Uid("ann"), None)
    assert not people.profiles.claimed(Uid("ann"))
    assert set(people.stored("users/ann")) == {"uid", "status", "closed_at"}


def test_a_profile_that_changes_meanwhile_is_read_again():
    people = People()
    moved = FaultyDocuments(people.documents, at=1, error=PreconditionFailed())

    created = people.again(moved).profiles.ensure(ANN)

    assert created == people.profiles.get(Uid("ann"))


def test_a_tombstone_is_set_though_the_profile_changes_meanwhile():
    people = People()
    people.profiles.ensure(ANN)
    moved = FaultyDocuments(people.documents, at=1, error=PreconditionFailed())

    people.again(moved).profiles.erase(Uid("ann"))

    assert people.profile(Uid("ann")).is_closed
