"""Paid and promotional credits in the figures: what the figures remember of an account's lots. Pure.

A posting names its lot, and the entry that opened the lot tells if the lot was bought. The figures remember the lots
that were named last. The kind of a forgotten lot is read again when an entry names the lot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from shared.ledger.entries import AVAILABLE, DEBT, HELD
from shared.ledger.log.figure_sums import BalanceSums

LOTS_REMEMBERED = 32
"""Most lots of the memory between two commits, as many as the state has without held credits."""
CREDITS = frozenset({AVAILABLE, HELD})

Body = Mapping[str, Any]


class LotForgotten(Exception):  # nothing has failed: the caller reads the lot, and counts again
    """Signal that entries name a lot that the memory lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LotMemory:
    """Lots that entries named last, the latest at the end; True: the lot was bought.

    `available` and `held` are the account's paid credits in µcr.
    """

    kinds: Mapping[str, bool] = field(default_factory=dict)
    available: int = 0
    held: int = 0

    def with_kinds(self, kinds: Mapping[str, bool]) -> "LotMemory":
        """Return the memory with forgotten lots."""
        return LotMemory(kinds={**kinds, **self.kinds}, available=self.available, held=self.held) if kinds else self

    def shortened(self) -> "LotMemory":
        """Return the memory with at most LOTS_REMEMBERED lots."""
        over = len(self.kinds) - LOTS_REMEMBERED
        if over <= 0:
            return self
        return LotMemory(kinds=dict(islice(self.kinds.items(), over, None)), available=self.available, held=self.held)


def forgotten_lots(memory: LotMemory, bodies: Iterable[Body]) -> frozenset[str]:
    """Return the lots that the entries name and that neither the memory nor an earlier one of them tells of.

    Raises KeyError, TypeError or AttributeError for a body that is no entry's.
    """
    known, forgotten = set(memory.kinds), set[str]()
    for body in bodies:
        if "lot" in body:
            known.add(body["lot"]["id"])
        forgotten.update(item["lot"] for item in body["postings"] if _moves_a_lot(item) and item["lot"] not in known)
    return frozenset(forgotten)


def grown(memory: LotMemory, body: Body) -> tuple[LotMemory, BalanceSums]:
    """Return the memory after an entry, and the growth of the account's balances. Raises LotForgotten.

    A posting without a lot takes the whole rest, so that no available credits are left.
    """
    kinds = dict(memory.kinds)
    paid = {AVAILABLE: memory.available, HELD: memory.held}
    liability = debt = 0
    if "lot" in body:
        kinds[body["lot"]["id"]] = body["lot"]["paid"] is True
    for item in body["postings"]:
        source, destination, amount = item["from"], item["to"], item["amount"]
        liability += amount * ((destination in CREDITS) - (source in CREDITS))
        debt += amount * ((source == DEBT) - (destination == DEBT))
        if _moves_a_lot(item):
            _move(paid, item, is_paid=_named(kinds, item["lot"]))
        elif source == AVAILABLE:
            paid[AVAILABLE] = 0
    after = LotMemory(kinds=kinds, available=paid[AVAILABLE], held=paid[HELD])
    grown_paid = after.available + after.held - memory.available - memory.held
    return after, BalanceSums(paid=grown_paid, promotional=liability - grown_paid, debt=debt)


def _moves_a_lot(item: Mapping[str, Any]) -> bool:
    return "lot" in item and (item["from"] in CREDITS or item["to"] in CREDITS)


def _named(kinds: dict[str, bool], lot: str) -> bool:
    """Return the kind of a lot, which becomes the one named last. Raises LotForgotten."""
    if lot not in kinds:
        raise LotForgotten
    kinds[lot] = kinds.pop(lot)
    return kinds[lot]


def _move(paid: dict[str, int], item: Mapping[str, Any], *, is_paid: bool) -> None:
    for name, sign in ((item["from"], -1), (item["to"], 1)):
        if is_paid and name in paid:
            paid[name] += sign * item["amount"]
