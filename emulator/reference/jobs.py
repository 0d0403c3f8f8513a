"""Reference page of the periodic jobs: name, seconds, task, source file, by schedule."""

from emulator.reference.markdown import file_of, page, source_link, table, text_of
from shared.bootstrap import in_memory

OPENING = """\
Two scheduled functions run these jobs ([`functions/schedules.py`](../../functions/schedules.py)), one job after the
other. *Seconds* is the most that a job may take in one run; the job's cursor is stored, and the next run continues
there. A lease in `jobs/{name}` keeps a job from running twice at a time
([`shared/sagas/engine/jobs.py`](../../shared/sagas/engine/jobs.py)). The answer of the function, and the log event
`job_done`, say how many items each job has done."""


def jobs_page() -> str:
    """Return the page, one table per schedule, in the order of the code."""
    parts = [
        f"## {schedule}\n\n"
        + table(
            ("Job", "Seconds", "Task", "Code"),
            [
                (f"`{job.name}`", f"{job.seconds:g}", text_of(job.run.__doc__), _code(job.run.__module__))
                for job in jobs
            ],
        )
        for schedule, jobs in in_memory().jobs.by_schedule.items()
    ]
    return page("Jobs", OPENING, *parts)


def _code(module: str) -> str:
    return source_link(file_of(module), module)
