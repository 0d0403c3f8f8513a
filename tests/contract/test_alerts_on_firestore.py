"""Alerts on Firestore: one document for each trouble, counted by several instances at once."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from shared.bootstrap.schemas import versioned
from shared.kernel.alert_book import AlertBook
from shared.kernel.clock import SystemClock
from shared.platform.firestore.documents import connect
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.publisher import MemoryPublisher
from shared.platform.pubsub.alerts import PublishedAlerts
from shared.users.alert_desk import AlertDesk
from shared.users.audit import AuditTrail
from shared.users.operator_acts import AdminCheck


@pytest.fixture
def documents(firestore_emulator, project):
    return versioned(connect(project))


def test_instances_count_one_trouble_in_one_alert(documents):
    with ThreadPoolExecutor(8) as threads:
        begun = []
        books = [
            AlertBook(lambda: documents, SystemClock(), lambda _, write: begun.append(threads.submit(write)))
            for _ in range(3)
        ]
        for number in range(50):
            PublishedAlerts(MemoryPublisher(), books[number % 3]).alert("job_broken", job="relay", share=0.5)
        wait(begun)
        for book in books:
            book.flush()
    desk = AlertDesk(
        documents, AuditTrail(documents, SystemClock()), AdminCheck(MemoryIdentity(SystemClock())), SystemClock()
    )

    (found,), place = desk.page("open", limit=5, after=None)
    assert (found.id, found.count, found.opening, place) == ("job_broken:relay", 50, 1, None)
    books[0].resolve("job_broken", {"job": "relay"})
    assert desk.page("open", limit=5, after=None) == ([], None)
    assert desk.page(None, limit=5, after=(found.last_seen + 1, "z"))[0][0].state == "resolved"
