"""Credits of committed entries by kind, for operators."""

from collections.abc import Iterable

import orjson

from shared.kernel.measured import POSTED
from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.entries import Entry


def count_entries(entries: Iterable[Entry]) -> None:
    """Count the credits that these entries move. Never raises."""
    try:
        for entry in entries:
            moved = sum(posting["amount"] for posting in orjson.loads(entry.body)["postings"])
            POSTED.add(entry.kind, by=moved / MICRO_PER_CREDIT)
    except Exception:  # noqa: BLE001, S110  # see `Meter.add`
        pass
