"""Money of a payment that an entry is about: the way, minor units and the currency, as `in:4900:EUR`.

Entries move credits. Entries of payments also name the money, so that the money of a day is a fold of entries. Each
entry has its money once, also if several events told of the payment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.ledger.about import MONEY, WORLD

Way = Literal["in", "out", "back"]
"""Way of the money. `in`: paid, and credited. `out`: returned or lost. `back`: came back, or never left."""
MONEY_TEXT = re.compile(r"(in|out|back):([1-9]\d{0,17}):([A-Z]{3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyTold:
    """Money of one entry in `minor` units of `currency`, from or to the payment provider `provider`."""

    provider: str
    way: Way
    minor: int
    currency: str


def money_text(way: Way, minor: int, currency: str) -> str:
    """Return the tag of an entry that moves the credits for this money; "" for no money."""
    return f"{way}:{minor}:{currency}" if minor > 0 else ""


def money_in(body: Mapping[str, Any]) -> MoneyTold | None:
    """Return the money that an entry tells of, None without any. Raises KeyError, TypeError or AttributeError for
    a body that is no entry's.
    """
    found = MONEY_TEXT.fullmatch(str(body.get("about", {}).get(MONEY, "")))
    names = (name for item in body["postings"] for name in (item["from"], item["to"]))
    world = next((name for name in names if name.startswith(WORLD)), None)
    if found is None or world is None:
        return None
    way: Any = found[1]
    return MoneyTold(provider=world.removeprefix(WORLD), way=way, minor=int(found[2]), currency=found[3])
