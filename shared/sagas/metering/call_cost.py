"""Cost of one model call before the call is made: the input as expected and at most, the output at least."""

from dataclasses import dataclass
from typing import Self

from shared.ai.models.tariff import Rate
from shared.ai.tokens import Usage
from shared.kernel.money import Micro
from shared.ledger.commands import CallBound


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """Estimated costs of one call to a model, in µcr at the price snapshot: of the input, of the output, and at most.

    `output_least` pays for the shortest answer that is worth a request.
    """

    input_expected: Micro
    input_at_most: Micro
    output_least: Micro
    at_most: Micro

    @classmethod
    def of(cls, rate: Rate, *, input_expected: int, input_at_most: int, output_least: int, output_at_most: int) -> Self:
        """Return the cost of these numbers of tokens at this rate."""
        return cls(
            input_expected=rate.price(Usage(input_tokens=input_expected, output_tokens=0)),
            input_at_most=rate.bound(input_at_most, 0),
            output_least=rate.output_bound(min(output_least, output_at_most), input_tokens=input_at_most),
            at_most=rate.bound(input_at_most, output_at_most),
        )

    @classmethod
    def exactly(cls, price: Micro) -> Self:
        """Return the cost of a call whose `price` (µcr) is known."""
        return cls(input_expected=Micro(0), input_at_most=Micro(0), output_least=price, at_most=price)

    @property
    def least(self) -> Micro:
        """The cost of the expected input with the shortest answer (µcr)."""
        return Micro(self.input_expected + self.output_least)

    @property
    def least_bound(self) -> Micro:
        """The most that the input can cost, with the shortest answer (µcr)."""
        return Micro(self.input_at_most + self.output_least)

    def bound_for(self, amount: Micro) -> CallBound:
        """Return the bound of a hold of `amount` µcr.

        If the amount is at least `least_bound`, the input is held at its bound. Otherwise the input is held as
        expected.
        """
        input_held = self.input_at_most if amount >= self.least_bound else self.input_expected
        return CallBound(input_held=input_held, input_at_most=self.input_at_most, at_most=self.at_most)
