"""Page of a crypto payment as its payer sees it: the phase, what can be done now, and the transaction of a wallet."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from shared.kernel.clock import SECOND, Millis, rfc3339
from shared.kernel.documents import Value
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import AssetName
from shared.payments.chains.uris import payment_uri
from shared.payments.chains.view import crypto_view
from shared.payments.payment import Payment, Status, quote_of, status_of

Phase = Literal[
    "waiting",
    "pool",
    "seen",
    "confirming",
    "partial",
    "late",
    "settled",
    "review",
    "taken_back",
    "expired",
    "cancelled",
    "failed",
    "refunded",
    "partially_refunded",
    "lost",
]
PHASES: tuple[str, ...] = get_args(Phase)
RETURNED_PHASES: Mapping[Status, Phase] = {
    "refunded": "refunded",
    "partially_refunded": "partially_refunded",
    "lost": "lost",
}
"""Phases of payments whose money went back, also if the chain still has the coins."""
UNPAID_PHASES: Mapping[Status, Phase] = {"expired": "expired", "cancelled": "cancelled", "failed": "failed"}
"""Phases of payments that ended, as long as nothing has come."""
OVER: frozenset[Phase] = frozenset({"settled", *RETURNED_PHASES.values(), *UNPAID_PHASES.values()})
"""Phases in which nothing changes any more."""
LIVE_SECONDS, SLOW_SECONDS = 3, 30
SLOW: frozenset[Phase] = frozenset({"late", "review", "taken_back"})
"""Phases that last: a person or a later block ends them."""
TRANSFER = "a9059cbb"
"""Selector of ERC-20's `transfer(address,uint256)`."""
WORD_DIGITS = 64


def payer_view(payment: Payment, network: Network | None, now: Millis) -> Mapping[str, Any]:
    """Return all that the page shows of a payment with a quote. Nothing names the user.

    `network` is the quote's network, None if the settings do not list the network any more: then nothing can be sent.
    """
    quote, crypto = quote_of(payment), crypto_view(payment)
    assert crypto is not None, "a payment with a quote has a view"
    phase = phase_of(status_of(payment), str(crypto["state"]))
    return {
        "payment_id": payment.id,
        "status": status_of(payment),
        "phase": phase,
        "title": payment.terms.title,
        "price": payment.terms.price,
        "credits": payment.terms.credits,
        "bonus": payment.terms.bonus,
        "now": rfc3339(now),
        "expires_at": rfc3339((payment.chain and payment.chain.expires_at) or payment.expires_at),
        "lock_seconds": (quote.locked_until - quote.quoted_at) // SECOND,
        "is_payable": network is not None and is_payable(phase, crypto),
        "is_changeable": is_changeable(phase, crypto),
        "is_takeable": is_takeable(phase, crypto),
        "ask_again_seconds": ask_again_seconds(phase),
        "back_url": back_url(payment, phase),
        "wallet": _wallet(network, quote.asset, phase, crypto),
        "crypto": {**crypto, "uri": link_of(payment, network)},
    }


def link_of(payment: Payment, network: Network | None) -> str:
    """Return the link that opens a wallet with what is still missing: a part that came is not paid again."""
    quote, crypto = quote_of(payment), crypto_view(payment)
    assert crypto is not None, "a payment with a quote has a view"
    missing = int(str(crypto["missing_atomic"]))
    if network is None or quote.asset not in network.assets or not missing:
        return quote.uri
    return payment_uri(network, quote.asset, quote.address, missing)


def back_url(payment: Payment, phase: Phase) -> str:
    """Return the app's address to which the page leads back: `cancel_url` if nothing has come, else `success_url`."""
    is_unpaid = phase in {"waiting", *UNPAID_PHASES.values()}
    return payment.cancel_url if is_unpaid else payment.success_url


def phase_of(status: Status, state: str) -> Phase:
    """Return the phase that the page shows, from the payment's status and the state of its coins.

    Coins that came say more than the end of a purchase.
    """
    if status in RETURNED_PHASES:
        return RETURNED_PHASES[status]
    if status in UNPAID_PHASES and state == "waiting":
        return UNPAID_PHASES[status]
    found = next((phase for phase in get_args(Phase) if phase == state), None)
    return found or "review"


def is_payable(phase: Phase, crypto: Mapping[str, Any]) -> bool:
    """Return True if the payer should send something now: nothing has come yet, or a part of the amount."""
    return phase in {"waiting", "partial"} and crypto["missing_atomic"] != "0"


def is_changeable(phase: Phase, crypto: Mapping[str, Any]) -> bool:
    """Return True if network and asset can be changed: nothing has come."""
    return phase == "waiting" and crypto["received_atomic"] == "0"


def is_takeable(phase: Phase, crypto: Mapping[str, Any]) -> bool:
    """Return True if the user can take the credits for the part that has come."""
    return phase == "partial" and crypto["received_atomic"] != "0" and crypto["missing_atomic"] != "0"


def ask_again_seconds(phase: Phase) -> int | None:
    """Return the seconds after which the page should ask again; None if the payment is over."""
    if phase in OVER:
        return None
    return SLOW_SECONDS if phase in SLOW else LIVE_SECONDS


def wallet_transaction(network: Network, asset: AssetName, address: str, amount: int) -> Mapping[str, str]:
    """Return the transaction by which a wallet of an EVM network sends `amount` atomic units to `address`.

    All numbers are hexadecimal, as EIP-1193 has them. A token's transaction goes to the token's contract.
    """
    contract = network.assets[asset].contract
    if not contract:
        return {"to": address, "value": hex(amount), "data": "0x"}
    return {"to": contract, "value": "0x0", "data": f"0x{TRANSFER}{_word(int(address, 16))}{_word(amount)}"}


def wallet_request(network: Network, asset: AssetName, address: str, amount: int) -> Mapping[str, Any] | None:
    """Return all that a browser's wallet needs to pay: chain, coin and transaction. None for a chain without wallets
    in browsers.
    """
    if network.chain_id is None:
        return None
    coin = network.coin
    return {
        "chain_id": hex(network.chain_id),
        "chain_name": network.title,
        "coin": {"name": coin.name, "symbol": coin.name, "decimals": coin.decimals},
        "rpc_urls": [network.wallet_rpc] if network.wallet_rpc else [],
        "explorer_urls": [network.explorer] if network.explorer else [],
        "transaction": wallet_transaction(network, asset, address, amount),
    }


def _wallet(
    network: Network | None, asset: AssetName, phase: Phase, crypto: Mapping[str, Value]
) -> Mapping[str, Any] | None:
    if network is None or asset not in network.assets or not is_payable(phase, crypto):
        return None
    return wallet_request(network, asset, str(crypto["address"]), int(str(crypto["missing_atomic"])))


def _word(number: int) -> str:
    return f"{number:0{WORD_DIGITS}x}"
