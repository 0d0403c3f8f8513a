"""Coins from a screened sender: parked for an operator, credited by a decision only, and never sent back by button."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

from shared.kernel.ids import operation_id
from shared.payments.chains.ports import ChainUnavailable
from shared.payments.payment import Payment, status_of
from shared.sagas.payments.refunds import NotRefundable, RefundAsked
from tests.support.coins import FEE_BONUS, FEE_CREDITS, NETWORKS, CoinShop

LISTED = "0x" + "66" * 20


class ScreeningShop(CoinShop):
    """Shop that screens the senders of coins."""

    settings: ClassVar[Mapping[str, str]] = {**NETWORKS, "CRYPTO_SCREENING": "chainalysis"}


@pytest.fixture
def shop() -> CoinShop:
    made = ScreeningShop()
    for chain in made.chains.values():
        chain.sanctioned.add(LISTED)
    return made


def paid_by(shop: CoinShop, sender: str, network: str = "base", asset: str = "USDC") -> Payment:
    payment = shop.order(network, asset)
    assert payment.quote is not None
    shop.chains[network].send(payment.quote.address, asset, payment.quote.due, sender=sender)
    return shop.deep(payment)


def test_coins_of_a_listed_sender_are_parked_and_not_refundable(shop):
    payment = paid_by(shop, LISTED)

    asked = RefundAsked(payment=payment.id, minor=None, operation=operation_id("test", "1"), fingerprint="f")
    with pytest.raises(NotRefundable):
        shop.services().payments.refunds.refund(asked)

    assert (payment.problem, status_of(payment), shop.money()[0]) == ("screened_sender", "confirming", 0)
    assert "payment_parked" in {alert.event for alert in shop.alerts.raised}


def test_coins_of_another_sender_are_credited(shop):
    assert paid_by(shop, "0x" + "77" * 20).problem == ""
    assert shop.money()[0] == FEE_CREDITS + FEE_BONUS


def test_nobody_is_screened_unless_the_settings_say_so():
    plain = CoinShop()
    plain.chains["base"].sanctioned.add(LISTED)

    assert paid_by(plain, LISTED).problem == ""


def test_bitcoin_has_no_oracle_and_is_credited(shop):
    assert paid_by(shop, LISTED, "bitcoin", "BTC").problem == ""


@pytest.mark.parametrize("question", ["is_sanctioned", "transfers"])
def test_coins_wait_while_senders_or_the_oracle_cannot_be_asked(shop, monkeypatch, question):
    def silent(*_: object) -> bool:
        raise ChainUnavailable("base", "down")

    monkeypatch.setattr(shop.chains["base"], question, silent)
    payment = paid_by(shop, LISTED)
    assert (payment.problem, shop.money()[0]) == ("", 0)
    monkeypatch.undo()

    assert shop.follow(payment).problem == "screened_sender"
