"""The tariff: usage → credits, as exact fractions, rounded up once per call.

`usd_per_mtok` is USD per million tokens, and a credit is a million µcr, so the two millions cancel: one token costs
`usd_per_mtok × credits_per_usd × (100 + markup_percent) / 100` µcr. An image costs a million times as much per USD.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from shared.ai.models import Model, ModelUnpriced
from shared.ai.tokens import Usage
from shared.kernel.errors import Rejected
from shared.kernel.money import MICRO_PER_CREDIT, Micro
from shared.kernel.prices import round_up


class SizeNotOffered(Rejected):
    """The image model has no price for this size, so it is not painted."""

    code = "size_not_offered"

    def __init__(self, model: str, size: str, offered: Iterable[str]) -> None:
        names = ", ".join(sorted(offered))
        super().__init__(f"This model paints {names}.", model=model, size=size, offered=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one model's tokens cost: µcr per token, over a common denominator so that a price is integer arithmetic.

    This is the price snapshot of a turn: taken when its hold is placed, used to its end.
    """

    input_numerator: int
    output_numerator: int
    denominator: int

    def price(self, usage: Usage) -> Micro:
        """What `usage` costs: the exact sum, rounded up once to 1 µcr."""
        total = usage.input_tokens * self.input_numerator + usage.output_tokens * self.output_numerator
        return Micro(-(-total // self.denominator))

    def affordable_output(self, amount: int, input_tokens: int) -> int | None:
        """The most output tokens that `amount` µcr pays for behind this much input; None if output costs nothing."""
        if not self.output_numerator:
            return None
        left = amount * self.denominator - input_tokens * self.input_numerator
        return max(0, left // self.output_numerator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """How USD become credits: `credits_per_usd` for a dollar, and `markup_percent` on top of the model's price."""

    credits_per_usd: int
    markup_percent: int = 0

    def rate(self, model: Model) -> Rate:
        """The model's prices as of now, per token. Raises ModelUnpriced for one that is not priced by tokens.

        What a model never gives out needs no price.
        """
        output_usd_per_mtok = Fraction(0) if model.kind == "embedding" else model.output_usd_per_mtok
        if model.input_usd_per_mtok is None or output_usd_per_mtok is None:
            raise ModelUnpriced(model.id)
        credits_per_usd = Fraction(self.credits_per_usd * (100 + self.markup_percent), 100)
        per_input = model.input_usd_per_mtok * credits_per_usd
        per_output = output_usd_per_mtok * credits_per_usd
        denominator = lcm(per_input.denominator, per_output.denominator)
        return Rate(
            input_numerator=int(per_input * denominator),
            output_numerator=int(per_output * denominator),
            denominator=denominator,
        )

    def image_price(self, model: Model, size: str) -> Micro:
        """What one image of this size costs. Raises SizeNotOffered."""
        usd = model.image_usd_by_size.get(size)
        if usd is None:
            raise SizeNotOffered(model.id, size, model.image_usd_by_size)
        return round_up(usd * self.credits_per_usd * (100 + self.markup_percent) / 100 * MICRO_PER_CREDIT)

    def price(self, model: Model, usage: Usage) -> Micro:
        """What `usage` of this model costs."""
        return self.rate(model).price(usage)

    def ceiling(self, model: Model, input_tokens: int, output_tokens: int) -> Micro:
        """The most that a call with at most these tokens can cost."""
        return self.price(model, Usage(input_tokens=input_tokens, output_tokens=output_tokens))
