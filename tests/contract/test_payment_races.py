"""Check that a payment is credited once when all that can settle a payment come at once.

Method: the webhook twice, the return page, the poll and an operator race at one payment, over Firestore and the real
adapters. `make payments` runs three hundred payments per provider; PAYMENTS=… sets the number.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.suite import Suite
from shared.payments.payment import Payment
from shared.payments.ports import ProviderName
from tests.support.payment_backends import PaymentBackends, opened

PAYMENTS = int(os.environ.get("PAYMENTS", "12"))
AT_ONCE = 4
CREATES = {"stripe": "/v1/checkout/sessions", "paypal": "/v2/checkout/orders"}


@pytest.fixture
def backends(firestore_emulator: Suite, project: str, tmp_path: Path) -> Iterator[PaymentBackends]:
    with opened(firestore_emulator, project, tmp_path) as it:
        yield it


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_five_at_once_credit_once(backends: PaymentBackends, provider: ProviderName):
    backends.stand_in(provider).hold()

    def buy(number: int) -> Payment:
        payment = backends.begin(provider)
        backends.pay(payment)
        backends.race(payment, number)
        return payment

    with ThreadPoolExecutor(AT_ONCE) as pool:
        payments = list(pool.map(buy, range(PAYMENTS)))

    backends.check(payments)


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_five_at_once_at_a_provider_that_misbehaves_credit_once(backends: PaymentBackends, provider: ProviderName):
    """Its events come several times, late, in any order or never, some of them lie; its API fails before and after."""
    stand_in = backends.stand_in(provider)
    stand_in.misdeliver(duplicate=2, jitter_seconds=0.05, reorder=3, drop=PAYMENTS // 3)

    def buy(number: int) -> Payment:
        when = ("before", "after")[number % 2]
        stand_in.fail(when=when, path=CREATES[provider], method="POST")
        stand_in.fail(when=when, how="reset", method="GET")
        payment = backends.begin(provider)
        backends.pay(payment)
        if number % 4 == 0:
            lies = {"data.object.amount_total": 1, "resource.purchase_units": [], "resource.amount": {"value": "1.00"}}
            kept = {"stripe": "data", "paypal": "resource"}[provider]
            told = {path: lie for path, lie in lies.items() if path.startswith(kept)}
            stand_in.lie(event=backends.event_of(payment), changes=told)
        backends.race(payment, number)
        return payment

    with ThreadPoolExecutor(AT_ONCE) as pool:
        payments = list(pool.map(buy, range(PAYMENTS)))
    stand_in.faults.clear()
    assert stand_in.drain()
    backends.every_minute(payments)

    backends.check(payments)
