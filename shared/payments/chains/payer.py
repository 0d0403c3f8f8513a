"""Page of a crypto payment as its payer sees it: the phase, what can be done now, and the transaction of a wallet."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from shared.payments.chains.networks import Network
from shared.payments.chains.ports import AssetName
from shared.payments.payment import Status

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
ENDS: Mapping[Status, Phase] = {
    "refunded": "refunded",
    "partially_refunded": "partially_refunded",
    "lost": "lost",
}
"""Phases of payments whose money went back, also if the chain still has the coins."""
UNPAID_ENDS: Mapping[Status, Phase] = {"expired": "expired", "cancelled": "cancelled", "failed": "failed"}
"""Phases of payments that ended, as long as nothing has come."""
OVER: frozenset[Phase] = frozenset({"settled", *ENDS.values(), *UNPAID_ENDS.values()})
LIVE_SECONDS, SLOW_SECONDS = 4, 30
SLOW: frozenset[Phase] = frozenset({"late", "review", "taken_back"})
"""Phases that last: a person or a later block ends them."""
TRANSFER = "a9059cbb"
"""Selector of ERC-20's `transfer(address,uint256)`."""
WORD_DIGITS = 64


def phase_of(status: Status, state: str) -> Phase:
    """Return the phase that the page shows, from the payment's status and the state of its coins.

    Coins that came say more than the end of a purchase.
    """
    if status in ENDS:
        return ENDS[status]
    if status in UNPAID_ENDS and state == "waiting":
        return UNPAID_ENDS[status]
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


def _word(number: int) -> str:
    return f"{number:0{WORD_DIGITS}x}"
