"""Refund in coins for operators: how much goes where, and the unsigned transaction for a wallet. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.payments.chains.amounts import decimal_text
from shared.payments.chains.networks import Network
from shared.payments.chains.payer import wallet_transaction
from shared.payments.chains.payouts import FAULTS, Payout
from shared.payments.chains.uris import payment_uri

FEE_MARKET_TYPE = "0x2"
"""Type of EIP-1559 transactions. The wallet fills in sender, nonce, gas and fees."""


def payout_view(payout: Payout, network: Network | None) -> Mapping[str, Any]:
    """Return a payout for operators. `network` is None if the network has left the settings.

    Nothing to sign is shown once coins are on their way, or the payout was called off, so that nobody sends twice.
    """
    terms = payout.terms
    is_to_send = payout.state == "waiting" and not payout.transaction
    known = network if is_to_send else None
    return {
        "id": payout.id,
        "state": payout.state,
        "network": terms.network,
        "network_title": terms.network if network is None else network.title,
        "asset": terms.asset,
        "address": terms.address,
        "amount": decimal_text(terms.amount, terms.decimals),
        "amount_atomic": str(terms.amount),
        "price": payout.price,
        "rate": terms.rate,
        "sources": list(terms.sources),
        "uri": None if known is None else payment_uri(known, terms.asset, terms.address, terms.amount),
        "unsigned": None if known is None or known.chain_id is None else _unsigned(payout, known),
        "transaction": payout.transaction or None,
        "transaction_url": network.transaction_url(payout.transaction) if network and payout.transaction else None,
        "fault": FAULTS.get(payout.fault),
        "asked_at": payout.asked_at,
    }


def _unsigned(payout: Payout, network: Network) -> Mapping[str, Any]:
    """Return the transaction of an EVM network that sends the coins; all numbers are hexadecimal."""
    assert network.chain_id is not None, "an EVM network has a chain id"
    call = dict(wallet_transaction(network, payout.terms.asset, payout.terms.address, payout.terms.amount))
    return {"type": FEE_MARKET_TYPE, "chainId": hex(network.chain_id), **call}
