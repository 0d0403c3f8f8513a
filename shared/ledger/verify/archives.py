"""Archive of an account in an export, compared with the lots and holds that the fold let leave the state."""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import orjson

from shared.kernel.clock import Millis
from shared.ledger.account import Lot
from shared.ledger.hold_names import capture_operation
from shared.ledger.operation_records import PASSING_FOR
from shared.ledger.past import MemoryPast
from shared.ledger.rest import rest_fields
from shared.ledger.running_account import RunningAccount
from shared.ledger.running_parts import RunningHold, RunningLot, lot_value
from shared.ledger.verify.grammar import HoldLine, LotLine

RULE = "archive"
_LOT = tuple(each.name for each in fields(Lot))
KEPT: Millis = 0
"""Time of an ended hold whose document has no lifetime."""

Report = Callable[[int, str, str], None]
"""Function that reports a finding: seq, rule and detail."""


class ArchivePast(MemoryPast):
    """Past that remembers each ended hold by 24 bytes: its entry, the hash of its state, and its time.

    The hash has a random key of this process, so that nobody can choose two states with the same hash.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seqs, self.states, self.times = array("q"), array("q"), array("q")

    def keep_hold(self, seq: int, hold: RunningHold, body: Mapping[str, Any]) -> None:
        """Remember the hold that entry `seq` ended. `body` is the entry's parsed body."""
        is_passing = body["op"] == capture_operation(hold.opened["id"])
        self.seqs.append(seq)
        self.states.append(hash(_hold_text(hold, body["hold"]["end"])))
        self.times.append(body["at"] if is_passing else KEPT)


class ArchiveAudit:
    """Audit of one account's archive against the account's past, line by line."""

    def __init__(self, past: ArchivePast, report: Report) -> None:
        """Take the past of the account's fold, and the function that reports findings."""
        self._past = past
        self._report = report
        self._next = 0
        self._lots: dict[str, RunningLot] | None = None

    def check_lot(self, line: LotLine, account: RunningAccount) -> None:
        """Compare an archived lot with the fold. `account` is the state after the last entry."""
        lot = self._left(account).pop(line.id, None)
        if lot is None:
            self._report(account.seq, RULE, f"lot {line.id} has not left the state")
        elif line.state.encode() != _lot_text(lot) or line.rest_order != _rest_order(lot):
            self._report(lot.granted_seq, RULE, f"lot {line.id} is not as it left the state")

    def check_hold(self, line: HoldLine, now: Millis) -> None:
        """Compare an archived hold with the fold. `now` (ms) tells which holds may have been deleted."""
        self._skip_to(line.seq, now)
        if self._next == len(self._past.seqs) or self._past.seqs[self._next] != line.seq:
            self._report(line.seq, RULE, "the entry ended no hold")
            return
        if self._past.states[self._next] != hash(line.state.encode()):
            self._report(line.seq, RULE, "the hold is not as the entry ended the hold")
        self._next += 1

    def finish(self, account: RunningAccount, now: Millis) -> None:
        """Report the archived lots and holds that are missing."""
        for lot in self._left(account).values():
            self._report(lot.granted_seq, RULE, f"lot {lot.id} is missing")
        self._skip_to(account.seq + 1, now)

    def _left(self, account: RunningAccount) -> dict[str, RunningLot]:
        if self._lots is None:
            self._lots = {str(name): lot for name, lot in self._past.lots.items() if name not in account.lots}
        return self._lots

    def _skip_to(self, seq: int, now: Millis) -> None:
        """Report the missing holds that ended before entry `seq`, unless their records may have been deleted."""
        while self._next < len(self._past.seqs) and self._past.seqs[self._next] < seq:
            at = self._past.times[self._next]
            if at == KEPT or at + PASSING_FOR > now:
                self._report(self._past.seqs[self._next], RULE, "the hold that the entry ended is missing")
            self._next += 1


def _lot_text(lot: RunningLot) -> bytes:
    """Return the canonical text of a lot, as the codec writes it; a None is left out."""
    told = {name: value for name in _LOT if (value := getattr(lot, name)) is not None}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _rest_order(lot: RunningLot) -> str | None:
    is_empty = lot.held == 0 and lot.available == 0
    return None if is_empty else rest_fields(lot_value(lot)).get("rest_order")


def _hold_text(hold: RunningHold, end: str) -> bytes:
    """Return the canonical text of an ended hold, as the codec writes it; a None is left out."""
    told = {
        **hold.opened,
        "budgets": hold.budgets,
        "takes": (),
        "expires_at": hold.expires_at,
        "accrued": 0,
        "placed": hold.placed,
        "captured": hold.captured,
        "status": end,
    }
    if hold.input_held is not None:
        told["input_held"] = hold.input_held
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
