"""Endings of a call's money: by the provider's report, by what was counted, by reading on, or by what was held.

The law: the charge is the reported usage. Without a report it is at least what the provider can have billed, and never
above what was held.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import ceil

from shared.ai.profiles import UpstreamProfile

COUNTING_ERROR = Fraction(1, 4)
"""Our count of tokens may be a quarter too low, so that a charge without a report is a quarter above the count."""


def with_error(tokens: int) -> int:
    """Return the most tokens that a text can be which we count as `tokens`."""
    return ceil(tokens * (1 + COUNTING_ERROR))


def without_error(tokens: int) -> int:
    """Return the fewest tokens that a text can be which we count as `tokens`."""
    return int(tokens / (1 + COUNTING_ERROR))


class Ending(Enum):
    """A way in which a call is charged."""

    REPORTED = "reported"
    """Charge the usage that the provider reported."""
    COUNTED = "counted"
    """End the call, and charge what was counted with the error of counting."""
    READ_ON = "read_on"
    """Read to the provider's report without delivering."""
    BOUND = "bound"
    """End the call, and charge the most that it can have cost, as far as it is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Facts of a call at its end.

    `is_over`: the provider has said that this was all. `is_readable`: the stream can still be read. `is_reported`: the
    provider reported its usage, and nothing came after that. `is_streamed`: the answer came as it was generated.
    `has_hidden_output`: the model also generates what nobody sees. `is_input_bounded`: our count of the input holds.
    `is_output_counted`: our count of the output holds. `is_behind`: the provider was made to wait, so that it may have
    generated more than came.
    """

    is_over: bool = False
    is_readable: bool = True
    is_reported: bool = False
    is_streamed: bool = True
    has_hidden_output: bool = False
    is_input_bounded: bool = True
    is_output_counted: bool = True
    is_behind: bool = False

    @property
    def is_all_visible(self) -> bool:
        """True if what came says what was used."""
        is_known = self.is_input_bounded and self.is_output_counted and not self.has_hidden_output
        return self.is_reported or is_known


def ending_of(sight: Sight, profile: UpstreamProfile) -> Ending:
    """Decide how the money of a call ends that is seen like this, at a provider that behaves like this."""
    if sight.is_over and sight.is_reported:
        return Ending.REPORTED
    if sight.is_over and sight.is_readable:
        return Ending.READ_ON
    is_ended_by_abort = profile.abort_ends_billing and sight.is_streamed and not sight.is_behind
    if sight.is_all_visible and (sight.is_over or is_ended_by_abort):
        return Ending.COUNTED
    return Ending.READ_ON if sight.is_readable else Ending.BOUND
