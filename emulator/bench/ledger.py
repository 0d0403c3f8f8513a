"""The ledger's speed, as ratios against bare Firestore commits of the same documents, in the same run."""

import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from emulator.bench.tables import Row, milliseconds, percentile, print_table, timed
from emulator.suite import Suite
from shared.kernel.clock import SystemClock
from shared.kernel.documents import Create, Documents, Put, Write
from shared.kernel.ids import LotId, Uid, new_id, operation_id
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.commands import Charge, Grant
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect

PROJECT = "demo-bench"
ROUNDS = 400
HOT_CALLERS = (4, 32, 256)
HOT_OPERATIONS = 6_000
PROCESSES = 4
PROCESS_OPERATIONS = 600
STOCK_SECONDS = 10.0
MEMORY_OPERATIONS = 10_000
KIB_PER_MIB = 1024


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
    """Start the emulator, measure, and print the table."""
    with tempfile.TemporaryDirectory() as home, Suite(home=Path(home), only=("firestore",)) as suite:
        os.environ.update(suite.environment())
        print_table(rows())


def rows() -> Iterator[Row]:
    """Yield one measurement after the other."""
    yield from uncontended()
    for callers in HOT_CALLERS:
        yield hot_account(callers)
    yield several_processes()
    yield memory()


def uncontended() -> Iterator[Row]:
    """Time one charge after another beside a bare commit of the same documents, in turn, so that noise hits both.

    As anybody writes it with Google's client (`WriteBatch`), and over our own adapter, which is faster than that.
    """
    documents = Recorded(connect(PROJECT))
    ledger, uid, place = _ledger(documents), _funded(documents), new_id("bench")
    stock = _stock_client()
    ours, bare, batch = Taken(), Taken(), Taken()
    version = None
    for number in range(ROUNDS):
        command = _charge(f"{place}-{number}")
        with ours:
            ledger.execute(uid, command)
        copies = _copies(documents.last, f"{place}/own", number, version)
        with bare:
            version = documents.inner.commit(copies)[0]
        copies = _copies(documents.last, f"{place}/stock", number, None)
        with batch:
            _write_batch(stock, copies)
    yield _ratio("one charge, p50", ours.p50, batch.p50, "bare commit, WriteBatch")
    yield _ratio("one charge, p50", ours.p50, bare.p50, "bare commit, our adapter")
    yield _ratio("one charge, p99", percentile(ours.seconds, 99), percentile(batch.seconds, 99), "WriteBatch")
    yield _ratio("one charge, CPU of ours", ours.cpu, batch.cpu, "CPU, WriteBatch")


class Taken:
    """Stopwatch of `with` blocks: seconds by the clock, and by this process's CPU."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._cpu: list[float] = []

    def __enter__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self._started[0])
        self._cpu.append(time.process_time() - self._started[1])

    @property
    def p50(self) -> float:
        """Return the median of the times by the clock, in seconds."""
        return statistics.median(self.seconds)

    @property
    def cpu(self) -> float:
        """Return the median of the CPU times, in seconds."""
        return statistics.median(self._cpu)


def hot_account(callers: int) -> Row:
    """Measure one account with many callers, beside stock `@firestore.transactional` with one read and two writes."""
    rate, failures, p99 = _hot(_funded(connect(PROJECT)), callers, HOT_OPERATIONS)
    stock, stock_failures = _transactional(callers)
    ours = f"{rate:,.0f} op/s, {failures} failed, p99 {p99 * 1000:.0f} ms"
    return (
        f"one hot account, {callers} callers",
        ours,
        f"{stock:,.1f} op/s, {stock_failures} failed (@transactional)",
        f"{rate / max(stock, 0.1):,.0f}×",
    )


def several_processes() -> Row:
    """Measure one account that several processes use at once. The processes share nothing but the store."""
    uid = _funded(connect(PROJECT))
    spawning = multiprocessing.get_context("spawn")
    with spawning.Pool(PROCESSES) as pool:
        done = pool.starmap(_hot_process, [(uid, number) for number in range(PROCESSES)])
    elapsed = max(seconds for _, seconds in done)
    failures = sum(failed for failed, _ in done)
    rate = PROCESSES * PROCESS_OPERATIONS / elapsed
    return (
        f"one hot account, {PROCESSES} processes × 16 callers",
        f"{rate:,.0f} op/s, {failures} failed",
        "aim: 400 op/s, 0 failed",
        f"{rate / 400:.1f}×",
    )


def memory() -> Row:
    """Compare resident memory after many operations on many accounts with the memory after the first thousand."""
    documents = connect(PROJECT)
    ledger = _ledger(documents)
    uids = [_funded(documents) for _ in range(50)]

    def work(first: int, last: int) -> float:
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda n: ledger.execute(uids[n % 50], _charge(f"memory-{n}")), range(first, last)))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB

    before = work(0, MEMORY_OPERATIONS // 5)
    after = work(MEMORY_OPERATIONS // 5, MEMORY_OPERATIONS)
    what = f"peak memory after {MEMORY_OPERATIONS:,} operations"
    return what, f"{after:.0f} MiB", f"{before:.0f} MiB (after a fifth)", f"{after / before:.2f}×"


def _hot_process(uid: Uid, number: int) -> tuple[int, float]:
    started = time.perf_counter()
    _, failures, _ = _hot(uid, 16, PROCESS_OPERATIONS, prefix=f"p{number}")
    return failures, time.perf_counter() - started


def _hot(uid: Uid, callers: int, operations: int, prefix: str = "hot") -> tuple[float, int, float]:
    ledger = _ledger(connect(PROJECT))
    taken: list[float] = []
    failures = 0

    def call(number: int) -> None:
        nonlocal failures
        try:
            taken.append(timed(lambda: ledger.execute(uid, _charge(f"{prefix}-{callers}-{number}"))))
        except Exception:  # noqa: BLE001  a bench counts whatever fails
            failures += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(operations)))
    return operations / (time.perf_counter() - started), failures, percentile(taken, 99)


def _transactional(callers: int) -> tuple[float, int]:
    """Measure the stock decorator on one counter document for some seconds."""
    from google.cloud import firestore

    client = _stock_client()
    document = client.collection("stock").document(new_id("user"))
    document.set({"balance": 10**9})
    until = time.perf_counter() + STOCK_SECONDS
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


def _copies(writes: tuple[Write, ...], place: str, number: int, version: Any) -> list[Write]:
    """The same documents somewhere else: the first under a precondition, the rest new, as the ledger writes them."""
    first, *rest = writes
    data = getattr(first, "data", {})
    news = (Create(f"{place}/news/{number}-{index}", getattr(w, "data", {})) for index, w in enumerate(rest))
    return [Put(f"{place}/heads/1", data, version), *news]


def _stock_client() -> Any:
    from google.cloud import firestore

    return firestore.Client(project=PROJECT)


def _write_batch(client: Any, writes: list[Write]) -> None:
    """Commit the writes with the plain `WriteBatch` of Google's client."""
    batch = client.batch()
    for write in writes:
        document = client.document(write.path)
        data = getattr(write, "data", {})
        if isinstance(write, Create):
            batch.create(document, data)
        else:
            batch.set(document, data)
    batch.commit()


def _ledger(documents: Any) -> Ledger:
    keys = KeyRing((SigningKey(kid="bench-1", seed=bytes(32)),))
    return Ledger(documents, SystemClock(), keys, ledger_id=PROJECT, hold_lifetime_seconds=900)


def _funded(documents: Any) -> Uid:
    uid = Uid(new_id("user"))
    operation = operation_id("fund", uid)
    command = Grant(operation=operation, amount=Micro(10**12), lot=LotId("lot"), source="promo:bench")
    _ledger(documents).execute(uid, command)
    return uid


def _charge(key: str) -> Charge:
    return Charge(operation=operation_id(key), amount=Micro(1), purpose="bench")


def _ratio(what: str, ours: float, floor: float, which: str) -> Row:
    return what, milliseconds(ours), f"{milliseconds(floor)} ({which})", f"{ours / floor:.2f}×"


if __name__ == "__main__":
    main()
