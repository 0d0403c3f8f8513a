"""Everybody at one payment at once, over Firestore and the real adapters: webhook twice, return page, poll, operator.

`make payments` runs three hundred per provider; PAYMENTS=… says how many.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.suite import Suite
from shared.payments.payment import Payment
from shared.payments.ports import ProviderName
from tests.support.bazaar import Bazaar, opened

PAYMENTS = int(os.environ.get("PAYMENTS", "12"))
AT_ONCE = 4
CREATES = {"stripe": "/v1/checkout/sessions", "paypal": "/v2/checkout/orders"}


@pytest.fixture
def bazaar(firestore_emulator: Suite, project: str, tmp_path: Path) -> Iterator[Bazaar]:
    with opened(firestore_emulator, project, tmp_path) as it:
        yield it


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_five_at_once_credit_once(bazaar: Bazaar, provider: ProviderName):
    bazaar.stand_in(provider).hold()

    def buy(number: int) -> Payment:
        payment = bazaar.begin(provider)
        bazaar.pay(payment)
        bazaar.race(payment, number)
        return payment

    with ThreadPoolExecutor(AT_ONCE) as pool:
        payments = list(pool.map(buy, range(PAYMENTS)))

    bazaar.check(payments)


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_five_at_once_at_a_provider_that_misbehaves_credit_once(bazaar: Bazaar, provider: ProviderName):
    """Its events come several times, late, in any order or never, some of them lie; its API fails before and after."""
    stand_in = bazaar.stand_in(provider)
    stand_in.misdeliver(duplicate=2, jitter_seconds=0.05, reorder=3, drop=PAYMENTS // 3)

    def buy(number: int) -> Payment:
        when = ("before", "after")[number % 2]
        stand_in.fail(when=when, path=CREATES[provider], method="POST")
        stand_in.fail(when=when, how="reset", method="GET")
        payment = bazaar.begin(provider)
        bazaar.pay(payment)
        if number % 4 == 0:
            lies = {"data.object.amount_total": 1, "resource.purchase_units": [], "resource.amount": {"value": "1.00"}}
            kept = {"stripe": "data", "paypal": "resource"}[provider]
            told = {path: lie for path, lie in lies.items() if path.startswith(kept)}
            stand_in.lie(event=bazaar.event_of(payment), changes=told)
        bazaar.race(payment, number)
        return payment

    with ThreadPoolExecutor(AT_ONCE) as pool:
        payments = list(pool.map(buy, range(PAYMENTS)))
    stand_in.faults.clear()
    assert stand_in.drain()
    bazaar.every_minute(payments)

    bazaar.check(payments)
