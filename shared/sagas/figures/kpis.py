"""Key figures of a period, from the figures of its days. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from shared.kernel.money import MICRO_PER_CREDIT
from shared.ledger.entries import ABSORBED, BREAKAGE, DEBT, OWN
from shared.ledger.log.figure_sums import UseSums
from shared.ledger.log.figures import DayFigures, ModelUse
from shared.ledger.usage import REVENUE

CENT_PARTS = 10**6
"""Amounts in USD are rounded to a millionth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseMargin:
    """Uses of a model at one version of its prices, with credits in µcr and amounts in exact USD.

    `upstream_usd` is the price without markup of all uses, also of the part that the platform absorbed.
    """

    use: ModelUse
    sums: UseSums
    revenue_usd: Fraction
    upstream_usd: Fraction

    @property
    def margin_usd(self) -> Fraction:
        """Revenue less the price of the upstream."""
        return self.revenue_usd - self.upstream_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpis:
    """Key figures in µcr. `granted`, `refunded`, `adjusted` and `reversed` are by source or destination.

    `spent` is the price that users paid, `absorbed` the loss of the platform, `expired` breakage. `debt` and
    `liability` are the growth of debt and of the credits in accounts.
    """

    granted: Mapping[str, int]
    refunded: Mapping[str, int]
    adjusted: Mapping[str, int]
    reversed: Mapping[str, int]
    spent: int
    absorbed: int
    expired: int
    debt: int
    liability: int
    uses: tuple[UseMargin, ...]


def kpis_of(figures: DayFigures, credits_per_usd: int) -> Kpis:
    """Return the key figures. `credits_per_usd` gives credits their value in USD."""
    return Kpis(
        granted=_by_source(figures, "grant"),
        refunded=_by_source(figures, "refund"),
        adjusted=_by_other(figures, "adjustment"),
        reversed={name: -amount for name, amount in _by_other(figures, "reversal").items()},
        spent=_spent(figures),
        absorbed=-_net(figures, lambda name: name == ABSORBED),
        expired=_net(figures, lambda name: name == BREAKAGE),
        debt=-_net(figures, lambda name: name == DEBT),
        liability=_net(figures, lambda name: name in OWN and name != DEBT),
        uses=tuple(_margin(use, sums, credits_per_usd) for use, sums in sorted(figures.uses.items())),
    )


def _by_source(figures: DayFigures, kind: str) -> Mapping[str, int]:
    """Return the credits that entered accounts by entries of a kind, by source."""
    return {name: amount for name, amount in _by_other(figures, kind).items() if amount > 0}


def _by_other(figures: DayFigures, kind: str) -> Mapping[str, int]:
    """Return the growth of accounts by entries of a kind, by the name outside the accounts."""
    grown: dict[str, int] = {}
    for flow, amount in figures.flows.items():
        is_in, is_out = flow.destination in OWN, flow.source in OWN
        if flow.kind == kind and is_in != is_out:
            name = flow.source if is_in else flow.destination
            grown[name] = grown.get(name, 0) + (amount if is_in else -amount)
    return grown


def _spent(figures: DayFigures) -> int:
    """Return the revenue that accounts paid."""
    return sum(
        amount * (flow.destination.startswith(REVENUE) - flow.source.startswith(REVENUE))
        for flow, amount in figures.flows.items()
        if flow.source in OWN or flow.destination in OWN
    )


def _net(figures: DayFigures, is_wanted: Callable[[str], bool]) -> int:
    """Return the credits that came to the wanted names less those that left."""
    return sum(
        amount * (is_wanted(flow.destination) - is_wanted(flow.source)) for flow, amount in figures.flows.items()
    )


def _margin(use: ModelUse, sums: UseSums, credits_per_usd: int) -> UseMargin:
    micro_per_usd = credits_per_usd * MICRO_PER_CREDIT
    markup = int(use.markup) if use.markup.isdecimal() else 0
    return UseMargin(
        use=use,
        sums=sums,
        revenue_usd=Fraction(sums.charged, micro_per_usd),
        upstream_usd=Fraction(sums.charged + sums.absorbed, micro_per_usd) * 100 / (100 + markup),
    )


def usd_text(amount: Fraction) -> str:
    """Return an amount in USD with six digits behind the point, rounded half to even."""
    parts = round(amount * CENT_PARTS)
    whole, rest = divmod(abs(parts), CENT_PARTS)
    return f"{'-' if parts < 0 else ''}{whole}.{rest:06d}"
