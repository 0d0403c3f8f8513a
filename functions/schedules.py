"""Scheduled functions: urgent jobs every minute, other jobs every day."""

from flask import Request

from shared.bootstrap import services


def every_minute(_request: Request) -> tuple[dict[str, int], int]:
    """Relay, expire, resume; answers how much each job has done."""
    return services().jobs.run_schedule("every_minute"), 200


def every_day(_request: Request) -> tuple[dict[str, int], int]:
    """Close the books: audit the chains."""
    return services().jobs.run_schedule("every_day"), 200
