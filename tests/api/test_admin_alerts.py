"""Alerts as operators read, acknowledge and resolve them."""

import pytest

from functions.http.fields import encode_cursor
from shared.kernel.alert_book import AlertBook
from shared.platform.memory.alerts import MemoryAlerts
from tests.api.world import problem


@pytest.fixture
def raised(world):
    """Three alerts: a job's, an account's and the log's."""
    alerts = MemoryAlerts(AlertBook(world.services.ports.documents, world.clock, lambda _, write: write()))
    for event, told in (
        ("job_broken", {"job": "relay", "code": "ZeroDivisionError"}),
        ("ledger_tampered", {"uid": "a/b@example.com", "seq": 3, "rule": "hash"}),
        ("log_behind", {"lag_ms": 700_000}),
    ):
        world.clock.advance(1_000)
        alerts.alert(event, **told)
    return alerts


def act(person, name, act="acknowledge", reason="I look."):
    person.world.clock.advance(1)
    return person.post(f"/admin/alerts/{name}/{act}", {"reason": reason})


def states(person, query=""):
    return {each["id"].partition(":")[0]: each["state"] for each in person.get(f"/admin/alerts{query}").json["items"]}


def test_alerts_are_listed_by_state_in_pages(raised, admin):
    assert act(admin, "log_behind:-").status_code == 200

    first = admin.get("/admin/alerts?limit=2").json
    second = admin.get(f"/admin/alerts?limit=2&cursor={first['next_cursor']}").json
    names = [each["event"] for each in [*first["items"], *second["items"]]]
    assert names == ["log_behind", "ledger_tampered", "job_broken"]
    assert second["next_cursor"] is None
    assert states(admin, "?state=acknowledged") == {"log_behind": "acknowledged"}
    assert states(admin, "?state=open") == {"ledger_tampered": "open", "job_broken": "open"}
    assert "example.com" not in str(first)


def test_an_alert_goes_its_way_on_record(world, raised, admin):
    seen = act(admin, "job_broken:relay")
    again = act(admin, "job_broken:relay", reason="Me, too.")
    over = act(admin, "job_broken:relay", "resolve", "Fixed.")
    late = act(admin, "job_broken:relay")
    world.clock.advance(1_000)
    raised.alert("job_broken", job="relay", code="KeyError")
    shown = admin.get("/admin/alerts/job_broken:relay").json

    assert [(each.json["state"], each.json["reason"]) for each in (seen, again, over)] == [
        ("acknowledged", "I look."),
        ("acknowledged", "I look."),
        ("resolved", "Fixed."),
    ]
    assert problem(late) == (409, "alert_is_over")
    assert (shown["state"], shown["opening"], shown["count"], shown["changed_by"]) == ("open", 2, 2, "")
    assert shown["fields"] == {"job": "relay", "code": "KeyError"}
    records = [each for each in admin.get("/admin/audit").json["items"] if each["act"].endswith("_alert")]
    assert [(each["target"], each["state"], each["reason"]) for each in records] == [
        ("job_broken:relay", state, reason)
        for state, reason in (("refused", "I look."), ("done", "Fixed."), ("done", "Me, too."), ("done", "I look."))
    ]


@pytest.mark.parametrize("name", ["nothing:-", "a%2Fb", "..", "%00"])
def test_an_alert_that_is_not_there_is_not_found(admin, name):
    assert admin.get(f"/admin/alerts/{name}").status_code == 404
    assert act(admin, name).status_code in {404, 405}


@pytest.mark.parametrize("place", ["x", "1~", "~a", "1~a/b", "9" * 40 + "~a"])
def test_a_cursor_of_another_list_is_refused(admin, place):
    assert problem(admin.get(f"/admin/alerts?cursor={encode_cursor(place)}"))[0] == 422


@pytest.mark.parametrize(
    ("role", "reads", "acts"), [("admin", 200, 200), ("support", 200, 403), ("auditor", 200, 403), ("", 403, 403)]
)
def test_a_role_reads_or_acts_on_alerts(world, raised, role, reads, acts):
    person = world.person(role)

    assert person.get("/admin/alerts").status_code == reads
    assert person.get("/admin/alerts/log_behind:-").status_code == reads
    assert act(person, "log_behind:-").status_code == acts
    assert act(person, "log_behind:-", "resolve").status_code == acts
