"""State of a crypto payment on the chain, as the last look found the payment."""

from dataclasses import dataclass
from typing import Literal

from shared.kernel.clock import Millis
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.quote import LevelClaim
from shared.payments.fiat import Fiat

ChainState = Literal["waiting", "pool", "seen", "confirming", "partial", "settled", "review", "taken_back", "late"]
"""State of a payment for the payer.

`waiting`: nothing came. `pool`: seen, in no block yet. `seen`: in a block. `confirming`: the whole amount is in blocks
that are not deep enough. `partial`: less than due came. `late`: time is up.
"""
LineStatus = Literal["confirming", "settled", "review", "taken_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTransfer:
    """Transaction that brought coins, with the address of the page at an explorer; "" if there is none."""

    hash: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Payment for a part of the coins that came to an address: the package, or a deposit.

    `amount` is in atomic units. `credits` are µcr, gift included.
    """

    payment: str
    package: str
    network: NetworkName
    asset: AssetName
    decimals: int
    amount: int
    price: Fiat
    credits: int
    status: LineStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """State of a payment on the chain. Amounts are in atomic units of the quote's asset.

    `received` counts all coins that came for the payment, deep enough or not. `confirmations_needed` is None if the
    chain's own tag tells. `others` are coins that came in another asset or on another network: "USDT on Polygon".
    """

    state: ChainState
    received: int = 0
    missing: int = 0
    confirmations: int = 0
    confirmations_needed: int | None = None
    wait_seconds: int = 0
    transactions: tuple[SeenTransfer, ...] = ()
    lines: tuple[Line, ...] = ()
    others: tuple[str, ...] = ()
    is_final_loss: bool = False
    """True if finality has passed without coins that were credited."""
    is_unavailable: bool = False
    """True while the network cannot be asked."""
    locked_until: Millis | None = None
    """End of the lock if outages of the network have moved the end, in whole minutes; None for the quoted end."""
    expires_at: Millis | None = None
    """End of grace, in the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTruth:
    """Facts that the domain decided from the chain.

    `claim` is the part of the level that belongs to the payment, None before that is certain. `part` is the price that
    the coins are worth, if other terms than agreed are granted, else None. `review` is the problem for which an
    operator must look, "" without one.
    """

    report: ChainReport
    claim: LevelClaim | None = None
    part: Fiat | None = None
    review: str = ""
