"""Agent of the walk: a program without credits, whose stock x402 client pays a dollar with the call itself."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import requests

from emulator.chains.laptop import Purse

DOLLAR = 10**6
"""Atomic units of the token that are worth a dollar."""
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidCall:
    """Answer to a call, and the payment that the answer tells; {} if nothing was paid."""

    answer: requests.Response
    payment: dict[str, Any]


def call_and_pay(purse: Purse, token: str, contract: str, url: str, key: str, body: dict[str, Any]) -> PaidCall:
    """Send a call with an API key from a wallet that has a dollar's worth of a token, and return the answer.

    Stock clients pay with coins of real networks only, so the laptop's token is allowed by name.
    """
    from eth_account import Account
    from x402 import x402ClientSync
    from x402.http.clients import x402_requests
    from x402.mechanisms.evm import EthAccountSigner
    from x402.mechanisms.evm.exact.register import register_exact_evm_client

    wallet = Account.create()
    purse.send(token, contract, wallet.address, DOLLAR)
    network = f"eip155:{purse.network.chain_id}"
    client = x402ClientSync()
    client.set_spend_controls(
        {"allowed_assets": [{"network": network, "asset": contract, "max_amount_per_payment": str(DOLLAR)}]}
    )
    register_exact_evm_client(client, EthAccountSigner(wallet), networks=network)
    headers = {"Authorization": f"Bearer {key}"}
    answer = x402_requests(client).post(url, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
    told = answer.headers.get("PAYMENT-RESPONSE", "")
    return PaidCall(answer=answer, payment=json.loads(base64.b64decode(told)) if told else {})
