"""Quote of a crypto payment, and the part of an address's level that belongs to a payment."""

from dataclasses import dataclass

from shared.kernel.clock import Millis
from shared.payments.chains.ports import AssetName, NetworkName


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Terms on which coins are taken for a payment; atomic amounts are whole numbers of any size.

    `rate` is the USD that one whole coin is worth, as a decimal. `sources` name where the rate came from. The rate is
    locked for coins that arrive before `locked_until`.
    """

    network: NetworkName
    asset: AssetName
    decimals: int
    address: str
    index: int
    due: int
    rate: str
    sources: tuple[str, ...]
    quoted_at: Millis
    locked_until: Millis
    network_title: str = ""
    uri: str = ""
    """Link that opens a wallet with address and amount; "" if there is none."""
    confirmations: int | None = None
    """Blocks after which the payment counts; None if the chain's own tag tells."""
    wait_seconds: int = 0
    """Usual time until the payment counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelClaim:
    """Part [begin, end) of an address's level that one payment owns, in atomic units, as the payment stores it.

    The address stores the same part with its value as a `PaymentClaim`.
    """

    network: NetworkName
    asset: AssetName
    address: str
    index: int
    begin: int
    end: int
