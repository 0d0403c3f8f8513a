"""A worker that dies at any commit of a refund in coins changes nothing of the end."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.bootstrap import Services
from shared.kernel.clock import MINUTE
from shared.kernel.documents import OutcomeUnknown
from shared.kernel.ids import operation_id
from shared.payments.payment import Payment, status_of
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.refunds import RefundAsked, refund_id
from tests.support.coins import FEE_BONUS, FEE_CREDITS, CoinShop
from tests.support.faults import Crash, Dying

OPERATION = operation_id("test", "refund")
REFUND = refund_id(OPERATION)
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
Act = Callable[[CoinShop, Services, Payment], None]


def ask(_shop: CoinShop, services: Services, payment: Payment) -> None:
    wanted = RefundAsked(payment=payment.id, minor=None, operation=OPERATION, fingerprint="f")
    services.payments.refunds.refund(wanted)


def send(shop: CoinShop, services: Services, payment: Payment) -> None:
    terms = services.crypto.payouts.get(payment.id, REFUND).terms
    chain = shop.chains["base"]
    if not shop.__dict__.get("paid_out"):
        shop.__dict__["paid_out"] = chain.send(terms.address, terms.asset, terms.amount)
        chain.mine(40)
    services.crypto.payouts.sent(payment.id, REFUND, shop.__dict__["paid_out"])


def cancel(_shop: CoinShop, services: Services, payment: Payment) -> None:
    services.crypto.payouts.cancel(payment.id, REFUND)


STORIES: dict[str, tuple[tuple[Act, ...], str, str, int]] = {
    "asked": ((ask,), "waiting", "refunded", 0),
    "sent": ((ask, send), "sent", "refunded", 0),
    "called off": ((ask, cancel), "cancelled", "settled", FEE_CREDITS + FEE_BONUS),
    "sent after all": ((ask, cancel, send), "sent", "refunded", 0),
}


def begun(acts: tuple[Act, ...]) -> tuple[CoinShop, Payment]:
    """A credited payment whose user has named an address, and all acts but the last one done."""
    shop = CoinShop()
    payment = shop.order()
    assert payment.quote is not None
    shop.send(payment, payment.quote.due)
    shop.deep(payment)
    shop.services().crypto.refund_addresses.put(payment.id, shop.uid, WALLET, shop.clock.now())
    for act in acts[:-1]:
        act(shop, shop.services(), payment)
    return shop, payment


def end_of(shop: CoinShop, payment: Payment, act: Act) -> tuple[str, str, int]:
    """The operator asks again, and the schedule comes by."""
    for _ in range(2):
        shop.clock.advance(2 * MINUTE)
        shop.services().crypto.payouts.resume(JobRun("", shop.clock, 60.0))
        shop.every_minute()
        act(shop, shop.services(), payment)
    payout = shop.services().crypto.payouts.get(payment.id, REFUND)
    return payout.state, status_of(shop.now(payment)), shop.money()[0]


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown()], ids=["crash", "unknown"])
def test_worker_that_dies_at_any_commit_of_a_refund_changes_no_end(name, error):
    acts, *end = STORIES[name]
    shop, payment = begun(acts)
    counted = Dying(shop.documents)
    acts[-1](shop, shop.services(counted), payment)
    assert counted.commits >= 2

    for number in range(1, counted.commits + 1):
        for when in ("before", "after"):
            shop, payment = begun(acts)
            documents = Dying(shop.documents, at=number, when=when, error=error)
            with suppress(Crash, OutcomeUnknown):
                acts[-1](shop, shop.services(documents), payment)

            assert list(end_of(shop, payment, acts[-1])) == end, (number, when)
