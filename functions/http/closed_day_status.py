"""Component of `/v1/monitoring/status`: the last closed day, and the sample of accounts that was verified for it."""

from dataclasses import asdict
from typing import Any

from shared.bootstrap import Services
from shared.kernel.clock import DAY, HOUR, Millis, rfc3339, to_datetime
from shared.kernel.documents import StoreUnavailable
from shared.kernel.errors import DomainError
from shared.ledger.log.days import DayRecord

LATE_AFTER: Millis = 6 * HOUR
"""Time after the end of a day from which on a day that is not closed is late."""


def closed_day(services: Services, *, has_details: bool) -> dict[str, Any]:
    """Return the state of the close of days: `ok`, `late`, `degraded` if the books differ, `unavailable`.

    `has_details` adds the day, the size and root of the log, the accounts, the differences, and the sample's numbers.
    They are for operators. A ledger that has never closed a day is `ok` without details.
    """
    try:
        state = services.credits.days.state()
        if not state.last:
            return {"status": "ok"}
        status = "late" if state.last < _due_day(services) else "ok"
        if not has_details:
            return {"status": status}
        record = services.credits.days.closed(state.last).record
    except StoreUnavailable:
        return {"status": "unavailable"}
    except DomainError:
        return {"status": "degraded"}
    return {"status": "degraded" if record.books.differences else status, **_details(services, record)}


def _details(services: Services, record: DayRecord) -> dict[str, Any]:
    details = {
        "day": record.day,
        "tree_size": record.size,
        "root": record.root,
        "accounts": record.totals.accounts,
        "differences": list(record.books.differences),
    }
    sample = _sample(services)
    return details if sample is None else {**details, "sample": sample}


def _sample(services: Services) -> dict[str, Any] | None:
    from shared.sagas.accounts.day_sample import stored_sample

    try:
        sample = stored_sample(services.ports.documents())
    except (DomainError, LookupError, TypeError, ValueError):
        return None
    return None if sample is None else {**asdict(sample), "at": rfc3339(sample.at)}


def _due_day(services: Services) -> str:
    """Return the last day whose close is due."""
    return to_datetime(Millis(services.clock.now() - DAY - LATE_AFTER)).date().isoformat()
