"""What a listener shows is the commit itself, and shows it at once."""

import time
from pathlib import Path

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.ids import LotId, OperationId
from shared.kernel.money import Micro, format_credits
from shared.kernel.settings import SigningKey
from shared.ledger.commands import Charge, Grant
from shared.ledger.key_ring import KeyRing
from shared.ledger.ledger import Ledger
from tests.support.node import RunningScript

SCRIPT = Path(__file__).parent / "js" / "listener.mjs"
CHANGES = 200
START_SECONDS_MAX = 120
ARRIVES_SECONDS_MAX = 60
AIM_P99_MS = 250
LIMIT_P50_MS = 250
"""Machines that run tests are noisy: what is aimed at is reported, and only the middle is held to it."""


@pytest.fixture
def ledger(emulators):
    from shared.platform.firestore.documents import connect

    keys = KeyRing((SigningKey(kid="test-1", seed=bytes(range(32))),))
    return Ledger(
        connect(emulators.project), SystemClock(), keys, ledger_id=emulators.project, hold_lifetime_seconds=900
    )


@pytest.fixture
def listener(emulators):
    where = {"authUrl": emulators.endpoints.auth, "firestoreUrl": emulators.endpoints.firestore}
    with RunningScript(SCRIPT, {"project": emulators.project, **where}) as script:
        yield script


def _charge(number):
    return Charge(operation=OperationId(f"op_{number}"), fingerprint=str(number), amount=Micro(1_000), purpose="chat")


def test_a_listener_shows_each_of_200_changes_at_once(ledger, listener, record_property, capsys):
    uid = listener.next(timeout_seconds=START_SECONDS_MAX)["uid"]
    assert listener.next(timeout_seconds=START_SECONDS_MAX) == {"listening": True}
    grant = Grant(
        operation=OperationId("op_grant"), fingerprint="g", amount=Micro(10**6), lot=LotId("lot_1"), source="promo:x"
    )
    balances = {ledger.execute(uid, grant).balance.seq: "1"}
    delays = []

    for number in range(CHANGES):
        started = time.time()
        balance = ledger.execute(uid, _charge(number)).balance
        balances[balance.seq] = format_credits(balance.available)
        shown = _shown(listener, balance.seq)
        delays.append(1000 * -(started - shown["at"] / 1000))
        assert shown["available"] == balances[shown["seq"]]

    delays.sort()
    p50, p99 = delays[CHANGES // 2], delays[CHANGES * 99 // 100]
    report = f"from before the commit to the listener, {CHANGES} changes: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    record_property("listener_latency_ms", {"p50": p50, "p99": p99, "aim_p99": AIM_P99_MS})
    with capsys.disabled():
        print(f"\n{report} (aim: p99 < {AIM_P99_MS} ms)")  # noqa: T201  a measurement is there to be seen
    assert p50 < LIMIT_P50_MS, report


def _shown(listener, seq):
    """The state with that number; the listener may skip states, but never goes back."""
    while (shown := listener.next(timeout_seconds=ARRIVES_SECONDS_MAX))["seq"] < seq:
        pass
    assert shown["seq"] == seq, "a state that was not committed yet"
    return shown
