"""Prices of coins: answers of independent sources, and the one rate on which they agree. The judgement is pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.errors import Unavailable
from shared.payments.chains.amounts import rate_text
from shared.payments.chains.networks import Asset, Network
from shared.payments.chains.ports import AssetName, NetworkName

SPREAD_MAX = Fraction(1, 100)
"""Most by which the highest answer may exceed the lowest."""
PEG_DISTANCE_MAX = Fraction(1, 100)
"""Most by which a dollar stablecoin may differ from a dollar."""
PEG = Fraction(1)
WITNESSES_MIN = 2
"""Fewest answers that must agree if a source has no answer."""
FUTURE_MAX: Millis = MINUTE
"""Most by which the clock of a source may be ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAnswer:
    """Price of one whole coin in USD, made by `source` at the time `at` (ms). The price is stale after `stale_at`."""

    source: str
    rate: Fraction
    at: Millis
    stale_at: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedRate:
    """Rate in USD on which all sources agree, as an exact fraction."""

    rate: Fraction
    sources: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the rate as a decimal."""
        return rate_text(self.rate)


class PriceSource(Protocol):
    """Source of prices. Calls have timeouts and may be repeated. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Return the name of the source, as receipts show the name."""
        ...

    def price(self, network: Network, asset: Asset) -> PriceAnswer | None:
        """Return the price of an asset of a network; None if this source has no price for the asset at any time.

        Raises NoPrice if the source cannot be reached or answers nonsense.
        """
        ...


class NoPrice(Exception):
    """Failure to get a price. `reason` continues the sentence `There is no reliable price right now: …`.

    `is_final` is True if other sources must not stand in: the network itself makes no blocks.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class PriceUnavailable(Unavailable):
    """Error for an asset without a price that all sources agree on. Nothing is quoted then."""

    code = "price_unavailable"

    def __init__(self, network: NetworkName, asset: AssetName, reason: str) -> None:
        super().__init__(
            f"There is no reliable price of {asset} right now: {reason}. Try again in a minute, or use another coin.",
            network=network,
            asset=asset,
            reason=reason,
        )


def agreed_rate(asset: Asset, found: Sequence[PriceAnswer | NoPrice], now: Millis) -> AgreedRate:
    """Return the rate on which all answers agree. `found` has an answer or a failure of each source.

    The lowest answer counts, so that no single source can raise the value of coins. A dollar stablecoin counts one
    dollar while all answers are near one dollar. A source without a fresh answer is left out only if two others agree.
    Raises NoPrice with the reason, also for answers too far apart and a stablecoin off its peg.
    """
    checked = [each if isinstance(each, NoPrice) else _fault_of(each, now) or each for each in found]
    faults = [each for each in checked if isinstance(each, NoPrice)]
    answers = [each for each in checked if isinstance(each, PriceAnswer)]
    if not checked:
        raise NoPrice("no source has a price")
    if faults and (len(answers) < WITNESSES_MIN or any(each.is_final for each in faults)):
        raise next((each for each in faults if each.is_final), faults[0])
    lowest, highest = min(each.rate for each in answers), max(each.rate for each in answers)
    if highest > lowest * (1 + SPREAD_MAX):
        raise NoPrice("the sources are more than 1 % apart")
    if asset.is_stable and any(abs(rate - PEG) > PEG_DISTANCE_MAX for rate in (lowest, highest)):
        raise NoPrice(f"{asset.name} is more than 1 % away from one dollar")
    return AgreedRate(rate=PEG if asset.is_stable else lowest, sources=tuple(each.source for each in answers))


def _fault_of(answer: PriceAnswer, now: Millis) -> NoPrice | None:
    if answer.rate <= 0:
        return NoPrice(f"the price of {answer.source} is not above zero")
    if answer.at > now + FUTURE_MAX:
        return NoPrice(f"the price of {answer.source} is from the future")
    return NoPrice(f"the price of {answer.source} is out of date") if now > answer.stale_at else None


class Rates(Protocol):
    """Present prices of assets."""

    def rate(self, network: NetworkName, asset: AssetName) -> AgreedRate | None:
        """Return the USD that one whole coin is worth, with the sources; None if nobody can tell now."""
        ...
