"""The table of jobs is complete and fits its functions: unique names, methods that exist, and time for each job."""

from emulator.reference.jobs import jobs_page
from shared.bootstrap import in_memory
from shared.bootstrap.jobs import JOBS
from shared.sagas.engine.jobs import RUN_SECONDS

ENTRIES = [entry for entries in JOBS.values() for entry in entries]


def test_a_job_stands_in_the_table_once():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


def test_the_runner_runs_the_jobs_of_the_table_in_its_order():
    by_schedule = in_memory().jobs.by_schedule

    assert {schedule: [(job.name, job.seconds) for job in jobs] for schedule, jobs in by_schedule.items()} == {
        schedule: [(entry.name, entry.seconds) for entry in entries] for schedule, entries in JOBS.items()
    }


def test_the_runner_has_a_schedule_for_each_scheduled_function():
    schedules = in_memory().jobs

    assert {schedule: set(schedules.run_schedule(schedule)) for schedule in JOBS} == {
        schedule: {entry.name for entry in entries} for schedule, entries in JOBS.items()
    }


def test_no_job_takes_longer_than_a_run():
    assert [entry.name for entry in ENTRIES if not 0 < entry.seconds <= RUN_SECONDS] == []


def test_the_reference_says_the_task_of_every_job():
    page = jobs_page()

    assert [
        entry.name for entry in ENTRIES if f"| `{entry.name}` | {entry.seconds:g} | {entry.task} |" not in page
    ] == []
