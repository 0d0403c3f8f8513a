"""Tariff from usage to credits, as exact fractions, rounded up once per call.

`usd_per_mtok` is USD per million tokens, and a credit is a million µcr, so the two millions cancel. One token costs
`usd_per_mtok × credits_per_usd × (100 + markup_percent) / 100` µcr. An image, and the price per request, cost a million
times as much per USD.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, zip_longest
from math import lcm

from shared.ai.models.catalogue import Model, ModelUnpriced
from shared.ai.models.prices import ContextTier
from shared.ai.tokens import Usage, expected_tokens
from shared.kernel.errors import Rejected
from shared.kernel.money import MICRO_PER_CREDIT, Micro
from shared.kernel.prices import decimal_text, round_up

TOKENS_PER_PRICE = 1_000_000

UNPRICED_QUALITIES = frozenset({None, "", "auto", "standard"})
"""Qualities that leave the choice to the provider. The price of the size applies."""


class SizeNotOffered(Rejected):
    """The image model has no price for this size, so no picture is painted."""

    code = "size_not_offered"

    def __init__(self, model: str, size: str, offered: Iterable[str]) -> None:
        names = ", ".join(sorted(offered))
        super().__init__(f"This model paints {names}.", model=model, size=size, offered=names)


class QualityNotOffered(Rejected):
    """The image model has no price for this quality in this size, so no picture is painted."""

    code = "quality_not_offered"

    def __init__(self, model: str, quality: str, offered: Iterable[str]) -> None:
        names = ", ".join(sorted(offered))
        detail = f"In this size the model paints {names}." if names else "This model has no qualities to choose from."
        super().__init__(detail, model=model, quality=quality, offered=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRate:
    """Numerators of µcr per token, for each call whose input is longer than `above` tokens."""

    above: int
    input: int
    cached_input: int
    cache_write: int
    output: int

    @property
    def input_most(self) -> int:
        """Return the price of an input token of the dearest kind: plain, cached or written to a cache."""
        return max(self.input, self.cached_input, self.cache_write)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Prices of one model in µcr, over a common denominator, so that a price is integer arithmetic.

    A rate is the price snapshot of a turn: taken with the hold, and used to the end of the turn. `price` is the exact
    price of a usage. The methods with `bound` give the most that a call can cost, in each tier that the call may reach.
    """

    tiers: tuple[TierRate, ...]
    request: int
    denominator: int
    markup_percent: int = 0

    def price(self, usage: Usage) -> Micro:
        """Return the price of one call with this usage: the exact sum, rounded up once to 1 µcr."""
        tier = self._tier(usage.input_tokens)
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        plain = usage.input_tokens - cached - written
        total = plain * tier.input + cached * tier.cached_input + written * tier.cache_write
        return self._micro(self.request + total + usage.output_tokens * tier.output)

    def bound(self, input_tokens: int, output_tokens: int) -> Micro:
        """Return the most that one call with at most these tokens can cost (µcr), with or without cached input."""
        most = max(
            tokens * tier.input_most + output_tokens * tier.output for tier, tokens in self._reachable(input_tokens)
        )
        return self._micro(self.request + most)

    def output_price(self, output_tokens: int, *, input_tokens: int) -> Micro:
        """Return the price of the output (µcr) behind this much input, without the input and the call itself."""
        return self._micro(output_tokens * self._tier(input_tokens).output)

    def output_bound(self, output_tokens: int, *, input_tokens: int) -> Micro:
        """Return the most that the output can cost (µcr) behind at most this much input."""
        return self._micro(output_tokens * max(tier.output for tier, _ in self._reachable(input_tokens)))

    def affordable_output(self, amount: int, input_tokens: int) -> int | None:
        """Return the most output tokens that `amount` µcr pays for behind this much input; None if output is free."""
        left = amount * self.denominator - self.request
        paid_for = [
            max(0, (left - tokens * tier.input_most) // tier.output)
            for tier, tokens in self._reachable(input_tokens)
            if tier.output
        ]
        return min(paid_for, default=None)

    def _tier(self, input_tokens: int) -> TierRate:
        return next((tier for tier in reversed(self.tiers) if tier.above < input_tokens), self.tiers[0])

    def _reachable(self, input_tokens: int) -> Iterator[tuple[TierRate, int]]:
        """Yield the tiers that a call with at most this input can reach, each with the most input in that tier."""
        for tier, after in zip_longest(self.tiers, self.tiers[1:]):
            yield tier, input_tokens if after is None else min(input_tokens, after.above)
            if after is None or after.above >= input_tokens:
                return

    def _micro(self, numerator: int) -> Micro:
        return Micro(-(-numerator // self.denominator))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Conversion of USD into credits: `credits_per_usd` per dollar, plus `markup_percent` on the model's price."""

    credits_per_usd: int
    markup_percent: int = 0

    def rate(self, model: Model) -> Rate:
        """Return the model's current prices. Raises ModelUnpriced for a model that is not priced by tokens.

        An embedding model needs no price for output.
        """
        is_output_priced = model.kind == "embedding" or model.output_usd_per_mtok is not None
        if not model.context_tiers or not is_output_priced:
            raise ModelUnpriced(model.id)
        usd = [_per_million(tier, model.kind) for tier in model.context_tiers]
        request = model.request_usd * TOKENS_PER_PRICE
        denominator = lcm(*(self._credits(price).denominator for price in chain(*usd, [request])))
        numbers = [[int(self._credits(price) * denominator) for price in prices] for prices in usd]
        return Rate(
            tiers=tuple(
                TierRate(above=tier.above, input=plain, cached_input=cached, cache_write=written, output=output)
                for tier, (plain, cached, written, output) in zip(model.context_tiers, numbers, strict=True)
            ),
            request=int(self._credits(request) * denominator),
            denominator=denominator,
            markup_percent=self.markup_percent,
        )

    def image_price(self, model: Model, size: str, quality: str | None = None, *, prompt: str = "") -> Micro:
        """Return the price of one image (µcr), the request's price included. Raises SizeNotOffered, QualityNotOffered.

        Without a quality the provider chooses, so the price is the price of the size. If a model has a price for input,
        the prompt's tokens cost that price, as we count tokens. Answers with pictures report no usage.
        """
        usd = model.image_usd_by_size.get(size)
        if usd is None:
            raise SizeNotOffered(model.id, size, model.image_usd_by_size)
        if quality is not None:
            priced = {name: sizes[size] for name, sizes in model.image_usd_by_quality.items() if size in sizes}
            if quality not in priced:
                raise QualityNotOffered(model.id, quality, priced)
            usd = priced[quality]
        tokens = expected_tokens(prompt) if model.context_tiers else 0
        input_usd = tokens * (model.input_usd_per_mtok or 0) / Fraction(TOKENS_PER_PRICE)
        return round_up(self._credits(usd + model.request_usd + input_usd) * MICRO_PER_CREDIT)

    def credits_of(self, usd: Fraction) -> str:
        """Return the user's price for this USD amount of a model's price: exact credits, as a decimal string."""
        return decimal_text(self._credits(usd))

    def _credits(self, usd: Fraction) -> Fraction:
        return usd * self.credits_per_usd * (100 + self.markup_percent) / 100

    def price(self, model: Model, usage: Usage) -> Micro:
        """Return the price of `usage` of this model (µcr). Raises ModelUnpriced."""
        return self.rate(model).price(usage)

    def ceiling(self, model: Model, input_tokens: int, output_tokens: int) -> Micro:
        """Return the most that a call with at most these tokens can cost (µcr). Raises ModelUnpriced."""
        return self.rate(model).bound(input_tokens, output_tokens)


def _per_million(tier: ContextTier, kind: str) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    output = Fraction(0) if kind == "embedding" else tier.output
    return tier.input, tier.cached_input, tier.cache_write, output
