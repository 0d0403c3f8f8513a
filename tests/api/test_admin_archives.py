"""A journal that moves to the bucket and back, over HTTP and as a command."""

import pytest

from functions.commands import main
from shared.kernel.clock import MINUTE
from tests.api.world import problem


@pytest.fixture
def settled(world, alice):
    """Alice with three entries that are published, and in the signed log."""
    for amount in ("1", "2"):
        alice.post("/credits/reserve", {"amount": amount})
    minutes(world, 2)
    return alice


def minutes(world, count):
    for _ in range(count):
        world.clock.advance(MINUTE)
        world.services.jobs.run_schedule("every_minute")


def act(person, uid, name="archive", reason="Quiet for years."):
    return person.post(f"/admin/users/{uid}/{name}", {"reason": reason})


def seen(person):
    routes = ("/credits/history?kind=hold", "/credits/entries/2", "/credits/entries/2/proof", "/credits/balance")
    return [person.get(route).json for route in routes]


def test_journal_is_archived_in_two_steps_and_reads_the_same(world, settled, admin):
    before = seen(settled)
    first = act(admin, settled.uid)
    minutes(world, 2)
    second, third = act(admin, settled.uid), act(admin, settled.uid)
    after = seen(settled)

    assert [(each.json["status"], each.json["last"]) for each in (first, second, third)] == [
        ("waiting", 2),
        ("archived", 2),
        ("archived", 2),
    ]
    assert [each for each in after if "proof" not in each] == [each for each in before if "proof" not in each]
    assert world.services.credits.ledger.verify(settled.uid) == []
    assert admin.get(f"/admin/entries/{settled.uid}/2/explain").status_code == 200
    acts = [each["act"] for each in admin.get("/admin/audit").json["items"]]
    assert acts.count("archive_journal") == 3


def test_archived_journal_comes_back_once(world, settled, admin):
    act(admin, settled.uid)
    minutes(world, 2)
    act(admin, settled.uid)

    assert act(admin, settled.uid, "unarchive").json["status"] == "restored"
    assert problem(act(admin, settled.uid, "unarchive")) == (409, "nothing_to_archive")
    assert world.services.credits.ledger.verify(settled.uid) == []


def test_spending_and_refunds_go_on_after_a_journal_was_archived(world, settled, admin):
    act(admin, settled.uid)
    minutes(world, 2)
    act(admin, settled.uid)
    spent = settled.post("/credits/reserve", {"amount": "3"})
    minutes(world, 2)

    assert spent.status_code == 201
    assert world.services.credits.ledger.verify(settled.uid) == []
    assert act(admin, settled.uid).json["status"] == "waiting"


@pytest.mark.parametrize(("role", "status"), [("admin", 409), ("support", 403), ("auditor", 403), ("", 403)])
def test_admins_alone_move_journals(world, role, status):
    for name in ("archive", "unarchive"):
        assert act(world.person(role), "nobody", name).status_code == status


def test_commands_move_a_journal_there_and_back(world, settled, capsys):
    def run(*words):
        assert main(words, world.services) == 0
        return capsys.readouterr().out.splitlines()[-1]

    first = run("archive-journal", "--", settled.uid, "quiet")
    minutes(world, 2)
    capsys.readouterr()
    second = run("archive-journal", "--", settled.uid, "quiet")
    third = run("unarchive-journal", "--", settled.uid, "needed")

    assert first.endswith("Run this again in two minutes.")
    assert second == f"The entries 1 to 2 of {settled.uid} are in the bucket."
    assert third == f"All entries of {settled.uid} are in the database again."
