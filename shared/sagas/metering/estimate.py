"""Estimate of the cost of a request, before any hold or model call."""

from dataclasses import dataclass

from shared.kernel.money import Micro


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of a request in µcr: `ceiling` at most, `expected` probably, with the tokens counted for each.

    `model_reason` is None unless `auto` chose the model.
    """

    model: str
    model_reason: str | None
    price_version: int
    input_tokens_at_most: int
    output_tokens_at_most: int
    ceiling: Micro
    input_tokens_expected: int
    output_tokens_expected: int
    expected: Micro
