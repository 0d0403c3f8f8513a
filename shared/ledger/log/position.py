"""Position of an account in the log: the last entry that the log has, and the leaf of each entry, as runs.

A run is a sequence of entries whose leaves follow one another. `accounts/{uid}/log/position` has the newest runs; once
these are many, they move to pages, `accounts/{uid}/log/runs-{number}`. The position names the first entry of each page,
so that the leaf of any entry is found by reading at most one page.
"""

import json
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from shared.kernel.documents import Data, Document, Documents, Value
from shared.kernel.ids import Uid
from shared.ledger.account_documents import account_path
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.books import StatedBalances
from shared.ledger.log.figure_lots import LotMemory
from shared.ledger.log.figures import FiguredAccount

RUNS_MAX = 256
"""Runs of a position. More move to a page."""
PAGE_RUNS_MAX = 4_096
"""Runs of a page: 64 KiB. An account that was visited a million times has 245 pages."""
POSITION_RULE = "position"
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PAIR, _SEQ = struct.Struct(">QQ"), struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Run:
    """Entries from `seq` on, whose leaves are `index`, `index` + 1, … until the next run begins."""

    seq: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedAt:
    """Account that the sequencer passes over until an operator releases it: entry `seq` breaks the law `rule`."""

    seq: int
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """Entries of an account that the log has: 1 to `seq`. `hash` is that of entry `seq`, in hex; "" without entries.

    `pages` has the first entry of each page of older runs. `balances` are those that entry `seq` states. `figured` is
    the memory of the figures, which may be behind. `version` is None without a document.
    """

    uid: Uid
    seq: int = 0
    hash: str = ""
    runs: tuple[Run, ...] = ()
    pages: tuple[int, ...] = ()
    balances: StatedBalances = field(default_factory=StatedBalances)
    figured: FiguredAccount = field(default_factory=FiguredAccount)
    parked: ParkedAt | None = None
    version: object | None = None

    @property
    def end(self) -> int:
        """Index behind the leaf of the last entry; 0 without entries."""
        return self.runs[-1].index + self.seq + 1 - self.runs[-1].seq if self.runs else 0

    def moved(self, count: int, last_hash: str, index: int, balances: StatedBalances) -> "LogPosition":
        """Return the position after `count` more entries, whose leaves begin at `index`; the last states `balances`."""
        run = Run(self.seq + 1, index)
        is_continued = bool(self.runs) and self.end == index
        runs = self.runs if is_continued else (*self.runs, run)
        return replace(self, seq=self.seq + count, hash=last_hash, runs=runs, balances=balances)


def position_path(uid: Uid) -> str:
    """Return `accounts/{uid}/log/position`, the path of the position."""
    return f"{account_path(uid)}/log/position"


def page_path(uid: Uid, number: int) -> str:
    """Return `accounts/{uid}/log/runs-{number}`, the path of a page of older runs."""
    return f"{account_path(uid)}/log/runs-{number:06d}"


def position_data(position: LogPosition) -> Data:
    """Return the stored fields of a position: one map, which no index covers."""
    state: dict[str, Value] = {"seq": position.seq, "hash": position.hash, "runs": pack_runs(position.runs)}
    if position.balances != StatedBalances():
        state["balances"] = [position.balances.posted, position.balances.held, position.balances.debt]
    if position.figured.seq:
        state["figured"] = _figured_data(position.figured)
        state["figured_lots"] = _lots_text(position.figured.lots)
        state["figured_way"] = [position.figured.has_spent, position.figured.signed_up]
    if position.pages:
        state["pages"] = b"".join(map(_SEQ.pack, position.pages))
    if position.parked is not None:
        state["parked"] = {"seq": position.parked.seq, "rule": position.parked.rule}
    return {"state": state}


def stored_position(uid: Uid, document: Document | None) -> LogPosition:
    """Return the position in this document. Raises IntegrityFailed with the rule `position` for any other data."""
    if document is None:
        return LogPosition(uid=uid)
    try:
        position = _position(uid, document)
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise IntegrityFailed(uid=uid, seq=0, rule=POSITION_RULE) from error
    if not _is_sound(position):
        raise IntegrityFailed(uid=uid, seq=position.seq, rule=POSITION_RULE)
    return position


def leaf_index(documents: Documents, position: LogPosition, seq: int) -> int | None:
    """Return the index of the leaf of entry `seq`, None if the log does not have the entry.

    Reads a page if the run is an old one. Raises IntegrityFailed with the rule `position`, StoreUnavailable.
    """
    if not 1 <= seq <= position.seq:
        return None
    runs: Iterable[Run] = position.runs
    if not position.runs or seq < position.runs[0].seq:
        number = bisect_right(position.pages, seq) - 1
        runs = stored_page(position.uid, documents.get(page_path(position.uid, number))) if number >= 0 else ()
    found = [run for run in runs if run.seq <= seq]
    if not found:
        raise IntegrityFailed(uid=position.uid, seq=seq, rule=POSITION_RULE)
    return found[-1].index + seq - found[-1].seq


def page_data(runs: Iterable[Run]) -> Data:
    """Return the stored fields of a page."""
    return {"state": {"runs": pack_runs(runs)}}


def stored_page(uid: Uid, document: Document | None) -> tuple[Run, ...]:
    """Return the runs of a page. Raises IntegrityFailed with the rule `position` if the page is missing or broken."""
    state = None if document is None else document.data.get("state")
    runs = state.get("runs") if isinstance(state, Mapping) else None
    if not isinstance(runs, bytes) or not runs or len(runs) % _PAIR.size:
        raise IntegrityFailed(uid=uid, seq=0, rule=POSITION_RULE)
    return _unpacked(runs)


def pack_runs(runs: Iterable[Run]) -> bytes:
    """Return pairs of first entry and leaf index, 8 bytes each, big-endian."""
    return b"".join(_PAIR.pack(run.seq, run.index) for run in runs)


def _unpacked(runs: bytes) -> tuple[Run, ...]:
    return tuple(Run(seq, index) for seq, index in _PAIR.iter_unpack(runs))


def _position(uid: Uid, document: Document) -> LogPosition:
    """Return the position in this document. Raises KeyError, TypeError, ValueError or struct.error for other data."""
    state = document.data["state"]
    if not isinstance(state, Mapping):
        raise TypeError("the state of a position is a map")
    parked, pages = state.get("parked"), state.get("pages", b"")
    return LogPosition(
        uid=uid,
        seq=_number(state["seq"]),
        hash=_text(state["hash"]),
        runs=_unpacked(_raw(state["runs"])),
        pages=tuple(seq for (seq,) in _SEQ.iter_unpack(_raw(pages))),
        balances=_balances(state.get("balances")),
        figured=_figured(state.get("figured"), state.get("figured_lots"), state.get("figured_way")),
        parked=None if parked is None else _parked(parked),
        version=document.version,
    )


def _parked(value: Value) -> ParkedAt:
    if not isinstance(value, Mapping):
        raise TypeError("a parked account has entry and rule")
    return ParkedAt(seq=_number(value["seq"]), rule=_text(value["rule"]))


def _balances(value: Value) -> StatedBalances:
    if value is None:
        return StatedBalances()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError("no list of balances")
    posted, held, debt = (_number(each) for each in value)
    return StatedBalances(posted, held, debt)


def _figured_data(figured: FiguredAccount) -> Value:
    return [figured.seq, figured.generation, figured.day, figured.cohort, figured.has_bonus]


def _lots_text(lots: LotMemory) -> str:
    return json.dumps([lots.available, lots.held, lots.kinds], separators=(",", ":"))


def _lots(value: Value) -> LotMemory:
    """Return the memory of lots; an empty one if an earlier release wrote the position."""
    if value is None:
        return LotMemory()
    available, held, kinds = json.loads(_text(value))
    known = {_text(lot): is_paid is True for lot, is_paid in kinds.items()}
    return LotMemory(kinds=known, available=_number(available), held=_number(held))


def _figured(value: Value, lots: Value, way: Value) -> FiguredAccount:
    """Return the memory of the figures. An earlier release stored no memory of lots and of the way."""
    if value is None:
        return FiguredAccount()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError("no memory of the figures")
    seq, generation, day, cohort, has_bonus = value
    has_spent, signed_up = way if isinstance(way, Sequence) and not isinstance(way, str | bytes) else (False, None)
    return FiguredAccount(
        seq=_number(seq),
        generation=_number(generation),
        day=_text(day),
        cohort=_text(cohort),
        has_bonus=has_bonus is True,
        has_spent=has_spent is True,
        signed_up=signed_up if isinstance(signed_up, str) else None,
        lots=_lots(lots),
    )


def _is_sound(position: LogPosition) -> bool:
    """Return True if runs and pages ascend, begin at entry 1, and end at the last entry."""
    starts = [*position.pages, *(run.seq for run in position.runs)]
    indices = [run.index for run in position.runs]
    is_ascending = all(a < b for a, b in pairwise(starts))
    is_behind = all(a < b for a, b in pairwise(indices))
    is_whole = starts[0] == 1 and starts[-1] <= position.seq if starts else position.seq == 0
    return is_ascending and is_behind and is_whole and _is_hash(position)


def _is_hash(position: LogPosition) -> bool:
    return bool(HASH.fullmatch(position.hash)) if position.seq else position.hash == ""


def _number(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("no whole number")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _raw(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("no bytes")
    return value
