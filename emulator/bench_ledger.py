"""The ledger's speed, as ratios against bare Firestore commits of the same documents, in the same run."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emulator.suite import Suite
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Create, Documents, Put, Write
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.commands import Charge, Grant
from shared.ledger.keys import KeyRing
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect

ROUNDS = 300
HOT_CALLERS = (4, 32, 256)
HOT_OPERATIONS = 3_000
TRANSACTIONAL_SECONDS = 10.0
Row = tuple[str, str, str, str]


class Recorded:
    """Passes everything on, and keeps the last commit, so that the floor writes exactly the same documents."""

    def __init__(self, inner: Documents) -> None:
        self.inner = inner
        self.last: tuple[Write, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, writes: Any, **options: Any) -> Any:
        self.last = tuple(writes)
        return self.inner.commit(writes, **options)


def main() -> None:
    """Measure and print. Needs nothing running."""
    with tempfile.TemporaryDirectory() as home, Suite(home=Path(home), only=("firestore",)) as suite:
        import os

        os.environ.update(suite.environment())
        rows = [*uncontended(), *hot_account()]
    print(table(("what", "ours", "floor", "ratio"), rows))


def uncontended() -> list[Row]:
    """One charge at a time, beside a bare commit of the same documents, interleaved so that noise hits both."""
    documents = Recorded(connect("demo-bench"))
    ledger, uid = _ledger(documents), Uid(new_id("user"))
    _fund(ledger, uid)
    ours, floor = [], []
    version = None
    for number in range(ROUNDS):
        ours.append(_timed(lambda number=number: ledger.execute(uid, _charge(f"one-{number}"))))  # type: ignore[misc]
        copies = _copies(documents.last, number, version)
        started = time.perf_counter()
        version = documents.inner.commit(copies)[0]
        floor.append(time.perf_counter() - started)
    return [
        _row("one charge, p50", statistics.median(ours), statistics.median(floor)),
        _row("one charge, p99", _percentile(ours, 99), _percentile(floor, 99)),
    ]


def hot_account() -> list[Row]:
    """One account, many callers; beside stock `@firestore.transactional` doing the same read and writes."""
    rows: list[Row] = []
    for callers in HOT_CALLERS:
        rate, failures, p99 = _hot(callers)
        stock, stock_failures = _transactional(callers)
        rows.append(
            (
                f"one hot account, {callers} callers",
                f"{rate:,.0f} op/s, {failures} failed, p99 {p99 * 1000:.0f} ms",
                f"{stock:,.1f} op/s, {stock_failures} failed (@transactional)",
                f"{rate / max(stock, 0.01):,.0f}×",
            )
        )
    return rows


def _hot(callers: int) -> tuple[float, int, float]:
    ledger, uid = _ledger(connect("demo-bench")), Uid(new_id("user"))
    _fund(ledger, uid)
    taken: list[float] = []
    failures = 0

    def call(number: int) -> None:
        nonlocal failures
        try:
            taken.append(_timed(lambda: ledger.execute(uid, _charge(f"hot-{number}"))))
        except Exception:  # noqa: BLE001  a bench counts whatever fails
            failures += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(HOT_OPERATIONS)))
    return HOT_OPERATIONS / (time.perf_counter() - started), failures, _percentile(taken, 99)


def _transactional(callers: int) -> tuple[float, int]:
    """What the stock decorator does with one counter document, for a while."""
    from google.cloud import firestore

    client = firestore.Client(project="demo-bench")
    document = client.collection("stock").document(new_id("user"))
    document.set({"balance": 10**9})
    until = time.perf_counter() + TRANSACTIONAL_SECONDS
    done, failed, lock = 0, 0, threading.Lock()

    @firestore.transactional  # type: ignore[untyped-decorator,unused-ignore]
    def spend(transaction: Any) -> None:
        balance = document.get(transaction=transaction).get("balance")
        transaction.update(document, {"balance": balance - 1})
        transaction.create(document.collection("entries").document(), {"amount": 1})

    def work(_: int) -> None:
        nonlocal done, failed
        while time.perf_counter() < until:
            try:
                spend(client.transaction())
                with lock:
                    done += 1
            except Exception:  # noqa: BLE001  counted
                with lock:
                    failed += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(work, range(callers)))
    return done / (time.perf_counter() - started), failed


def _copies(writes: tuple[Write, ...], number: int, version: Any) -> list[Write]:
    """The same documents somewhere else: the first under a precondition, the rest new, as the ledger writes them."""
    first, *rest = writes
    data = getattr(first, "data", {})
    head: Write = Create("bench/head", data) if version is None else Put("bench/head", data, version)
    return [head, *(Create(f"bench/{number}-{index}", getattr(w, "data", {})) for index, w in enumerate(rest))]


def _ledger(documents: Any) -> Ledger:
    keys = KeyRing((SigningKey(kid="bench-1", seed=bytes(32)),))
    return Ledger(documents, SystemClock(), keys, ledger_id="demo-bench", hold_lifetime_seconds=900)


def _fund(ledger: Ledger, uid: Uid) -> None:
    command = Grant(
        operation=operation_id("fund", uid),
        fingerprint="",
        amount=Micro(10**12),
        lot=LotId("lot"),
        source="promo:bench",
    )
    ledger.execute(uid, command)


def _charge(key: str) -> Charge:
    return Charge(operation=operation_id(key), fingerprint="", amount=Micro(1), purpose="bench")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _row(what: str, ours: float, floor: float) -> Row:
    return what, f"{ours * 1000:.2f} ms", f"{floor * 1000:.2f} ms (bare commit)", f"{ours / floor:.2f}×"


def table(head: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * 4, *rows))


if __name__ == "__main__":
    main()
