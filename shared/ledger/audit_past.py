"""Past of an account during an audit: lots that left the state, and the names that no two entries may use.

Both are pages that only grow, so an audit continues without the whole journal in memory. A name is a keyed hash of 8
bytes. Names are compared once for many entries, and not at each entry.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.kernel.canonical import parse_canonical
from shared.kernel.ids import HoldId, LotId
from shared.ledger.account import Hold, Lot
from shared.ledger.audit_pages import AppendedPages
from shared.ledger.codec import decode_lot, encode_lot
from shared.ledger.running_parts import RunningHold, RunningLot, ended_value, lot_value
from shared.ledger.stored_entries import StoredEntry

NAME_BYTES = 8
REPEATABLE = "expire:"
"""Start of the operations that may stand in many entries."""


class AuditPast:
    """Past of one account between two positions of the account's audit. See `JournalPast`."""

    def __init__(self, names: AppendedPages, lots: AppendedPages, salt: str) -> None:
        self.names = names
        self.lots = lots
        self._salt = salt.encode()
        self._new_names: list[bytes] = []
        self._new_lots: list[str] = []
        self._known_lots: dict[str, str] | None = None
        self._ended: dict[HoldId, Hold] = {}
        self._left: set[str] = set()

    def lot(self, lot: LotId) -> Lot | None:
        """Return the lot as it left the state last; None if no such lot left the state. Raises PositionUnusable."""
        line = self._lot_lines().get(lot)
        return None if line is None else _lot_in(line)

    def keep_lot(self, lot: RunningLot) -> None:
        """Remember a lot that leaves the state."""
        line = encode_lot(lot_value(lot))
        self._left.add(lot.id)
        self._new_lots.append(f"{line}\n")
        if self._known_lots is not None:
            self._known_lots[lot.id] = line

    def keep_hold(self, seq: int, hold: RunningHold, body: Mapping[str, Any]) -> None:
        """Remember a hold that entry `seq` ended, until `take_ended`."""
        ended = ended_value(hold, body["hold"]["end"])
        self._ended[ended.id] = ended

    def take_ended(self) -> Mapping[HoldId, Hold]:
        """Return the holds that have ended since the last call."""
        ended, self._ended = self._ended, {}
        return ended

    def lots_to_compare(self, first: int, limit: int) -> tuple[list[LotId], int]:
        """Return the lots that left the state in this turn, `limit` others from number `first` on, and the next number.

        Raises PositionUnusable.
        """
        if not self.lots.size and not self._left:
            return [], 0
        names = sorted(self._lot_lines())
        after = first + limit if first + limit < len(names) else 0
        return [LotId(name) for name in sorted({*self._left, *names[first : first + limit]})], after

    def is_new_hold(self, hold: HoldId) -> bool:
        """Remember the name of a placed hold. Returns True, since `repeated` compares the names later."""
        return self._remember(f"hold:{hold}")

    def is_new_operation(self, operation: str) -> bool:
        """Remember the name of an operation. Returns True, since `repeated` compares the names later."""
        return self._remember(f"operation:{operation}")

    def settle(self) -> None:
        """Move the new names and lots to the pages. Raises PositionUnusable."""
        self.names.append(b"".join(self._new_names))
        self.lots.append("".join(self._new_lots).encode())
        self._new_names, self._new_lots = [], []

    def repeated(self, checked: int) -> set[int]:
        """Return the hashes behind the first `checked` bytes of the names that occur twice. Raises PositionUnusable."""
        new: set[int] = set()
        twice: set[int] = set()
        for page in self.names.read(checked):
            for name in array("Q", page):
                (twice if name in new else new).add(name)
        for page in self._pages_until(checked):
            twice.update(new.intersection(array("Q", page)))
        return twice

    def entries_named(self, twice: set[int], entries: Sequence[StoredEntry]) -> Iterator[tuple[int, str]]:
        """Yield the seq and the name of each entry whose operation or hold is among the hashes."""
        for entry in entries:
            body: Any = parse_canonical(entry.body)
            for name in _names_in(body):
                if int.from_bytes(self._hash(name), sys.byteorder) in twice:
                    yield entry.seq, name

    def _pages_until(self, end: int) -> Iterator[bytes]:
        for page in self.names.read():
            if end <= 0:
                return
            yield page[:end]
            end -= len(page)

    def _remember(self, name: str) -> bool:
        self._new_names.append(self._hash(name))
        return True

    def _hash(self, name: str) -> bytes:
        return hashlib.blake2b(name.encode(), digest_size=NAME_BYTES, key=self._salt).digest()

    def _lot_lines(self) -> dict[str, str]:
        if self._known_lots is None:
            lines = [line for page in self.lots.read() for line in page.decode().splitlines()]
            lines += [line.rstrip("\n") for line in self._new_lots]
            self._known_lots = {_lot_in(line).id: line for line in lines}
        return self._known_lots


def _lot_in(line: str) -> Lot:
    fields: Any = parse_canonical(line)
    return decode_lot(fields)


def _names_in(body: Mapping[str, Any]) -> Iterator[str]:
    if not body["op"].startswith(REPEATABLE):
        yield f"operation:{body['op']}"
    if body["kind"] == "hold":
        yield f"hold:{body['hold']['id']}"
