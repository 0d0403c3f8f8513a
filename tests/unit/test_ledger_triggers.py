"""The ledger's triggers: what each event costs and does, from the bytes of the event on."""

from collections import Counter
from typing import Any

import pytest
from google.events.cloud.firestore_v1.types import Document as RawDocument
from google.events.cloud.firestore_v1.types import DocumentEventData

from functions.credit_events import ENTRY, MARKER
from functions.edge import HANDLERS, DocumentEvent, decode_document
from shared.bootstrap import Services, in_memory
from shared.kernel.documents import Data, Document
from shared.kernel.ids import Uid
from shared.ledger.markers import RELAY, marker_path
from shared.platform.firestore.values import decode_version
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from tests.support.ledgers import charge, grant

ANN = Uid("ann")


class Counted(MemoryDocuments):
    """Documents that count the calls by name, and the markers read."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter[str]()

    def get(self, path):
        self.calls["get"] += 1
        self.calls["markers"] += path == marker_path(ANN)
        return super().get(path)

    def get_all(self, paths):
        self.calls["get_all"] += 1
        return super().get_all(paths)

    def query(self, query):
        self.calls["query"] += 1
        return super().query(query)

    def commit(self, writes, **options):
        self.calls["commit"] += 1
        return super().commit(writes, **options)


class Event(dict[str, Any]):
    def __init__(self, data: bytes, **attributes: str) -> None:
        super().__init__({"time": "2026-11-30T12:00:00Z", **attributes})
        self.data = data


@pytest.fixture
def documents() -> Counted:
    return Counted()


@pytest.fixture
def services(documents: Counted) -> Services:
    services = in_memory(documents=documents, clock=ManualClock())
    services.credits.ledger.execute(ANN, grant("g", 5))
    return services


def marker_of(documents: Counted) -> Document:
    marker = documents.get(marker_path(ANN))
    assert marker is not None
    documents.calls.clear()
    return marker


def fire(services: Services, after: Data | None, version: object = None, path: str = marker_path(ANN)) -> None:
    event = DocumentEvent(path=path, params={"uid": ANN, "id": "log"}, before={}, after=after, at=0, version=version)
    HANDLERS["on_ledger_entry"](event, services)


def alerts_of(services: Services) -> list[str]:
    alerts = services.ports.alerts()
    assert isinstance(alerts, MemoryAlerts)
    return [alert.event for alert in alerts.raised]


def test_event_of_a_marker_is_cleared_without_reading_the_marker(services, documents):
    marker = marker_of(documents)

    fire(services, marker.data, marker.version)

    assert documents.calls["markers"] == 0
    assert documents.calls["commit"] == 2
    assert marker_of(documents).data[RELAY] is None


def test_event_of_a_clearing_reads_and_writes_nothing(services, documents):
    services.credits.relay.relay(ANN)
    marker = marker_of(documents)

    fire(services, marker.data, marker.version)

    assert documents.calls == {}


def test_event_that_comes_late_reads_the_position_and_leaves_newer_news(services, documents):
    early = marker_of(documents)
    services.credits.relay.relay(ANN)
    services.credits.ledger.execute(ANN, charge("c", 1))

    fire(services, early.data, early.version)

    assert marker_of(documents).data[RELAY] is None


def test_event_of_a_marker_of_an_earlier_release_is_followed(services, documents):
    marker = marker_of(documents)
    older = {name: marker.data[name] for name in ("uid", "seq", "at")}

    fire(services, older, marker.version)

    assert marker_of(documents).data[RELAY] is None


def test_event_of_a_deleted_marker_does_no_harm(services, documents):
    fire(services, None)

    assert alerts_of(services) == []


@pytest.mark.parametrize("function", ["on_entry_updated", "on_entry_deleted"])
def test_event_of_a_foreign_change_freezes_the_account(services, function):
    event = DocumentEvent(
        path="accounts/ann/entries/000000000001",
        params={"uid": ANN, "seq": "000000000001"},
        before={},
        after=None if function == "on_entry_deleted" else {},
        at=0,
    )

    HANDLERS[function](event, services)

    assert alerts_of(services) == ["ledger_tampered"]
    assert services.credits.ledger.balance(ANN).status == "frozen"


def test_event_brings_the_version_that_a_read_would_have():
    raw = RawDocument(name="d", update_time="2026-11-30T12:00:00.123456789Z")
    data = DocumentEventData.serialize(DocumentEventData(value=raw))

    event = decode_document(Event(data, document="accounts/ann/outbox/log"), MARKER, ENTRY)

    assert event.version == decode_version(RawDocument.pb(raw).update_time)
    assert event.params == {"uid": "ann", "id": "log"}


def test_event_of_an_entry_from_an_earlier_release_is_told_apart():
    data = DocumentEventData.serialize(DocumentEventData(value=RawDocument(name="d")))

    event = decode_document(Event(data, document="accounts/ann/entries/000000000001"), MARKER, ENTRY)

    assert event.params == {"uid": "ann", "seq": "000000000001"}
