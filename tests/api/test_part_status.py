"""Parts on the status page: exactly the part that is down is named, with an alert that opens and closes by itself."""

from contextlib import contextmanager

import pytest

from shared.kernel.alert_book import AlertBook
from shared.kernel.clock import MINUTE, SECOND, rfc3339
from shared.kernel.documents import StoreUnavailable
from shared.kernel.errors import Unavailable
from shared.kernel.objects import StorageUnavailable
from shared.payments.ports import ProviderUnavailable
from shared.platform.memory.alerts import MemoryAlerts
from shared.sagas.engine.job_board import JobBoard
from shared.users.ports import IdentityUnavailable
from tests.support.adapters import replace_adapters

PARTS = ("store", "identity", "broker", "bucket", "providers", "upstreams", "signing_key", "app_check")


def components(caller):
    return caller.get("/monitoring/status").json["components"]


def words(world):
    told = world.call("GET", "/monitoring/status").json["components"]
    return {name: told[name]["status"] for name in PARTS}


def minute(world):
    world.clock.advance(MINUTE)
    world.services.jobs.run_schedule("every_minute")


@contextmanager
def stopped(monkeypatch, target, method, error):
    """Let a method of an adapter fail."""

    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(target, method, fail)
        yield


@pytest.fixture
def world(world):
    """A backend whose alerts are written at once to the documents that operators read."""
    book = AlertBook(world.services.ports.documents, world.clock, lambda _, write: write())
    replace_adapters(world.services, alerts=MemoryAlerts(book))
    return world


@pytest.fixture
def auditor(world):
    return world.person("auditor")


def identity(world):
    return world.services.ports.identity(), "get_user", IdentityUnavailable()


def broker(world):
    return world.services.ports.publisher(), "publish", Unavailable("The broker is down.")


def bucket(world):
    return world.services.ports.objects(), "find", StorageUnavailable()


def stripe(world):
    return world.services.ports.payment_providers()["stripe"], "notices", ProviderUnavailable("Stripe is down.")


OUTAGES = {
    "identity": (identity, {"identity": "down"}, "identity"),
    "broker": (broker, {"broker": "down"}, "broker"),
    "bucket": (bucket, {"bucket": "down"}, "bucket"),
    "stripe": (stripe, {"providers": "degraded"}, "provider:stripe"),
}


def open_alerts(world):
    admin = world.person("admin")
    return {each["id"]: each["state"] for each in admin.get("/admin/alerts?state=open").json["items"]}


def test_parts_are_well_after_a_minute(world):
    minute(world)

    assert words(world) == dict.fromkeys(PARTS, "ok")


@pytest.mark.parametrize("name", OUTAGES)
def test_status_names_the_part_that_is_down_and_one_alert_opens_and_closes(world, monkeypatch, name):
    make, told, alert = OUTAGES[name]
    minute(world)
    with stopped(monkeypatch, *make(world)):
        minute(world)
        during = words(world)
        minute(world), minute(world)
        alerts = world.services.ports.alerts().raised
    minute(world)

    assert during == {**dict.fromkeys(PARTS, "ok"), **told}
    assert {each.fields["part"] for each in alerts if each.event == "component_down"} == {alert}
    assert words(world) == dict.fromkeys(PARTS, "ok")
    assert open_alerts(world) == {}


def test_status_names_an_upstream_that_is_down(world, auditor):
    world.services.ports.model_listing().down.add("default")
    minute(world)
    since = rfc3339(world.clock.now())
    minute(world)

    assert words(world)["upstreams"] == "down"
    assert components(auditor)["upstreams"]["parts"]["default"] == {
        "status": "down",
        "since": since,
        "code": "upstream_unavailable",
        "means": "Calls of models of this upstream fail, and cost nothing.",
    }


def test_the_public_reads_no_name_and_no_cause(world):
    world.services.ports.model_listing().down.add("default")
    minute(world)

    told = world.call("GET", "/monitoring/status").json["components"]

    assert {name: told[name] for name in PARTS[1:]} == {
        **{name: {"status": "ok"} for name in PARTS[1:]},
        "upstreams": {"status": "down"},
    }


def test_store_that_is_down_is_alerted_by_the_schedule_and_ends_with_its_next_run(world, monkeypatch):
    minute(world)
    with monkeypatch.context() as patch:
        patch.setattr(JobBoard, "claim", unavailable)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                minute(world)
    minute(world)

    raised = [each.fields for each in world.services.ports.alerts().raised if each.event == "component_down"]
    assert raised == [{"part": "store", "code": "store_unavailable"}] * 2
    assert states_of(world) == {"component_down:store": "resolved"}


def test_silent_schedule_is_alerted_by_an_instance_that_answers_and_ends_with_its_next_run(world, alice):
    minute(world)
    alice.get("/me").close()
    world.clock.advance(5 * MINUTE + SECOND)
    alice.get("/me").close()
    alice.get("/me").close()
    during = states_of(world)
    minute(world)

    assert during == {"schedule_silent:every_minute": "open"}
    assert states_of(world) == {"schedule_silent:every_minute": "resolved"}


def test_entries_that_wait_are_alerted_once_late_and_end_when_relayed(world, monkeypatch):
    minute(world)
    alice = world.person(credits_=5)
    with stopped(monkeypatch, *broker(world)):
        world.clock.advance(MINUTE)
        minute(world)
        during = states_of(world)
    minute(world)
    world.clock.advance(MINUTE)
    minute(world)

    assert alice.get("/credits/balance").json["available"] == "5"
    assert during == {"job_behind:relay": "open"}
    assert states_of(world)["job_behind:relay"] == "resolved"


def test_an_hour_of_ordinary_life_alerts_nothing(world):
    for _ in range(60):
        world.person(credits_=3).get("/credits/balance")
        minute(world)

    assert world.services.ports.alerts().raised == []


def unavailable(*_, **__):
    raise StoreUnavailable


def states_of(world):
    return {each["id"]: each["state"] for each in world.person("admin").get("/admin/alerts").json["items"]}
