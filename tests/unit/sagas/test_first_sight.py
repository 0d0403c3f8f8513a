import threading
from dataclasses import replace

import pytest

from shared.ledger.errors import AccountClosed
from shared.platform.memory.documents import MemoryDocuments
from shared.sagas.accounts import first_sight
from tests.support.faults import Crash, FaultyDocuments
from tests.support.people import People


def test_the_first_sight_of_a_caller_opens_their_account():
    people = People()
    ann = people.stranger()

    profile = people.first_sight.see(ann)

    assert profile == people.profiles.get(ann.uid)
    assert people.stored(f"accounts/{ann.uid}")["available"] == "0"


def test_a_known_caller_costs_nothing():
    documents = FaultyDocuments(MemoryDocuments())
    people = People(documents=documents)
    ann = people.user()
    calls = documents.calls

    profile = people.first_sight.see(ann)

    assert profile.uid == ann.uid
    assert documents.calls == calls


def test_a_caller_who_is_known_for_long_costs_one_read():
    documents = FaultyDocuments(MemoryDocuments())
    people = People(documents=documents)
    ann = people.user()
    people.clock.advance(int(first_sight.SEEN_LIFETIME_SECONDS * 1000))
    calls = documents.calls

    people.first_sight.see(ann)

    assert documents.calls == calls + 1


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_first_sight_is_finished_by_the_next(at: int, when):
    people = People()
    ann = people.stranger()
    with pytest.raises(Crash):
        people.again(FaultyDocuments(people.documents, at=at, when=when)).first_sight.see(ann)

    people.again().first_sight.see(ann)

    assert people.profile(ann.uid).status == "active"
    assert people.stored(f"accounts/{ann.uid}") is not None


def test_who_has_left_stays_out_though_the_token_is_valid():
    people = People()
    ann = people.user()
    people.leaving.leave(ann.uid)

    with pytest.raises(AccountClosed):
        people.first_sight.see(ann)
    with pytest.raises(AccountClosed):
        people.again().first_sight.see(ann)


def test_an_instance_hears_within_its_memory_that_a_user_left_elsewhere():
    people = People()
    ann = people.user()
    people.again().leaving.leave(ann.uid)

    people.clock.advance(int(first_sight.SEEN_LIFETIME_SECONDS * 1000))

    with pytest.raises(AccountClosed):
        people.first_sight.see(ann)


def test_a_token_that_says_more_is_looked_at_again():
    people = People()
    guest = people.user(None)
    linked = replace(guest, email="ann@example.com", is_anonymous=False)

    profile = people.first_sight.see(linked)

    assert profile.email == "ann@example.com"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(first_sight, "SEEN_MAX", 3)
    people = People()

    for number in range(5):
        people.user(f"user{number}@example.com")

    assert len(people.first_sight._seen) == 3


def test_many_first_sights_at_once_make_one_account():
    people = People()
    ann = people.stranger()
    failures: list[BaseException] = []

    def see() -> None:
        try:
            people.again().first_sight.see(ann)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=see) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert people.ledger.balance(ann.uid).total == 0
