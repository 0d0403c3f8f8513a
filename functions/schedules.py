"""Scheduled functions: urgent jobs every minute, other jobs every day."""

from flask import Request

from shared.bootstrap import services


def every_minute(_request: Request) -> tuple[dict[str, int], int]:
    """Run the jobs of every minute: relay, expire, resume. Return the items that each job has done, and a status."""
    return services().jobs.run_schedule("every_minute"), 200


def every_day(_request: Request) -> tuple[dict[str, int], int]:
    """Run the jobs of every day, such as the audit of the journals.

    Return the items that each job has done, and a status.
    """
    return services().jobs.run_schedule("every_day"), 200
