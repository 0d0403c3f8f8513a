"""The deletion of an entry's body over HTTP and as a command."""

import pytest

from functions.commands import main
from shared.kernel.clock import MINUTE
from tests.api.world import problem


@pytest.fixture
def settled(world, alice):
    """Alice with two entries that are published, and in the signed log."""
    alice.post("/credits/reserve", {"amount": "1"})
    minutes(world, 2)
    return alice


def minutes(world, count):
    for _ in range(count):
        world.clock.advance(MINUTE)
        world.services.jobs.run_schedule("every_minute")


def redact(person, uid, seq, reason="a name in a key"):
    return person.post(f"/admin/entries/{uid}/{seq}/redact", {"reason": reason})


def test_a_body_is_deleted_in_two_steps_on_record(world, settled, admin):
    first = redact(admin, settled.uid, 2)
    minutes(world, 2)
    second, third = redact(admin, settled.uid, 2), redact(admin, settled.uid, 2)

    assert [each.json["status"] for each in (first, second, third)] == ["waiting", "redacted", "redacted"]
    assert world.services.credits.ledger.verify(settled.uid) == []
    assert settled.get("/credits/entries/2").json["kind"] == "hold"
    assert problem(settled.get("/credits/entries/2/proof")) == (404, "entry_redacted")
    assert admin.get(f"/admin/entries/{settled.uid}/2/explain").status_code == 200
    records = [each for each in admin.get("/admin/audit").json["items"] if each["act"] == "redact_entry"]
    assert [(each["reason"], each["state"], each["after"]) for each in records] == [
        ("a name in a key", "done", {"seq": 2, "progress": status}) for status in ("redacted", "redacted", "waiting")
    ]


@pytest.mark.parametrize(
    ("seq", "code"), [("3", "entry_not_found"), ("0", "entry_not_found"), ("x", "entry_not_found")]
)
def test_an_entry_that_is_not_there_is_refused(settled, admin, seq, code):
    assert problem(redact(admin, settled.uid, seq)) == (404, code)


def test_an_entry_outside_the_log_is_refused(world, settled, admin):
    settled.post("/credits/reserve", {"amount": "1"})

    assert problem(redact(admin, settled.uid, 3)) == (409, "not_logged_yet")


@pytest.mark.parametrize(("role", "status"), [("admin", 404), ("support", 403), ("auditor", 403), ("", 403)])
def test_admins_alone_delete_bodies(world, alice, role, status):
    assert redact(world.person(role), "nobody", 1).status_code == status


def test_nobody_deletes_a_body_of_their_own_account(world, admin):
    minutes(world, 2)

    assert problem(redact(admin, admin.uid, 1)) == (403, "own_account")


def test_the_command_deletes_a_body_in_two_runs(world, settled, capsys):
    for told in ("Run this again in two minutes.", "Its hash, signature and proof stay."):
        assert main(["redact-entry", "--", settled.uid, "2", "a name"], world.services) == 0
        assert told in capsys.readouterr().out
        minutes(world, 2)

    assert world.services.credits.ledger.verify(settled.uid) == []
