"""What callers asked of a ledger and what they were told, written down so that it outlives the process that asked.

One line of JSON before a call and one after it, each given to the system in one write: a process that is killed loses
nothing of what it had written, and a call without a second line is one whose outcome nobody knows.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from shared.kernel.clock import Millis
from shared.kernel.documents import OutcomeUnknown
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.ids import HoldId, LotId, OperationId, Uid, fingerprint
from shared.kernel.money import Micro
from shared.ledger.commands import Adjust, Capture, Charge, Command, ExtendHold, Grant, PlaceHold, Release, Reverse
from shared.ledger.ledger import Ledger
from shared.ledger.operation_records import facts_of

Record = Mapping[str, Any]
Kind = Literal["grant", "charge", "hold", "extend", "capture", "release", "reverse", "adjust", "read"]
Verdict = Literal["ok", "refused", "failed", "info", "raw"]
"""`refused`: no, and that is final on what was there. `failed`: has not happened, ask again. `info`: nobody knows.
`raw`: something that no caller should see."""
SETTLED: frozenset[Verdict | None] = frozenset({"ok", "refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One intention on one account. `about` names the hold or the lot; two asks of one operation may differ."""

    uid: Uid
    operation: OperationId
    kind: Kind
    amount: int = 0
    about: str = ""
    accrued: int = 0
    lifetime: Millis = 0
    is_final: bool = True

    @property
    def fingerprint(self) -> str:
        return fingerprint(repr(self))

    def command(self) -> Command:
        """The same intention as the ledger takes it. Raises KeyError for a read, which is none."""
        return COMMANDS[self.kind](self, {"operation": self.operation, "fingerprint": self.fingerprint})


def _hold(ask: Ask, name: dict[str, Any]) -> Command:
    hold, amount = HoldId(ask.about), Micro(ask.amount)
    return PlaceHold(**name, hold=hold, amount=amount, purpose="chat", lifetime=ask.lifetime, principal=ask.uid)


def _extend(ask: Ask, name: dict[str, Any]) -> Command:
    amount, least, accrued = Micro(ask.amount), Micro(ask.amount // 2), Micro(ask.accrued)
    hold, lifetime = HoldId(ask.about), ask.lifetime
    return ExtendHold(**name, hold=hold, amount=amount, at_least=least, accrued=accrued, lifetime=lifetime)


def _capture(ask: Ask, name: dict[str, Any]) -> Command:
    return Capture(**name, hold=HoldId(ask.about), amount=Micro(ask.amount), is_final=ask.is_final)


def _grant(ask: Ask, name: dict[str, Any]) -> Command:
    return Grant(**name, lot=LotId(ask.about), amount=Micro(ask.amount), source="promo:chaos")


COMMANDS: Mapping[Kind, Callable[[Ask, dict[str, Any]], Command]] = {
    "grant": _grant,
    "charge": lambda ask, name: Charge(**name, amount=Micro(ask.amount), purpose="chat"),
    "hold": _hold,
    "extend": _extend,
    "capture": _capture,
    "release": lambda ask, name: Release(**name, hold=HoldId(ask.about), is_unused=True),
    "reverse": lambda ask, name: Reverse(**name, lot=LotId(ask.about), target=Micro(ask.amount)),
    "adjust": lambda ask, name: Adjust(**name, amount=ask.amount, note="chaos"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One ask by one caller, from its beginning to its end; `ended` is None if the caller did not live to hear.

    `started` and `ended` are ns of this machine's monotonic clock, the same for all its processes; `…_at` is wall time.
    """

    id: str
    send: int
    ask: Ask
    started: int
    started_at: Millis
    ended: int | None = None
    ended_at: Millis | None = None
    verdict: Verdict = "info"
    code: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    is_replay: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to ask."""
        return self.verdict in SETTLED


class Recorder:
    """Carries out asks on a ledger, and writes each down before and after. Safe to share between threads."""

    def __init__(self, ledger: Ledger, path: Path) -> None:
        self._ledger = ledger
        self._name = path.stem
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._calls = 0

    def carry_out(self, send: int, ask: Ask) -> None:
        """Whatever comes of it is written down."""
        with self._lock:
            self._calls += 1
            call = f"{self._name}.{self._calls}"
        self._write({"call": call, "send": send, "ask": asdict(ask)})
        try:
            answer = self._answer(ask)
        except DomainError as error:
            answer = {"verdict": _verdict(error), "code": error.code, "told": dict(error.params)}
        except Exception as error:  # noqa: BLE001  the checker is told
            answer = {"verdict": "raw", "code": type(error).__name__, "told": {"detail": str(error)}}
        self._write({"call": call, **answer})

    def close(self) -> None:
        os.close(self._file)

    def _answer(self, ask: Ask) -> dict[str, Any]:
        if ask.kind == "read":
            balance = self._ledger.balance(ask.uid)
            told = {"available": balance.available, "held": balance.held, "debt": balance.debt}
            return {"verdict": "ok", "told": told}
        outcome = self._ledger.execute(ask.uid, ask.command())
        return {"verdict": "ok", "told": facts_of(outcome.receipt), "is_replay": outcome.is_replay}

    def _write(self, record: dict[str, Any]) -> None:
        times = {"ns": time.monotonic_ns(), "at": time.time_ns() // 1_000_000}
        os.write(self._file, orjson.dumps({**record, **times}) + b"\n")


class Growing:
    """Histories of one directory as they grow: which sends were begun, and which have been answered for good."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}
        self._open: dict[Path, dict[str, int]] = {}
        self.begun = set[int]()
        self.settled = set[int]()

    def read_on(self) -> None:
        """Take in what was written since."""
        for path in sorted(self._directory.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._read[path] = self._read.get(path, 0) + len(whole) + 1
            calls = self._open.setdefault(path, {})
            for line in whole.splitlines():
                self._take(calls, orjson.loads(line))

    def files(self) -> list[Path]:
        """In the order of their names."""
        return sorted(self._open)

    def unanswered(self, path: Path) -> set[int]:
        """The sends in this file that nobody has written an answer to."""
        return set(self._open[path].values())

    def _take(self, calls: dict[str, int], record: Record) -> None:
        if "ask" in record:
            calls[record["call"]] = record["send"]
            self.begun.add(record["send"])
            return
        send = calls.pop(record["call"])
        if record["verdict"] in SETTLED:
            self.settled.add(send)


def _verdict(error: DomainError) -> Verdict:
    if isinstance(error, OutcomeUnknown):
        return "info"
    return "failed" if isinstance(error, Unavailable) else "refused"


def read_history(paths: Iterable[Path]) -> list[Call]:
    """Every call that was begun, in the order of their beginnings."""
    calls = [call for path in paths for call in _calls(path.read_bytes())]
    return sorted(calls, key=lambda call: call.started)


def _calls(text: bytes) -> Iterator[Call]:
    begun, answers = _records(text)
    for call, record in begun.items():
        yield _call(record, answers.get(call))


def _records(text: bytes) -> tuple[dict[str, Record], dict[str, Record]]:
    """Asks and answers by call. A last line that is not whole was never written: its caller was killed within it."""
    begun, answers = dict[str, Record](), dict[str, Record]()
    for line in text.split(b"\n")[:-1]:
        record = orjson.loads(line)
        (begun if "ask" in record else answers)[record["call"]] = record
    return begun, answers


def _call(record: Record, answer: Record | None) -> Call:
    call = Call(
        id=record["call"], send=record["send"], ask=Ask(**record["ask"]), started=record["ns"], started_at=record["at"]
    )
    if answer is None:
        return call
    facts = {name: answer[name] for name in ("verdict", "code", "told", "is_replay") if name in answer}
    return Call(
        id=call.id,
        send=call.send,
        ask=call.ask,
        started=call.started,
        started_at=call.started_at,
        ended=answer["ns"],
        ended_at=answer["at"],
        **facts,
    )
