"""Payers by x402 in tests: they read offers, and sign them as stock clients do."""

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from eth_account import Account

TYPES = {
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}
PAYER: Any = Account.from_key(b"\x09" * 32)
"""A key of tests, which holds nothing anywhere."""
STRANGER: Any = Account.from_key(b"\x0a" * 32)


def decoded(header: str) -> Any:
    """Return the content of a header."""
    return json.loads(base64.b64decode(header))


def offers_in(answer: Any) -> list[Any]:
    """Return the offers of an answer; none without the header."""
    header = answer.headers.get("PAYMENT-REQUIRED")
    return decoded(header)["accepts"] if header else []


def signed_header(
    offer: Mapping[str, Any], now: int, key: Any = PAYER, signed: Mapping[str, Any] | None = None, **changes: Any
) -> str:
    """Return `PAYMENT-SIGNATURE` for an offer at the time `now`, in seconds.

    `signed` are fields of the authorization that are signed otherwise than offered; `changes` are made after signing.
    """
    message = {
        "from": key.address,
        "to": offer["payTo"],
        "value": int(offer["amount"]),
        "validAfter": now - 600,
        "validBefore": now + offer["maxTimeoutSeconds"],
        "nonce": secrets.token_bytes(32),
        **(signed or {}),
    }
    domain = {
        "name": offer["extra"]["name"],
        "version": offer["extra"]["version"],
        "chainId": int(offer["network"].removeprefix("eip155:")),
        "verifyingContract": offer["asset"],
    }
    signature = Account.sign_typed_data(key.key, domain, TYPES, message).signature
    authorization = {
        **{name: str(value) for name, value in message.items()},
        "nonce": "0x" + message["nonce"].hex(),
        **changes.pop("authorization", {}),
    }
    payload = {"signature": "0x" + signature.hex().removeprefix("0x"), "authorization": authorization}
    return header_of({"x402Version": 2, "accepted": dict(offer), "payload": payload, **changes})


def header_of(content: Any) -> str:
    """Return a header with this content."""
    return base64.b64encode(json.dumps(content).encode()).decode()
