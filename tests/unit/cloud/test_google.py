"""Calls to Google: refusals with their reason, repeated attempts, pages, long operations, the stand-in."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import requests

from emulator.cloud.google import ATTEMPTS_MAX, Google
from emulator.cloud.problems import GoogleRefused, GoogleSilent, OperationFailed

TOPIC = "https://pubsub.googleapis.com/v1/projects/shop/topics/alerts"
DISABLED = {
    "error": {
        "code": 403,
        "status": "PERMISSION_DENIED",
        "message": "Cloud Pub/Sub API has not been used.",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}],
    }
}


class Answers:
    """Session that gives prepared answers, and remembers the calls and the seconds that were waited."""

    def __init__(self, *answers: tuple[int, Any] | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str]] = []
        self.waited: list[float] = []

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.calls.append((method, url))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        answer = requests.Response()
        answer.status_code = found[0]
        answer._content = found[1].encode() if isinstance(found[1], str) else json.dumps(found[1]).encode()
        return answer

    def google(self, base: str | None = None) -> Google:
        return Google("shop", self, base, self.waited.append)


def urls(session: Answers) -> Sequence[str]:
    return [url for _, url in session.calls]


def test_a_refusal_has_googles_most_exact_reason():
    session = Answers((403, DISABLED))

    with pytest.raises(GoogleRefused, match=r"403 SERVICE_DISABLED to GET .*has not been used") as refused:
        session.google().get(TOPIC)

    assert (refused.value.status, refused.value.reason, refused.value.is_api_off) == (403, "SERVICE_DISABLED", True)


def test_a_refusal_without_json_is_told_in_its_own_words():
    with pytest.raises(GoogleRefused, match="Bad gateway of a proxy"):
        Answers((400, "Bad gateway of a proxy")).google().post(TOPIC)


@pytest.mark.parametrize("body", [[], {"error": "no"}, {"error": {"details": [3]}}, {"error": None}])
def test_a_refusal_of_any_shape_is_a_refusal(body):
    with pytest.raises(GoogleRefused):
        Answers((400, body)).google().post(TOPIC)


def test_a_busy_answer_is_repeated_with_growing_waits():
    session = Answers((429, {}), (503, {}), (200, {"name": "alerts"}))

    found = session.google().put(TOPIC)

    assert found == {"name": "alerts"}
    assert 0.5 <= session.waited[0] <= 1.0 <= session.waited[1] <= 2.0


def test_a_busy_google_is_asked_a_limited_number_of_times():
    session = Answers(*[(503, {"error": {"status": "UNAVAILABLE", "message": "later"}})] * ATTEMPTS_MAX)

    with pytest.raises(GoogleRefused, match="503 UNAVAILABLE"):
        session.google().get(TOPIC)

    assert len(session.calls) == ATTEMPTS_MAX


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_may_have_happened_is_not_repeated(status):
    session = Answers((status, {"error": {"status": "INTERNAL", "message": "?"}}))

    with pytest.raises(GoogleRefused):
        session.google().post(TOPIC)

    assert len(session.calls) == 1


def test_a_lost_connection_repeats_only_a_read():
    reading, writing = Answers(requests.ConnectionError(), (200, {})), Answers(requests.ConnectionError())

    assert reading.google().get(TOPIC) == {}
    with pytest.raises(GoogleSilent, match="was not answered"):
        writing.google().post(TOPIC)


def test_a_missing_thing_is_none():
    assert Answers((404, {"error": {"status": "NOT_FOUND"}})).google().find(TOPIC) is None


def test_creating_a_thing_that_exists_is_no_error():
    assert Answers((409, {"error": {"status": "ALREADY_EXISTS"}})).google().create(TOPIC, {}) is None


def test_a_conflict_of_another_kind_is_an_error():
    with pytest.raises(GoogleRefused):
        Answers((409, {"error": {"status": "ABORTED", "message": "again"}})).google().create(TOPIC, {})


def test_a_list_goes_through_all_pages():
    session = Answers((200, {"topics": [{"name": "a"}], "nextPageToken": "x/y"}), (200, {"topics": [{"name": "b"}]}))

    names = [each["name"] for each in session.google().items(TOPIC, "topics", pageSize=1)]

    assert names == ["a", "b"]
    assert session.calls[1][1].endswith("?pageSize=1&pageToken=x%2Fy")


def test_an_operation_is_read_below_the_version_that_started_it():
    asked = "https://firestore.googleapis.com/v1/projects/shop/databases"
    session = Answers(
        (200, {"name": "operations/1"}), (200, {"name": "operations/1", "done": True, "response": {"a": 1}})
    )

    found = session.google().wait({"name": "operations/1"}, asked)

    assert found == {"a": 1}
    assert urls(session) == ["https://firestore.googleapis.com/v1/operations/1"] * 2


def test_an_operation_that_failed_says_why():
    failed = {"name": "operations/1", "done": True, "error": {"code": 9, "message": "The location is not available."}}

    with pytest.raises(OperationFailed, match="location is not available"):
        Answers().google().wait(failed, TOPIC)


def test_an_operation_that_never_ends_is_given_up():
    session = Answers(*[(200, {"name": "operations/1"})] * 2_000)

    with pytest.raises(OperationFailed, match="within 30 minutes"):
        session.google().wait({"name": "operations/1"}, TOPIC)


def test_calls_go_to_a_stand_in_below_the_name_of_the_host():
    session = Answers((200, {}))

    session.google("http://127.0.0.1:9").get(TOPIC)

    assert urls(session) == ["http://127.0.0.1:9/pubsub.googleapis.com/v1/projects/shop/topics/alerts"]


@pytest.mark.parametrize("body", ["<html>", "[]"])
def test_an_answer_that_is_no_object_is_no_answer(body):
    with pytest.raises(GoogleSilent):
        Answers((200, body)).google().get(TOPIC)
