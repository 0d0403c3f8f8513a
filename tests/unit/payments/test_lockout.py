from shared.payments.lockout import QUIET, Lockout
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.clock import ManualClock


def test_operators_hear_of_refused_credentials_at_once_and_then_now_and_again():
    clock, alerts = ManualClock(), MemoryAlerts()
    lockout = Lockout("stripe", alerts, clock)

    for _ in range(3):
        lockout.tell("truth")
    clock.advance(QUIET)
    lockout.tell("open")

    assert [dict(alert.fields) for alert in alerts.raised] == [
        {"provider": "stripe", "call": "truth"},
        {"provider": "stripe", "call": "open"},
    ]
