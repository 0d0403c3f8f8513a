"""Requests to stop: one document per user, a minute long, bounded for each caller, the client's text never stored."""

from dataclasses import replace

import pytest

from shared.kernel.documents import OutcomeUnknown
from shared.kernel.ids import Uid
from shared.platform.memory.clock import ManualClock
from shared.sagas.metering.stop_requests import (
    EARLY_REQUESTS_MAX,
    EVERYBODY,
    REMEMBERED_FOR,
    USER_REQUESTS_MAX,
    CallName,
    StopRequests,
    TooManyStops,
)
from tests.support.faults import FaultyDocuments
from tests.support.indexes import stored

ANN, BOB = Uid("ann"), Uid("bob")
FIRST, SECOND = CallName.of_request("first"), CallName.of_conversation("conv_2")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def documents():
    return stored()


@pytest.fixture
def requests(documents, clock):
    return StopRequests(documents, clock)


def ask(requests, name=FIRST, *, uid=ANN, caller=EVERYBODY, since=0, is_early=True):
    request = replace(requests.new(uid, name, caller), is_early=is_early)
    requests.store(request, since=since)
    return request


def test_requests_come_back_as_they_were_stored(requests):
    asked = [ask(requests), ask(requests, SECOND, caller="key:a"), ask(requests, uid=BOB)]

    assert requests.of_users([ANN, BOB, Uid("nobody")]) == asked
    assert requests.of_users([]) == []


def test_a_request_is_forgotten_after_its_time(requests, clock):
    ask(requests)

    clock.advance(REMEMBERED_FOR)

    assert requests.of_users([ANN]) == []


def test_the_same_request_is_stored_once_more_only_when_it_is_newer(requests, clock):
    first = ask(requests)
    clock.advance(1_000)

    ask(requests, since=first.at - 1)
    assert requests.of_users([ANN]) == [first]
    again = ask(requests, since=first.at)

    assert requests.of_users([ANN]) == [again]


def test_a_caller_who_names_too_many_calls_is_refused_for_a_while(requests, clock):
    for number in range(EARLY_REQUESTS_MAX):
        ask(requests, CallName.of_request(str(number)))

    with pytest.raises(TooManyStops) as refusal:
        ask(requests, CallName.of_request("one more"))

    assert refusal.value.params["retry_after_ms"] == REMEMBERED_FOR
    ask(requests, CallName.of_request("one more"), caller="key:a")
    ask(requests, CallName.of_request("it runs"), is_early=False)
    clock.advance(REMEMBERED_FOR)
    ask(requests, CallName.of_request("one more"))


def test_many_callers_of_one_user_fill_one_bounded_document(requests, documents):
    for number in range(USER_REQUESTS_MAX + 5):
        ask(requests, caller=f"key:{number}")

    kept = requests.of_users([ANN])
    assert (len(kept), kept[-1].caller) == (USER_REQUESTS_MAX, f"key:{USER_REQUESTS_MAX + 4}")
    assert documents.get("stops/ann").data["uid"] == ANN


def test_the_text_of_a_request_id_is_not_stored(requests, documents):
    ask(requests, CallName.of_request("ann@example.com"))

    assert "ann@example.com" not in str(documents.get("stops/ann").data)


def test_a_request_is_stored_once_when_the_store_is_unclear(documents, clock):
    unclear = FaultyDocuments(documents, at=1, when="after", error=OutcomeUnknown())
    requests = StopRequests(unclear, clock)

    asked = ask(requests)

    assert requests.of_users([ANN]) == [asked]


def test_a_user_who_leaves_leaves_no_request(requests):
    ask(requests)

    requests.erase(ANN)

    assert requests.of_users([ANN]) == []
