"""Refunds in coins on real nodes: the unsigned transaction as operators get it, failures, and reorgs of the payout."""

from typing import Any

import pytest

from shared.kernel.clock import MINUTE
from shared.kernel.ids import operation_id
from shared.payments.chains.payout_view import payout_view
from shared.payments.chains.payouts import Payout, PayoutNotShown
from shared.payments.payment import Payment, status_of
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.refunds import RefundAsked, refund_id
from tests.chains.node_shop import NodeShop, node_shop

SEED = 7
POOR = 5
"""Account that has no tokens."""
WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
OTHER = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"


def asked(shop: NodeShop, network: str, asset: str) -> Payout:
    """A refund of a credited payment, in the payment's own coins."""
    payment = shop.order(network, asset)
    assert payment.quote is not None
    shop.pay(network, asset, payment.quote.address, payment.quote.due)
    shop.mine(network, 20)
    assert status_of(shop.follow(payment)) == "settled"
    shop.services().crypto.refund_addresses.put(payment.id, shop.uid, WALLET, shop.clock.now())
    operation = operation_id("test", payment.id)
    wanted = RefundAsked(payment=payment.id, minor=None, operation=operation, fingerprint="f")
    shop.services().payments.refunds.refund(wanted)
    return shop.services().crypto.payouts.get(payment.id, refund_id(operation))


def send(shop: NodeShop, payout: Payout, *, to: str = WALLET, has_tokens: bool = True) -> str:
    """Sign and send the unsigned transaction that operators are shown."""
    place = shop.places[payout.terms.network]
    unsigned: Any = payout_view(payout, shop.networks[payout.terms.network])["unsigned"]
    if has_tokens and payout.terms.asset in place.tokens:
        place.hands.send(unsigned["to"], shop.minting(place.hands.accounts[0], payout.terms.amount))
        shop.mine(payout.terms.network)
    data = unsigned["data"].replace(WALLET[2:].lower(), to[2:].lower())
    receiver = to if unsigned["to"] == WALLET else unsigned["to"]
    sender = 0 if has_tokens else POOR
    return place.hands.send(receiver, data, value=int(unsigned["value"], 16), sender=sender)


def tell(shop: NodeShop, payout: Payout, transaction: str) -> str:
    return shop.services().crypto.payouts.sent(payout.payment, payout.id, transaction).state


def stored(shop: NodeShop, payout: Payout) -> tuple[str, str]:
    """The states of the payout and of the payment."""
    payment: Payment = shop.services().payments.store.get(payout.payment)
    return shop.services().crypto.payouts.get(payout.payment, payout.id).state, status_of(payment)


@pytest.mark.parametrize(("network", "asset"), [("first", "USDC"), ("first", "ETH"), ("second", "USDT")])
def test_unsigned_transaction_pays_the_refund_on_a_real_node(network, asset):
    with node_shop(SEED) as shop:
        payout = asked(shop, network, asset)
        transaction = send(shop, payout)
        states = [tell(shop, payout, transaction)]
        for blocks in (1, 20):
            shop.mine(network, blocks)
            states.append(tell(shop, payout, transaction))

        _, head = shop.block_at(network, "latest")
        assert states == ["waiting", "seen", "sent"]
        assert shop.level(network, asset, WALLET, head) == payout.terms.amount
        assert (stored(shop, payout), shop.money()[0]) == (("sent", "refunded"), 0)


def test_failed_and_misdirected_transactions_are_not_believed_on_a_real_node():
    with node_shop(SEED) as shop:
        payout = asked(shop, "first", "USDC")
        failed = send(shop, payout, has_tokens=False)
        shop.mine("first")
        astray = send(shop, payout, to=OTHER)
        shop.mine("first", 20)

        reasons = []
        for transaction in (failed, astray):
            with pytest.raises(PayoutNotShown) as refusal:
                tell(shop, payout, transaction)
            reasons.append(refusal.value.params["reason"])

        assert reasons == ["failed", "other_address"]
        assert (stored(shop, payout), shop.money()[0]) == (("waiting", "refunded"), 0)


def test_payout_that_leaves_a_real_chain_waits_again_and_can_be_called_off():
    with node_shop(SEED) as shop:
        payout = asked(shop, "first", "USDC")
        transaction = send(shop, payout)
        shop.mine("first", 3)
        assert tell(shop, payout, transaction) == "sent"
        credits_before = shop.money()[0]

        shop.reorg("first", 5)
        shop.clock.advance(2 * MINUTE)
        shop.services().crypto.payouts.resume(JobRun("", shop.clock, 60.0))
        waiting = stored(shop, payout)
        shop.services().crypto.payouts.cancel(payout.payment, payout.id)

        assert (waiting, credits_before) == (("waiting", "refunded"), 0)
        assert stored(shop, payout) == ("cancelled", "settled")
        assert shop.money()[0] > 0
