"""Check that callers hear the truth, in the API's own errors, if a call of the real store fails.

Method: a proxy before Firestore fails calls on their way there or back. `make faults` is the long form.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.documents import Create, OutcomeUnknown, PreconditionFailed, Query, StoreUnavailable
from shared.ledger.ledger import Ledger
from shared.platform.firestore.documents import connect
from tests.chaos.plan import Send, accounts, plan
from tests.support.grpc_faults import CODES, TOLD, FaultyStore, Proxy
from tests.support.history import SETTLED, Recorder, read_history
from tests.support.history_books import read_book
from tests.support.history_checker import anomalies
from tests.support.ledgers import KEYS

OPERATIONS = int(os.environ.get("OPERATIONS", "2500"))
SEED = int(os.environ.get("SEED", "1"))
SHARE = 0.08
INSTANCES, THREADS = 3, 24
ROUNDS_MAX = 20

MEANING = {
    grpc.StatusCode.UNAVAILABLE: OutcomeUnknown,
    grpc.StatusCode.DEADLINE_EXCEEDED: OutcomeUnknown,
    grpc.StatusCode.ABORTED: StoreUnavailable,
    grpc.StatusCode.ALREADY_EXISTS: PreconditionFailed,
}
REPEATED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}
READS = (
    lambda documents: [document.data for document in [documents.get("things/a")]],
    lambda documents: [document.data for document in documents.get_all(["things/a"])],
    lambda documents: [document.data for document in documents.query(Query(collection="things", limit=9))],
)


class Once(Proxy):
    """Fails the first call, in one way."""

    def __init__(self, when: str, code: grpc.StatusCode) -> None:
        super().__init__(0, 1.0)
        ways = [(when, code)]
        self._drawn = lambda method, _: ways.pop() if ways else ("", None)  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_failed_call_is_an_error_of_ours_and_a_commit_s_says_whether_it_happened(
    firestore_emulator, project, when, code
):
    with FaultyStore(project, Once(when, code)) as store, pytest.raises(MEANING[code]):
        store.documents.commit([Create("things/a", {"n": 1})])

    assert (connect(project).get("things/a") is not None) is (when == "after")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
@pytest.mark.parametrize("read", READS, ids=["get", "get_all", "query"])
def test_a_read_that_fails_is_repeated_or_the_store_is_unavailable(firestore_emulator, project, when, code, read):
    connect(project).commit([Create("things/a", {"n": 1})])

    with FaultyStore(project, Once(when, code)) as store:
        try:
            found = read(store.documents)
        except StoreUnavailable:
            found = "unavailable"
        again = read(store.documents)

    assert again == [{"n": 1}]
    assert found == (again if code in REPEATED else "unavailable")


@pytest.mark.slow
def test_whatever_fails_under_them_everybody_is_told_the_truth_in_our_own_words(
    firestore_emulator, project, tmp_path: Path
):
    for uid in accounts():
        ledger_on(connect(project), project).open(uid)
    proxies = [Proxy(SEED + number, SHARE) for number in range(INSTANCES)]
    stores = [FaultyStore(project, proxy) for proxy in proxies]
    ledgers = [ledger_on(store.documents, project) for store in stores]
    recorders = [Recorder(ledger, tmp_path / f"{n}.jsonl") for n, ledger in enumerate(ledgers)]

    left, rounds = plan(SEED, OPERATIONS), 0
    while left and rounds < ROUNDS_MAX:
        left = asked(left, recorders, tmp_path)
        rounds += 1
    for proxy in proxies:
        proxy.settle()

    calls = read_history(tmp_path.glob("*.jsonl"))
    books = [read_book(connect(project), KEYS, project, uid) for uid in accounts()]
    assert left == []
    assert [call for call in calls if call.verdict == "raw" or TOLD in str(call.told)] == []
    assert anomalies(calls, books) == []
    seen = {what for proxy in proxies for what in proxy.done}
    assert seen >= {("Commit", when, code.name) for when in ("before", "after") for code in CODES}
    assert seen >= {("BatchGetDocuments", when, code.name) for when in ("before", "after") for code in CODES}
    assert ("Commit", "late", "") in seen
    for store in stores:
        store.__exit__()


def ledger_on(documents, project: str) -> Ledger:
    return Ledger(documents, SystemClock(), KEYS, ledger_id=project, hold_lifetime_seconds=900)


def asked(sends: list[Send], recorders: list[Recorder], directory: Path) -> list[Send]:
    """Send all of it, from many threads; what was not answered for good."""

    def send_on(send: Send) -> None:
        recorders[send.number % INSTANCES].carry_out(send.number, send.ask)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send_on, sends))
    settled = {call.send for call in read_history(directory.glob("*.jsonl")) if call.verdict in SETTLED}
    return [send for send in sends if send.number not in settled]
