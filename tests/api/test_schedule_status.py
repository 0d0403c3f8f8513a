"""Schedules, their jobs and the relay on the status page: a word for anybody, numbers for operators."""

import pytest

from shared.kernel.clock import HOUR, MINUTE, SECOND
from tests.support.ledgers import grant


def components(caller):
    return caller.get("/monitoring/status").json["components"]


@pytest.fixture
def auditor(world):
    return world.person("auditor")


def run(world, schedule="every_minute"):
    world.services.jobs.run_schedule(schedule)


def test_schedules_are_unknown_before_their_first_run(auditor):
    told = components(auditor)

    assert {told[name]["status"] for name in ("every_minute", "every_day", "relay")} == {"unknown"}


def test_operators_read_the_end_of_each_job(world, auditor):
    run(world)
    run(world, "every_day")

    told = components(auditor)
    jobs = {job["name"]: job for job in told["every_minute"]["jobs"]}

    assert (told["every_minute"]["status"], told["every_day"]["status"], told["relay"]["status"]) == ("ok", "ok", "ok")
    assert jobs.keys() == {job.name for job in world.services.jobs.by_schedule["every_minute"]}
    assert all(job["ended_at"] and job["code"] is None and job["seconds"] >= 0 for job in jobs.values())


def test_the_public_reads_one_word_of_each(world, alice):
    run(world)

    for told in (components(alice), world.call("GET", "/monitoring/status").json["components"]):
        assert told["every_minute"] == {"status": "ok"}
        assert told["relay"] == {"status": "ok"}


@pytest.mark.parametrize(("waited", "status"), [(4 * MINUTE, "ok"), (5 * MINUTE + SECOND, "down"), (9 * HOUR, "down")])
def test_a_silent_minute_is_down_after_five_minutes(world, waited, status):
    run(world)
    world.clock.advance(waited)

    assert world.call("GET", "/monitoring/status").json["components"]["every_minute"] == {"status": status}


def test_a_failed_job_degrades_its_schedule_and_recovers(world, auditor, monkeypatch):
    job = world.services.jobs.by_schedule["every_minute"][0]

    def fail(run):
        raise RuntimeError

    kept = job.run
    object.__setattr__(job, "run", fail)
    run(world)
    failed = components(auditor)["every_minute"]
    object.__setattr__(job, "run", kept)
    run(world)

    assert failed["status"] == "degraded"
    assert job.name in failed["means"]
    assert {each["name"]: each["code"] for each in failed["jobs"]}[job.name] == "RuntimeError"
    assert components(auditor)["every_minute"]["status"] == "ok"


def test_an_entry_that_waits_makes_the_relay_late(world, auditor, alice):
    run(world)
    world.services.credits.ledger.execute(alice.uid, grant("late", 5))
    world.clock.advance(2 * MINUTE)

    late = components(auditor)["relay"]
    run(world)
    run(world)

    assert (late["status"], late["lag_ms"]) == ("degraded", 2 * MINUTE)
    assert components(auditor)["relay"]["status"] == "ok"
