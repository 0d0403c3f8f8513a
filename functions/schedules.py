"""Scheduled functions: urgent jobs every minute, other jobs every day."""

import time

from flask import Request

from functions.tracing import begin_request
from shared.bootstrap import services
from shared.kernel.events import log

MILLIS_PER_SECOND = 1_000


def every_minute(request: Request) -> tuple[dict[str, int], int]:
    """Run the jobs of every minute: relay, expire, resume. Return the items that each job has done, and a status."""
    return _run("every_minute", request), 200


def every_day(request: Request) -> tuple[dict[str, int], int]:
    """Run the jobs of every day, such as the audit of the journals.

    Return the items that each job has done, and a status.
    """
    return _run("every_day", request), 200


def _run(schedule: str, request: Request) -> dict[str, int]:
    begin_request(request.headers, services().settings.project)
    started = time.monotonic()
    done = services().jobs.run_schedule(schedule)
    ms = round((time.monotonic() - started) * MILLIS_PER_SECOND)
    log("schedule_done", schedule=schedule, done=sum(done.values()), ms=ms)
    return done
