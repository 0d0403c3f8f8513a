"""The book of alerts: one document for each trouble, an exact count, and an end."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.kernel.alert_book import ATTEMPTS_MAX, AlertBook, change_alert
from shared.kernel.alert_kinds import ALERT_KINDS
from shared.kernel.alert_records import BATCHES_KEPT, AlertRecord, alert_id, bounded, changed, record_in, subject_of
from shared.kernel.clock import SECOND
from shared.kernel.documents import OutcomeUnknown, Query, StoreUnavailable, is_document_path
from shared.kernel.events import Field
from shared.kernel.ids import is_safe_id
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.pubsub.alerts import PublishedAlerts


class Delays:
    """Work for later, run when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds, work):
        self.waiting.append((seconds, work))

    def run(self):
        due, self.waiting = self.waiting, []
        for _, work in due:
            work()


class Troubled(MemoryDocuments):
    """A store whose next commits fail; an unclear one is applied all the same."""

    def __init__(self, *errors) -> None:
        super().__init__()
        self.errors = list(errors)
        self.commits = 0

    def commit(self, writes, **options):
        self.commits += 1
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, StoreUnavailable):
            raise error
        versions = super().commit(writes, **options)
        if error is not None:
            raise error
        return versions


class Desk:
    def __init__(self, documents=None) -> None:
        self.documents = documents or Troubled()
        self.clock = ManualClock()
        self.later = Delays()
        self.book = AlertBook(lambda: self.documents, self.clock, self.later)
        self.alerts = MemoryAlerts(self.book)

    def is_stored(self, event: str) -> bool:
        return self.documents.get(f"alerts/{event}:-") is not None

    def record(self, event: str, **fields) -> AlertRecord:
        found = self.documents.get(f"alerts/{alert_id(event, subject_of(event, fields))}")
        assert found is not None
        return record_in(found.data)


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize("event", sorted(ALERT_KINDS))
def test_an_alert_is_one_document_when_raised_fifty_times(event):
    desk = Desk()
    fields = dict.fromkeys(ALERT_KINDS[event].subject, "some/subject")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: desk.alerts.alert(event, **fields), range(50)))
    desk.later.run()

    (document,) = _all(desk)
    record = record_in(document.data)
    assert (record.event, record.count, record.state, record.opening) == (event, 50, "open", 1)
    assert desk.documents.commits == 1
    desk.alerts.resolve(event, **fields)
    assert desk.record(event, **fields).state == "resolved"
    desk.clock.advance(SECOND)
    desk.alerts.alert(event, **fields)
    desk.later.run()
    again = desk.record(event, **fields)
    assert (again.count, again.state, again.opening) == (51, "open", 2)


def _all(desk):
    return desk.documents.query(Query(collection="alerts", limit=10))


def test_instances_count_together_when_their_writes_meet():
    documents = MemoryDocuments()
    desks = [Desk(documents) for _ in range(4)]
    ready = threading.Barrier(4)

    def report(desk):
        for _ in range(5):
            desk.alerts.alert("log_behind", lag_ms=1)
        ready.wait(10)
        desk.later.run()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(report, desks))
    for desk in desks:
        desk.book.flush()

    assert desks[0].record("log_behind").count == 20


def test_an_instance_writes_an_alert_once_a_second_and_slower(desk):
    desk.alerts.alert("log_behind")
    desk.later.run()
    waits = []
    for _ in range(6):
        desk.alerts.alert("log_behind")
        desk.alerts.alert("log_behind")
        ((seconds, _),) = desk.later.waiting
        waits.append(seconds)
        desk.clock.advance(int(seconds * SECOND))
        desk.later.run()

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
    assert desk.record("log_behind").count == 13


def test_a_failed_write_is_repeated_with_all_reports():
    desk = Desk(Troubled(StoreUnavailable()))
    desk.alerts.alert("log_behind")
    desk.later.run()
    desk.alerts.alert("log_behind")
    assert not desk.is_stored("log_behind")

    desk.later.run()

    assert desk.record("log_behind").count == 2


@pytest.mark.parametrize("times", [1, ATTEMPTS_MAX, 2 * ATTEMPTS_MAX])
def test_an_unclear_write_counts_once(times):
    desk = Desk(Troubled(*(OutcomeUnknown() for _ in range(times))))
    desk.alerts.alert("log_behind")
    desk.later.run()
    desk.alerts.alert("log_behind")
    desk.later.run()
    desk.book.flush()

    assert desk.record("log_behind").count == 2


def test_a_broken_store_breaks_nothing():
    class Broken(MemoryDocuments):
        def get(self, path):
            raise ZeroDivisionError

    desk = Desk(Broken())

    desk.alerts.alert("log_behind")
    desk.alerts.resolve("log_behind")
    desk.later.run()
    desk.book.flush()

    assert [each.event for each in desk.alerts.raised] == ["log_behind"]


def test_threads_that_cannot_start_break_nothing():
    def refuse(seconds, work):
        raise RuntimeError("can't start new thread")

    documents = MemoryDocuments()
    book = AlertBook(lambda: documents, ManualClock(), refuse)

    book.note("log_behind", {})
    book.flush()

    assert documents.get("alerts/log_behind:-") is not None


def test_a_report_writes_when_the_thread_before_never_ran(desk):
    desk.alerts.alert("log_behind")
    desk.later.waiting.clear()
    desk.clock.advance(2 * SECOND)

    desk.alerts.alert("log_behind")
    desk.later.run()

    assert desk.record("log_behind").count == 2


def test_a_store_that_stays_down_keeps_few_batches(desk):
    desk.documents.errors = [StoreUnavailable() for _ in range(40)]
    for _ in range(40):
        desk.alerts.alert("log_behind")
        desk.book.flush()
    desk.book.flush()

    record = desk.record("log_behind")
    assert record.count == 40
    assert len(record.batches) <= BATCHES_KEPT


def test_no_thread_at_the_end_of_the_process_breaks_nothing():
    def refuse(seconds, work):
        raise RuntimeError("can't start new thread at interpreter shutdown")

    desk = Desk(Troubled(StoreUnavailable()))
    desk.book = AlertBook(lambda: desk.documents, desk.clock, refuse)

    desk.book.note("log_behind", {})
    desk.book.flush()
    desk.book.flush()

    assert desk.record("log_behind").count == 1


@pytest.mark.parametrize("text", ["key_registry", "unknown_key", "payment_sagas/pay_993903b45d8aa5fec6", "a @ b"])
def test_names_of_ours_are_not_hidden(text):
    assert bounded({"rule": text}) == {"rule": text}


def test_an_acknowledged_alert_stays_acknowledged_when_reported_again(desk):
    desk.alerts.alert("log_behind")
    desk.later.run()
    found = desk.record("log_behind")
    change_alert(desk.documents, "log_behind:-", lambda _: changed(found, "acknowledged", "ann", "Looking.", 5))

    desk.alerts.alert("log_behind")
    desk.book.flush()

    record = desk.record("log_behind")
    assert (record.state, record.changed_by, record.reason, record.count) == ("acknowledged", "ann", "Looking.", 2)


def test_the_end_of_nothing_writes_nothing(desk):
    desk.alerts.resolve("job_broken", job="relay")

    assert desk.documents.commits == 0


def test_a_network_that_is_back_resolves_its_alert(desk):
    desk.alerts.alert("network_unavailable", network="base", reason="silent")
    desk.later.run()

    desk.alerts.alert("network_available", network="base")

    assert desk.record("network_unavailable", network="base").state == "resolved"
    assert not desk.is_stored("network_available")
    assert len(_all(desk)) == 1


@pytest.mark.parametrize(
    "subject",
    ["", "a/b", "..", "__x__", "ann@example.com", "名" * 500, "x" * 5_000, "a b|c\n", "payment_1", "\ud800"],
)
def test_any_subject_makes_a_safe_id(subject):
    found = alert_id("job_broken", subject)

    assert is_safe_id(found)
    assert is_document_path(f"alerts/{found}")
    assert "ann" not in found


def test_subjects_that_differ_have_different_ids():
    subjects = ["a/b", "a|b", "a", "", "A", "a/b/", "é", "e"]

    assert len({alert_id("job_broken", each) for each in subjects}) == len(subjects)


def test_addresses_and_keys_stay_out_of_the_document(desk, capsys):
    fields: dict[str, Field] = {
        "detail": "Ann <ann@example.com> sk-abcdefghijkl said so",
        "uid": "ann@example.com",
        "lag_ms": 5,
    }
    published = []

    class Broker:
        def publish(self, messages):
            published.extend(messages)

    PublishedAlerts(Broker(), desk.book).alert("integrity_failed", **fields)
    desk.later.run()

    (document,) = _all(desk)
    for text in (str(document), str(published), capsys.readouterr().out):
        assert "example.com" not in text
        assert "sk-abc" not in text
    assert document.data["fields"]["lag_ms"] == 5


def test_fields_are_bounded(desk):
    desk.alerts.alert("log_broken", **{f"field_{number}": "x" * 10_000 for number in range(100)})
    desk.later.run()

    assert len(str(desk.record("log_broken"))) < 10_000
