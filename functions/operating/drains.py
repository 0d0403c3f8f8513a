"""Commands `drain` and `undrain`: stop and take spending calls."""

import argparse

from shared.bootstrap import Services
from shared.kernel.clock import SECOND
from shared.sagas.metering.drain import STALE

CALL_MINUTES_MAX = 9
"""Longest time of a running call: `timeoutSeconds` of the function `api`."""


def drain(asked: argparse.Namespace, services: Services) -> None:
    """Refuse new spending calls."""
    services.metering.drain.begin(asked.reason)
    print(
        f"Within {STALE // SECOND} seconds, new spending calls are answered 503 draining. "
        f"Running calls end within {CALL_MINUTES_MAX} minutes."
    )


def undrain(asked: argparse.Namespace, services: Services) -> None:
    """Take spending calls again."""
    del asked
    services.metering.drain.end()
    print(f"Within {STALE // SECOND} seconds, spending calls are taken again.")
