"""A store that answers as bad weather makes it: unavailable, unclear, late, or at odds with itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.kernel.documents import (
    COMMIT_TIMEOUT_SECONDS,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Query,
    StoreUnavailable,
    Version,
    Write,
)

Fault = Literal["unavailable", "lost", "applied", "late", "precondition"]
READ_FAULTS: tuple[Fault, ...] = ("unavailable",)
COMMIT_FAULTS: tuple[Fault, ...] = ("unavailable", "lost", "applied", "late", "precondition")
"""`lost`: unclear, and it never happened. `applied`: unclear, and it has. `late`: unclear, and it happens later."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the store, counted from 1; `of_kind` counts reads and commits apart."""

    kind: Literal["read", "commit"]
    number: int
    of_kind: int


Script = Callable[[Call], Fault | None]


class Weather:
    """Asks the script before every call. A late commit is tried `delay` calls after it was asked for."""

    def __init__(self, inner: Documents, script: Script, *, delay: int = 1) -> None:
        self.inner = inner
        self.script = script
        self.delay = delay
        self.calls: list[Call] = []
        self._late: list[tuple[int, Sequence[Write]]] = []
        self._counts = {"read": 0, "commit": 0}

    def get(self, path: str) -> Document | None:
        self._read()
        return self.inner.get(path)

    def get_all(self, paths: Sequence[str]) -> list[Document | None]:
        self._read()
        return self.inner.get_all(paths)

    def query(self, query: Query) -> list[Document]:
        self._read()
        return self.inner.query(query)

    def commit(self, writes: Sequence[Write], *, timeout_seconds: float = COMMIT_TIMEOUT_SECONDS) -> list[Version]:
        fault = self._ask("commit")
        if fault == "unavailable":
            raise StoreUnavailable
        if fault == "precondition":
            raise PreconditionFailed
        if fault == "late":
            self._late.append((len(self.calls) + self.delay, writes))
        if fault in {"lost", "late"}:
            raise OutcomeUnknown
        versions = self.inner.commit(writes, timeout_seconds=timeout_seconds)
        if fault == "applied":
            raise OutcomeUnknown
        return versions

    def settle(self, until: float = float("inf")) -> None:
        """Let the late commits that are due by call `until` be tried: each lands, or has lost its precondition."""
        due = [writes for at, writes in self._late if at < until]
        self._late = [late for late in self._late if late[0] >= until]
        for writes in due:
            try:
                self.inner.commit(writes)
            except PreconditionFailed:
                continue

    def _read(self) -> None:
        if self._ask("read") is not None:
            raise StoreUnavailable

    def _ask(self, kind: Literal["read", "commit"]) -> Fault | None:
        self._counts[kind] += 1
        call = Call(kind, len(self.calls) + 1, self._counts[kind])
        self.settle(until=call.number)
        self.calls.append(call)
        return self.script(call)


def fair(call: Call) -> None:
    """Nothing goes wrong."""
    del call


def once(kind: Literal["read", "commit"], of_kind: int, fault: Fault) -> Script:
    """The given read or commit fails, nothing else."""
    return lambda call: fault if (call.kind, call.of_kind) == (kind, of_kind) else None
