"""Events as functions-framework delivers them, over the memory adapters: handled, delivered again, dropped, buried."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from cloudevents.http import CloudEvent
from functions_framework import create_app
from google.events.cloud.firestore_v1.types import Document, DocumentEventData

from emulator.suite import Suite
from functions.edge import (
    EVENT_AGE_MAX,
    DocumentEvent,
    MalformedEvent,
    NotDelivered,
    TopicEvent,
    decode_document,
    decode_message,
    decode_user,
    on_document,
    on_message,
)
from functions.user_lifecycle import on_user_created, on_user_deleted
from shared import bootstrap
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import rfc3339, to_datetime
from shared.kernel.documents import Query
from shared.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from shared.kernel.ids import Uid, new_id
from shared.platform.firestore.documents import connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.identity import MemoryIdentity
from shared.sagas.accounts.first_sight import SEEN_LIFETIME_SECONDS
from tests.support.emulators import environment
from tests.support.processes import wait_for

CREATED = "google.cloud.firestore.document.v1.created"
DELETED_USER = "google.firebase.auth.user.v2.deleted"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
CLOCK = ManualClock()
SET_WHEN_SERVED = {"FUNCTION_TARGET": "", "FUNCTION_SIGNATURE_TYPE": "", "THREADS": ""}
"""Every function that is served from here, and every process that is started from here, would inherit them."""


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services that every entry point of this process finds."""
    memory = in_memory(clock=ManualClock())
    monkeypatch.setattr(bootstrap, "_process", memory)
    return memory


def event(kind: str, data: Any, *, at: int | None = None, **attributes: str) -> CloudEvent:
    time = rfc3339(CLOCK.now() if at is None else at)
    usual = {"type": kind, "source": "//google/projects/demo", "id": "e1", "time": time}
    return CloudEvent({**usual, **attributes}, data)


UPDATED = datetime(2026, 11, 22, 14, 43, 0, 123_456, tzinfo=UTC)
"""Time at which the document of an event was written."""


def document_data(fields: Mapping[str, Any] | None = None, old: Mapping[str, Any] | None = None) -> bytes:
    parts = {
        name: Document(name="projects/p/databases/(default)/documents/users/ann", fields=given, update_time=UPDATED)
        for name, given in (("value", fields), ("old_value", old))
        if given is not None
    }
    return DocumentEventData.serialize(DocumentEventData(**parts))


def user_created(uid: str, **attributes: Any) -> CloudEvent:
    return event(CREATED, document_data({"uid": {"string_value": uid}}), document=f"users/{uid}", **attributes)


def user_deleted(uid: str) -> CloudEvent:
    return event(DELETED_USER, {"oldValue": {"uid": uid, "email": "ann@example.com"}}, subject=f"users/{uid}")


def signed_up(services: Services) -> Uid:
    identity = services.ports.identity()
    assert isinstance(identity, MemoryIdentity)
    uid = identity.sign_up("ann@example.com")
    services.users.profiles.ensure(identity.verify(identity.token(uid)))
    return uid


def status(services: Services, uid: Uid) -> str:
    profile = services.users.profiles.get(uid)
    assert profile is not None
    return profile.status


def test_a_new_profile_is_greeted(services: Services):
    uid = signed_up(services)

    on_user_created(user_created(uid))
    on_user_created(user_created(uid))

    profile = services.users.profiles.get(uid)
    assert profile is not None
    assert profile.greeted_at == services.clock.now()
    assert services.ports.documents().get(f"accounts/{uid}") is not None


def test_a_tombstone_that_appears_is_not_greeted(services: Services):
    services.leaving.leave(Uid("ann"))

    on_user_created(user_created("ann"))

    assert status(services, Uid("ann")) == "closed"


def test_a_deleted_login_lets_its_user_leave(services: Services):
    uid = signed_up(services)

    on_user_deleted(user_deleted(uid))
    on_user_deleted(user_deleted(uid))

    assert status(services, uid) == "closed"
    assert services.credits.ledger.balance(uid).status == "closed"


def test_both_arrive_through_functions_framework(services: Services):
    uid = signed_up(services)
    now = rfc3339(services.clock.now())
    headers = {"ce-specversion": "1.0", "ce-id": "e1", "ce-source": "//google", "ce-time": now}
    created = {"ce-type": CREATED, "ce-document": f"users/{uid}", "content-type": "application/protobuf"}
    deleted = {"ce-type": DELETED_USER, "ce-subject": f"users/{uid}", "content-type": "application/json"}

    with environment(SET_WHEN_SERVED):
        greeting = create_app("on_user_created", "main.py", "cloudevent").test_client()
        greeted = greeting.post("/", data=document_data({}), headers={**headers, **created})
        leaving = create_app("on_user_deleted", "main.py", "cloudevent").test_client()
        left = leaving.post("/", data=json.dumps({"oldValue": {"uid": uid}}), headers={**headers, **deleted})

    assert (greeted.status_code, left.status_code) == (200, 200)
    assert status(services, uid) == "closed"


@pytest.mark.parametrize("is_structured", [False, True], ids=["binary", "structured"])
def test_deletion_without_payload_arrives_through_functions_framework(services: Services, *, is_structured: bool):
    uid = signed_up(services)
    attributes = {"specversion": "1.0", "id": "e1", "source": "//google", "time": rfc3339(services.clock.now())}
    attributes |= {"type": DELETED_USER, "subject": f"users/{uid}"}
    binary = {f"ce-{name}": value for name, value in attributes.items()}

    with environment(SET_WHEN_SERVED):
        leaving = create_app("on_user_deleted", "main.py", "cloudevent").test_client()
        if is_structured:
            left = leaving.post("/", json=attributes, headers={"content-type": "application/cloudevents+json"})
        else:
            left = leaving.post("/", headers={**binary, "content-type": "application/json"})

    assert left.status_code == 200
    assert status(services, uid) == "closed"
    assert services.ports.documents().query(Query(collection="dead_events", limit=1)) == []


# What every trigger shares ---------------------------------------------------------------------------------------


class Odd(Exception):
    """Something that nobody foresaw."""


def failing(error: Exception) -> Any:
    @on_document("users/{uid}")
    def fails(event: DocumentEvent, services: Services) -> None:
        raise error

    return fails


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("error", [Rejected("no"), NotFound("nothing")])
def test_what_would_fail_again_is_dropped(services: Services, error: Exception, capsys: pytest.CaptureFixture[str]):
    failing(error)(user_created("ann"))

    assert logged(capsys) == ["event_dropped", "event_done"]


@pytest.mark.parametrize("error", [Conflict("moved"), Unavailable("later"), Odd()])
def test_what_may_succeed_later_is_delivered_again(services: Services, error: Exception):
    with pytest.raises(NotDelivered, match=type(error).__name__):
        failing(error)(user_created("ann"))


@pytest.mark.parametrize("error", [Conflict("moved"), Unavailable("later"), Odd()])
def test_what_fails_for_too_long_is_buried_once_with_an_alert(services: Services, error: Exception):
    assert isinstance(services.clock, ManualClock)
    alerts = services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)
    old = user_created("ann", subject="documents/users/ann")
    services.clock.advance(EVENT_AGE_MAX + 1)

    failing(error)(old)
    failing(error)(old)

    (alert,) = alerts.raised
    found = services.ports.documents().get(str(alert.fields["path"]))
    assert found is not None
    assert (alert.event, alert.fields["function"]) == ("event_dead", "fails")
    assert (found.data["subject"], found.data["event_id"], found.data["payload"]) == ("documents/users/ann", "e1", None)


def test_an_old_event_that_succeeds_is_no_dead_one(services: Services):
    assert isinstance(services.clock, ManualClock)
    uid = signed_up(services)
    services.clock.advance(EVENT_AGE_MAX + 1)

    on_user_created(user_created(uid))

    profile = services.users.profiles.get(uid)
    assert profile is not None
    assert profile.greeted_at is not None


@pytest.mark.parametrize(
    "bad",
    [
        event(CREATED, b"\xff\xff", document="users/ann"),
        event(CREATED, None, document="users/ann"),
        event(CREATED, document_data({}), document="accounts/ann"),
        event(CREATED, document_data({}), document="users/ann/settings/x"),
        event(CREATED, document_data({})),
    ],
)
def test_a_malformed_event_is_buried_at_once(services: Services, bad: CloudEvent):
    alerts = services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)

    on_user_created(bad)

    assert [alert.fields["code"] for alert in alerts.raised] == ["malformed"]


def test_a_dead_message_keeps_what_it_takes_to_send_it_again(services: Services):
    assert isinstance(services.clock, ManualClock)
    alerts = services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)
    data = {"message": {"data": base64.b64encode(b'{"task": "t1"}').decode(), "messageId": "7"}}
    services.clock.advance(EVENT_AGE_MAX + 1)

    @on_message
    def fails(event: TopicEvent, services: Services) -> None:
        raise Odd

    fails(event(PUBLISHED, data))

    found = services.ports.documents().get(str(alerts.raised[0].fields["path"]))
    assert found is not None
    assert json.loads(str(found.data["payload"])) == data


# Decoding --------------------------------------------------------------------------------------------------------


def test_every_kind_of_value_is_read():
    at = datetime(2026, 11, 22, 14, 43, 0, 125_000, tzinfo=UTC)
    fields = {
        "text": {"string_value": "grüße"},
        "number": {"integer_value": 2**53},
        "yes": {"boolean_value": True},
        "none": {"null_value": 0},
        "bytes": {"bytes_value": b"\x00\xff"},
        "at": {"timestamp_value": at},
        "list": {"array_value": {"values": [{"integer_value": 1}, {"string_value": "x"}]}},
        "map": {"map_value": {"fields": {"deep": {"boolean_value": False}}}},
        "float": {"double_value": 1.5},
    }

    decoded = decode_document(event(CREATED, document_data(fields), document="users/ann"), "users/{uid}")

    assert decoded == DocumentEvent(
        path="users/ann",
        params={"uid": "ann"},
        before=None,
        after={
            "text": "grüße",
            "number": 2**53,
            "yes": True,
            "none": None,
            "bytes": b"\x00\xff",
            "at": at,
            "list": [1, "x"],
            "map": {"deep": False},
            "float": "1.5",
        },
        at=CLOCK.now(),
        version=(int(UPDATED.timestamp()), UPDATED.microsecond * 1_000),
    )


def test_an_update_and_a_deletion_say_what_was_before():
    old, new = {"n": {"integer_value": 1}}, {"n": {"integer_value": 2}}

    updated = decode_document(event(CREATED, document_data(new, old), document="a/1/e/2"), "a/{x}/e/{y}")
    deleted = decode_document(event(CREATED, document_data(None, old), document="a/1/e/2"), "a/{x}/e/{y}")

    assert (updated.before, updated.after, updated.params) == ({"n": 1}, {"n": 2}, {"x": "1", "y": "2"})
    assert (deleted.before, deleted.after) == ({"n": 1}, None)


@pytest.mark.parametrize("time", ["2026-11-22T14:43:00.123456789Z", "2026-11-22T14:43:00.123456Z"])
def test_a_time_in_nanoseconds_is_read(time: str):
    decoded = decode_user(event(DELETED_USER, {"oldValue": {"uid": "ann"}}, time=time))

    assert to_datetime(decoded.at) == datetime(2026, 11, 22, 14, 43, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"oldValue": {"uid": "ann"}}, "users/ann"),
        ({"uid": "ann"}, "users/ann"),
        ({"uid": "ann"}, ""),
        ({}, "users/ann"),
        (None, "users/ann"),
        (b"", "users/ann"),
        (b"null", "users/ann"),
        (" \n", "users/ann"),
        ({"oldValue": None}, "users/ann"),
        ({"oldValue": {"uid": ""}}, "users/ann"),
        (b'{"oldValue": {"uid": "ann"}}', "users/ann"),
    ],
)
def test_a_login_is_read_from_where_it_stands(data: object, subject: str):
    assert decode_user(event(DELETED_USER, data, subject=subject)).uid == "ann"


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"oldValue": {"uid": "ann"}}, "users/bob"),
        ({}, ""),
        (None, ""),
        (None, "users/"),
        ({"uid": "a/b"}, ""),
        (b"{", ""),
        ([], "users/ann"),
    ],
)
def test_an_event_that_names_no_one_user_is_malformed(data: object, subject: str):
    with pytest.raises(MalformedEvent):
        decode_user(event(DELETED_USER, data, subject=subject))


def test_a_message_is_read():
    body = base64.b64encode(json.dumps({"task": "t1"}).encode()).decode()
    data = {"message": {"data": body, "messageId": "7", "orderingKey": "ann"}, "subscription": "s"}

    decoded = decode_message(event(PUBLISHED, data))

    assert decoded == TopicEvent(id="7", data={"task": "t1"}, ordering_key="ann", at=CLOCK.now())


@pytest.mark.parametrize(
    "data",
    [{}, {"message": {}}, {"message": {"data": "!"}}, {"message": {"data": "eA=="}}, {"message": {"data": "W10="}}],
)
def test_a_message_that_is_none_is_malformed(data: object):
    with pytest.raises(MalformedEvent):
        decode_message(event(PUBLISHED, data))


def test_an_event_without_a_time_is_malformed():
    with pytest.raises(MalformedEvent):
        decode_user(event(DELETED_USER, {"uid": "ann"}, time="yesterday"))


# The whole backend, as its emulators run it ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_user_is_greeted_and_forgotten_by_the_real_triggers(suite: Suite):
    auth = f"{suite.endpoints.auth}/identitytoolkit.googleapis.com/v1"
    new = {"email": f"{new_id('ann')}@example.com", "password": "correct horse", "returnSecureToken": True}
    user = requests.post(f"{auth}/accounts:signUp?key=k", json=new, timeout=120).json()
    headers = {"Authorization": f"Bearer {user['idToken']}"}
    documents = connect(suite.project)

    def profile() -> Mapping[str, Any]:
        found = documents.get(f"users/{user['localId']}")
        return {} if found is None else found.data

    seen = requests.get(f"{suite.endpoints.api}/v1/me", headers=headers, timeout=120)
    wait_for(lambda: "greeted_at" in profile(), seconds=120, what="the greeting")
    gone = {"localId": user["localId"]}
    owner = {"Authorization": "Bearer owner"}
    requests.post(f"{auth}/projects/{suite.project}/accounts:delete", json=gone, headers=owner, timeout=120)
    wait_for(lambda: profile().get("status") == "closed", seconds=120, what="the tombstone")

    def is_refused() -> bool:
        return requests.get(f"{suite.endpoints.api}/v1/me", headers=headers, timeout=120).status_code == 403

    assert seen.status_code == 200
    wait_for(is_refused, seconds=SEEN_LIFETIME_SECONDS + 120, what="the refusal")
    assert set(profile()) == {"schema_version", "uid", "status", "closed_at"}
