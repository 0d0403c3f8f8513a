"""Values that only others store, such as floats, places and references, stop neither relay nor audit on Firestore."""

from collections.abc import Callable
from typing import Any

import pytest

from emulator.suite import Suite
from shared.bootstrap import Services
from shared.bootstrap.jobs import JobWorkers
from shared.kernel.clock import MINUTE
from shared.kernel.ids import Uid
from shared.platform.firestore.calls import RawCommit
from shared.platform.firestore.documents import FirestoreDocuments, connect
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock
from shared.sagas.engine.jobs import JobRun
from tests.support import books as ask
from tests.support.backend import services_on

POISONED, HONEST = Uid("poisoned"), Uid("honest")
FIELDS = (
    ("", "seq"),
    ("", "available"),
    ("/sealed/state", "state"),
    ("/sealed/state", "seal"),
    ("/sealed/state", "due_at"),
    ("/entries/000000000001", "body"),
    ("/entries/000000000002", "signature"),
    ("/outbox/log", "seq"),
    ("/outbox/log", "at"),
    ("/relay/usage", "relay"),
    ("/operations/g1", "state"),
    ("/audited/position", "marks"),
)


def infinite(value: Any) -> None:
    value.double_value = float("inf")


def no_number(value: Any) -> None:
    value.double_value = float("nan")


def place(value: Any) -> None:
    value.geo_point_value.latitude = 91 - 41.0


def reference(value: Any) -> None:
    value.reference_value = "projects/demo/databases/(default)/documents/accounts/honest"


def vast(value: Any) -> None:
    value.integer_value = 2**62


def overwrite(documents: FirestoreDocuments, path: str, field: str, set_value: Callable[[Any], None]) -> None:
    """Write one field as another client does."""
    request = RawCommit(database=documents._database)
    write = request.writes.add()
    write.update.name = documents._name(path)
    set_value(write.update.fields[field])
    write.update_mask.field_paths.append(field)
    documents._calls.commit(request, 10.0)


@pytest.fixture
def documents(firestore_emulator: Suite, project: str) -> FirestoreDocuments:
    return connect(project)


def jobs_of(services: Services) -> list[JobRun]:
    """Run the jobs that read accounts, and return the runs."""
    workers, runs = JobWorkers(services), []
    for job in (workers.ledger.audit, workers.ledger.relay, workers.ledger.expire, workers.ledger.audit_lost):
        run = JobRun("", services.clock, 60, services.ports.alerts())
        job(run)
        runs.append(run)
    return runs


@pytest.mark.parametrize("value", [infinite, no_number, place, reference, vast], ids=lambda value: value.__name__)
def test_values_of_others_stop_no_job_and_are_alerted(documents, value):
    clock, alerts = ManualClock(), MemoryAlerts()
    services = services_on(documents, clock, alerts=alerts)
    uids = [Uid(f"{POISONED}{number}") for number in range(len(FIELDS))]
    for uid in (HONEST, *uids):
        services.credits.ledger.execute_all(uid, [ask.grant("gift", 100, operation="g1"), ask.hold("h", 5)])
        services.credits.ledger.execute(uid, ask.charge(1, operation="c1"))
    jobs_of(services)
    clock.advance(20 * MINUTE)
    for uid, (document, field) in zip(uids, FIELDS, strict=True):
        overwrite(documents, f"accounts/{uid}{document}", field, value)

    audited, *_ = jobs_of(services_on(documents, clock, alerts=alerts))

    assert audited.done == len(uids) + 1
    assert {alert.fields.get("uid", alert.fields.get("item")) for alert in alerts.raised} == set(uids)


def test_marker_with_a_fraction_is_relayed_and_healed(documents):
    clock = ManualClock()
    services = services_on(documents, clock)
    services.credits.ledger.execute(POISONED, ask.grant("gift", 100, operation="g1"))

    def fraction(value: Any) -> None:
        value.double_value = 0.5

    overwrite(documents, f"accounts/{POISONED}/outbox/log", "relay", fraction)
    run = JobRun("", clock, 60)
    JobWorkers(services).ledger.relay(run)

    marker = documents.get(f"accounts/{POISONED}/outbox/log")
    assert marker is not None
    assert (run.done, marker.data["relay"]) == (1, None)
