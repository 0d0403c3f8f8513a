"""Books of the whole ledger: the sums of all postings in the log by source and destination, and all users' balances.

The sequencer adds each entry as the log gets the entry, in the same commit. So each entry counts once, and the books
belong to one size of the log.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.documents import Value
from shared.ledger.entries import AVAILABLE, DEBT, HELD

NAMES_MAX = 500
"""Most sources and destinations with a sum of their own. Further ones are summed under OTHER."""
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
"""Form of a name with a sum of its own. The closed day's leaf has all names, and bounded bytes."""
OTHER = "other:"


@dataclass(frozen=True, slots=True)
class StatedBalances:
    """Posted and held credits and debt of a user, or of all users, in µcr, as entries state them."""

    posted: int = 0
    held: int = 0
    debt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBooks:
    """Sums over all entries of the log, in µcr. `flows` has, by name, the credits that came in less those that left.

    `balances` are the sums of the balances that the last entries of all users state.
    """

    flows: Mapping[str, int] = field(default_factory=dict)
    balances: StatedBalances = field(default_factory=StatedBalances)

    def with_entries(self, bodies: Iterable[Mapping[str, Any]], before: StatedBalances) -> "LedgerBooks":
        """Return the books with the next entries of one user, whose balances were `before`.

        Raises KeyError or TypeError for a body that is no entry's.
        """
        flows, last = Counter(self.flows), before
        for body in bodies:
            for posting in body["postings"]:
                flows[_kept(flows, posting["from"])] -= posting["amount"]
                flows[_kept(flows, posting["to"])] += posting["amount"]
            last = stated(body)
        known = self.balances
        balances = StatedBalances(
            posted=known.posted + last.posted - before.posted,
            held=known.held + last.held - before.held,
            debt=known.debt + last.debt - before.debt,
        )
        return LedgerBooks(flows=dict(flows), balances=balances)

    @property
    def differences(self) -> tuple[str, ...]:
        """Names of the sums that do not agree: `total`, `posted`, `held`, `debt`. Empty if the books balance."""
        available, held, debt = (self.flows.get(name, 0) for name in (AVAILABLE, HELD, DEBT))
        pairs = {
            "total": (sum(self.flows.values()), 0),
            "posted": (available + held, self.balances.posted),
            "held": (held, self.balances.held),
            "debt": (-debt, self.balances.debt),
        }
        return tuple(name for name, (summed, told) in pairs.items() if summed != told)


def stated(body: Mapping[str, Any]) -> StatedBalances:
    """Return the balances that an entry states. Raises KeyError or TypeError for a body that is no entry's."""
    return StatedBalances(*(_balance(body[name]) for name in ("posted", "held", "debt")))


def books_text(books: LedgerBooks) -> str:
    """Return the books as one stored text, with sums of any size."""
    balances = {"posted": books.balances.posted, "held": books.balances.held, "debt": books.balances.debt}
    return json.dumps({"flows": books.flows, **balances}, sort_keys=True)


def stored_books(value: Value) -> LedgerBooks:
    """Return the books of a stored text; empty books for None. Raises KeyError, TypeError or ValueError otherwise."""
    if value is None:
        return LedgerBooks()
    if not isinstance(value, str):
        raise TypeError("books are a text")
    told = json.loads(value)
    balances = StatedBalances(*(_whole(told[name]) for name in ("posted", "held", "debt")))
    return LedgerBooks(flows={str(name): _whole(amount) for name, amount in told["flows"].items()}, balances=balances)


def _kept(flows: Mapping[str, int], name: str) -> str:
    is_kept = name in flows or (len(flows) < NAMES_MAX and NAME.fullmatch(name) is not None)
    return name if is_kept else OTHER


def _balance(value: object) -> int:
    if _whole(value) < 0:
        raise TypeError("no balance is negative")
    return _whole(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a sum is a whole number")
    return value
