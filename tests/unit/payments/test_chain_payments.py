"""Payments on chains: stored forms, the plan, the status and the view that their owner reads."""

from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.payments.chains.quote import LevelClaim, Quote
from shared.payments.chains.report import ChainReport, ChainTruth, Line, SeenTransfer
from shared.payments.chains.view import crypto_view
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import GRACE_RETRY, LATE_MONEY, REFUND_DUE, next_poll, plan
from shared.payments.owner_view import owner_view, renewed
from shared.payments.payment import Payment, Terms, seen_in, status_of, with_applied, with_chain
from shared.payments.payment_documents import from_data, to_data
from shared.payments.ports import Dispute, Truth
from tests.support.live import check_live

PRICE = Fiat(1_000, "USD")
HUGE = 2**255
QUOTE = Quote(
    network="base",
    asset="ETH",
    decimals=18,
    address="0xA",
    index=7,
    due=HUGE,
    rate="2500.5",
    sources=("chainlink", "kraken"),
    quoted_at=0,
    locked_until=15 * MINUTE,
    network_title="Base",
)
PAYMENT = Payment(
    id="pay_1",
    uid=Uid("u"),
    provider="evm",
    flow="redirect",
    terms=Terms(package="p", title="t", price=PRICE, credits=Micro(10**9), bonus=Micro(10**6), bonus_days=None),
    fingerprint="f",
    created_at=0,
    expires_at=75 * MINUTE,
    refs={"address": "0xA", "index": "7", "network": "base", "asset": "ETH"},
    is_opened=True,
    quote=QUOTE,
    page_key="secret",
)
CLAIM = LevelClaim(network="base", asset="ETH", address="0xA", index=7, begin=0, end=HUGE)
LINE = Line(
    payment="pay_1",
    package="p",
    network="base",
    asset="ETH",
    decimals=18,
    amount=HUGE,
    price=PRICE,
    credits=10**9,
    status="settled",
)
REPORT = ChainReport(
    state="confirming", received=HUGE, transactions=(SeenTransfer(hash="0x1", url=""),), lines=(LINE,), others=("USDT",)
)


def truth(**changes):
    known = {"stage": "paid", "refs": {}, "is_live": False, "payment": "pay_1", "money": "m", "paid": PRICE}
    return Truth(**{**known, "chain": ChainTruth(report=REPORT), **changes})


def seen(payment, told):
    return replace(payment, seen=seen_in(told, payment))


def test_a_payment_beyond_int64_is_read_as_it_was_stored():
    payment = replace(PAYMENT, claim=CLAIM, chain=REPORT)

    assert from_data("pay_1", to_data(payment)) == payment


def test_a_payment_stored_before_chains_is_read_with_defaults():
    fields = {name: value for name, value in to_data(PAYMENT).items() if name not in {"quote", "claim", "chain"}}

    assert from_data("pay_1", fields) == replace(PAYMENT, quote=None)
    assert renewed("pay_1", {"id": "pay_1"}) == {"id": "pay_1", "crypto": None}


def test_an_owner_reads_what_the_schema_publishes():
    for payment in (PAYMENT, replace(PAYMENT, claim=CLAIM, chain=REPORT)):
        check_live("payments", owner_view(payment, 0))


def test_a_part_is_granted_on_terms_of_its_own_without_gift():
    part = Fiat(250, "USD")
    told = truth(paid=part, chain=ChainTruth(report=REPORT, claim=CLAIM, part=part))

    payment = with_chain(PAYMENT, told)

    assert (payment.terms.price, payment.terms.credits, payment.terms.bonus) == (part, Micro(250 * 10**6), Micro(0))
    assert payment.claim == CLAIM
    assert plan(payment, told, is_live=False).action == "top_up"


@pytest.mark.parametrize(
    ("status", "taken", "state", "sentence"),
    [
        ("open", 0, "taken_back", "The network took your payment back. Your credits are set aside until it returns."),
        ("lost", 1_000, "taken_back", "The network took your payment back for good"),
        ("withdrawn", 0, "settled", "Your payment has arrived, and your credits are there."),
    ],
)
def test_a_reorg_is_told_in_words_of_its_own(status, taken, state, sentence):
    told = truth(disputes=(Dispute(id="gone", amount=PRICE, status=status),))
    payment = with_applied(replace(PAYMENT, chain=replace(REPORT, is_final_loss=status == "lost")), is_granted=True)
    payment = seen(with_applied(payment, taken=taken), told)

    view: Any = crypto_view(payment)

    assert status_of(payment) == state
    assert view["state"] == state
    assert view["sentence"].startswith(sentence)


def test_coins_of_a_user_who_left_wait_for_a_person_and_are_not_refunded():
    left = replace(PAYMENT, problem="account_closed")

    assert plan(left, truth(), is_live=False).action == "park"
    assert plan(left, truth(), is_live=False).problem == REFUND_DUE
    assert plan(replace(left, problem=REFUND_DUE), truth(), is_live=False).action == "wait"


def test_coins_under_review_are_parked_for_the_reason_told():
    told = truth(chain=ChainTruth(report=REPORT, review="address_swept"))

    assert plan(PAYMENT, told, is_live=False).problem == "address_swept"


def test_a_chain_is_not_polled_between_the_ends_of_lock_and_grace():
    late = PAYMENT.expires_at
    ended = seen(PAYMENT, truth(stage="expired", paid=None, money=None))

    assert next_poll(PAYMENT, 0) == QUOTE.locked_until
    assert next_poll(PAYMENT, QUOTE.locked_until) == PAYMENT.expires_at
    assert next_poll(PAYMENT, late) == late + GRACE_RETRY
    assert next_poll(PAYMENT, late + LATE_MONEY) is None
    assert next_poll(ended, late) is None
