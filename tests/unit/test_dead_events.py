"""A dead event is handled again by its own function, from the facts that were stored of it."""

import base64
import json
from typing import Any

import pytest
from google.events.cloud.firestore_v1.types import Document, DocumentEventData

from functions.commands import main
from functions.dead_events import DeadEventNotFound, DeadEvents, NotResendable
from functions.edge import EVENT_AGE_MAX, deliver
from shared.bootstrap import Services, in_memory
from shared.kernel.clock import rfc3339
from shared.kernel.documents import Patch
from shared.kernel.errors import Unavailable
from shared.kernel.ids import Uid
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from tests.support.ledgers import grant

DOCUMENT, WRITTEN = "google.cloud.firestore.document.v1.created", "google.cloud.firestore.document.v1.written"
MESSAGE, LOGIN = "google.cloud.pubsub.topic.v1.messagePublished", "google.firebase.auth.user.v2.deleted"


class Event(dict[str, Any]):
    def __init__(self, data: Any = b"", **attributes: str) -> None:
        super().__init__(attributes)
        self.data = data


@pytest.fixture
def services() -> Services:
    return in_memory(clock=ManualClock())


def buried(services: Services, function: str, event: Event) -> str:
    """Let the event fail for too long, and return its id among the dead."""

    def failing(decoded: object, services: Services) -> None:
        raise Unavailable("down")

    failing.__name__ = function
    event |= {"source": "s", "time": rfc3339(services.clock.now())}
    services.clock.advance(EVENT_AGE_MAX + 1)  # type: ignore[attr-defined]
    deliver(event, lambda _: None, failing, services)
    return next(each.id for each in DeadEvents(services).waiting() if each.event_id == event["id"])


def of_document(change: str) -> bytes:
    parts = {"created": ("value",), "changed": ("value", "old_value"), "deleted": ("old_value",)}[change]
    return DocumentEventData.serialize(DocumentEventData(**{part: Document(name="d") for part in parts}))


def alerts_of(services: Services) -> list[str]:
    alerts = services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)
    return [each.event for each in alerts.raised if each.event != "event_dead"]


def test_a_greeting_that_died_is_made_up_for(services: Services):
    uid = services.ports.identity().sign_up("ann@example.com")  # type: ignore[attr-defined]
    services.users.profiles.ensure(services.ports.identity().verify(services.ports.identity().token(uid)))  # type: ignore[attr-defined]
    event = buried(services, "on_user_created", Event(id="1", type=DOCUMENT, subject=f"documents/users/{uid}"))

    DeadEvents(services).resend(event)

    assert services.users.profiles.get(uid).greeted_at is not None  # type: ignore[union-attr]
    assert DeadEvents(services).waiting() == []
    (record,) = services.users.audit.page(cursor=None, limit=1).items
    assert (record.act, record.target, record.state) == ("resend_event", event, "done")


def test_a_login_that_is_gone_is_let_go(services: Services):
    event = buried(services, "on_user_deleted", Event(id="1", type=LOGIN, subject="users/a%7Cb"))

    DeadEvents(services).resend(event)

    assert services.ports.documents().get("leavings/a|b") is not None


@pytest.mark.parametrize(
    ("change", "alerts"),
    [("created", []), ("changed", ["ledger_tampered"]), ("deleted", ["ledger_tampered"]), (None, [])],
)
def test_a_written_entry_is_looked_at_by_how_it_was_written(services: Services, change: str | None, alerts: list[str]):
    services.credits.ledger.execute(Uid("ann"), grant("g", 5))
    data = b"" if change is None else of_document(change)
    event = buried(
        services, "on_ledger_entry", Event(data, id="1", type=WRITTEN, subject="documents/accounts/ann/entries/1")
    )
    if change is None:  # as events were stored before
        services.ports.documents().commit([Patch(f"dead_events/{event}", {"change": None})])

    DeadEvents(services).resend(event)

    assert alerts_of(services) == alerts


@pytest.mark.parametrize(("function", "change"), [("on_entry_updated", "changed"), ("on_entry_deleted", "deleted")])
def test_dead_event_of_a_foreign_change_raises_the_alarm(services: Services, function: str, change: str):
    services.credits.ledger.execute(Uid("ann"), grant("g", 5))
    data = of_document(change)
    event = buried(services, function, Event(data, id="1", type=WRITTEN, subject="documents/accounts/ann/entries/1"))

    DeadEvents(services).resend(event)

    assert alerts_of(services) == ["ledger_tampered"]


def test_dead_event_of_a_marker_publishes_what_is_waiting(services: Services):
    services.credits.ledger.execute(Uid("ann"), grant("g", 5))
    path = "accounts/ann/outbox/log"
    data = of_document("changed")
    event = buried(services, "on_ledger_entry", Event(data, id="1", type=WRITTEN, subject=f"documents/{path}"))

    DeadEvents(services).resend(event)

    marker = services.ports.documents().get(path)
    assert marker is not None
    assert marker.data["relay"] is None


def test_a_message_is_read_from_what_was_stored_of_it(services: Services):
    body = base64.b64encode(json.dumps({"task_id": "none"}).encode()).decode()
    event = buried(services, "run_agent_step", Event({"message": {"data": body}}, id="1", type=MESSAGE))

    DeadEvents(services).resend(event)

    assert DeadEvents(services).waiting() == []


def test_a_failure_leaves_the_event_where_it_was(services: Services, capsys):
    body = base64.b64encode(b"{}").decode()
    event = buried(services, "generate_image", Event({"message": {"data": body}}, id="1", type=MESSAGE))

    with pytest.raises(NotResendable, match="task_id"):
        DeadEvents(services).resend(event)

    assert main(["resend-event", event], services) == 1
    assert "not_resendable" in capsys.readouterr().err
    assert [each.id for each in DeadEvents(services).waiting()] == [event]


@pytest.mark.parametrize(
    ("function", "event"),
    [
        ("no_such_function", Event(id="1", type=DOCUMENT, subject="documents/users/ann")),
        ("on_user_created", Event(id="1", type=DOCUMENT, subject="documents/users/ann/settings/x")),
        ("on_user_created", Event(id="1", type=DOCUMENT)),
        ("on_user_deleted", Event(id="1", type=LOGIN)),
        ("generate_image", Event({"message": {"data": "?"}}, id="1", type=MESSAGE)),
        ("generate_image", Event(id="1", type=MESSAGE)),
    ],
)
def test_an_event_without_enough_facts_is_told_as_such(services: Services, function: str, event: Event):
    dead = buried(services, function, event)

    with pytest.raises(NotResendable):
        DeadEvents(services).resend(dead)


@pytest.mark.parametrize("event", ["none", "", "../users/ann", "a/b"])
def test_an_event_that_is_not_there_is_told_as_such(services: Services, event: str):
    with pytest.raises(DeadEventNotFound):
        DeadEvents(services).resend(event)


def test_two_operators_who_resend_one_event_do_no_harm(services: Services):
    services.credits.ledger.execute(Uid("ann"), grant("g", 5))
    event = buried(
        services,
        "on_ledger_entry",
        Event(of_document("created"), id="1", type=WRITTEN, subject="documents/accounts/ann/entries/1"),
    )

    assert [main(["resend-event", event], services) for _ in range(2)] == [0, 1]
    assert alerts_of(services) == []


def test_a_discarded_event_is_gone_and_on_record(services: Services):
    event = buried(services, "generate_image", Event(id="1", type=MESSAGE))

    assert main(["discard-event", event, " published by hand "], services) == 0

    assert DeadEvents(services).waiting() == []
    (record,) = services.users.audit.page(cursor=None, limit=1).items
    assert (record.act, record.reason, (record.before or {})["event_id"]) == ("discard_event", "published by hand", "1")


def test_an_event_is_not_discarded_without_a_reason(services: Services):
    event = buried(services, "generate_image", Event(id="1", type=MESSAGE))

    assert main(["discard-event", event, " "], services) == 1

    assert [each.id for each in DeadEvents(services).waiting()] == [event]
