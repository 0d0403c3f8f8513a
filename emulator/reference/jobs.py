"""Reference page of the periodic jobs: name, seconds, task, source file, by schedule."""

from emulator.reference.markdown import file_of, page, source_link, table
from shared.bootstrap import in_memory
from shared.bootstrap.jobs import JOBS, JobWorkers

OPENING = """\
Two scheduled functions run these jobs ([`functions/schedules.py`](../../functions/schedules.py)), all jobs of a
schedule side by side. The table in the code is [`shared/bootstrap/jobs.py`](../../shared/bootstrap/jobs.py). *Seconds*
is the most that a job may take in one run, and one item may take a quarter of that; the job's cursor is stored, and the
next run continues there. The document `jobs/{schedule}` holds each job's cursor and lease, and the lease keeps a job
from running twice at a time ([`shared/sagas/engine/jobs.py`](../../shared/sagas/engine/jobs.py)). The answer of the
function, and the log event `job_done`, say how many items each job has done."""


def jobs_page() -> str:
    """Return the page, one table per schedule, in the order of the code."""
    workers = JobWorkers(in_memory())
    parts = [
        f"## {schedule}\n\n"
        + table(
            ("Job", "Seconds", "Task", "Code"),
            [(f"`{job.name}`", f"{job.seconds:g}", job.task, _code(job.work(workers).__module__)) for job in jobs],
        )
        for schedule, jobs in JOBS.items()
    ]
    return page("Jobs", OPENING, *parts)


def _code(module: str) -> str:
    return source_link(file_of(module), module)
