"""Endings of a call's money: by the provider's report, by our count, by reading to the report, or by the hold.

The law: the charge is the reported usage. Without a report, the charge covers at least the amount that the provider can
have billed. The charge is never above the held amount.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import ceil

from shared.ai.models.profiles import UpstreamProfile

COUNTING_ERROR = Fraction(1, 4)
"""Error of our token count: up to a quarter too low. So a charge without a report is a quarter above the count."""


def with_error(tokens: int) -> int:
    """Return the most tokens that a text can have if our count is `tokens`."""
    return ceil(tokens * (1 + COUNTING_ERROR))


def without_error(tokens: int) -> int:
    """Return the fewest tokens that a text can have if our count is `tokens`."""
    return int(tokens / (1 + COUNTING_ERROR))


class Ending(Enum):
    """The way in which a call is charged."""

    REPORTED = "reported"
    """Charge the usage that the provider reported."""
    COUNTED = "counted"
    """End the call, and charge the count plus the error of counting."""
    READ_ON = "read_on"
    """Read to the provider's report without delivering the text."""
    BOUND = "bound"
    """End the call, and charge the most that the call can have cost, as far as credits are held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Facts of a call at its end.

    `is_over`: the provider has said that the answer is complete. `is_readable`: the stream can still be read.
    `is_reported`: the provider reported its usage, and no text came after the report. `is_streamed`: the answer came as
    it was generated. `has_hidden_output`: the model also generates hidden text. `is_input_bounded`: our count of the
    input is a bound. `is_output_counted`: our count of the output is right. `is_behind`: the provider had to wait for
    us, and so may have generated more than arrived.
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
        """True if the usage follows from the events that arrived."""
        is_known = self.is_input_bounded and self.is_output_counted and not self.has_hidden_output
        return self.is_reported or is_known


def ending_of(sight: Sight, profile: UpstreamProfile) -> Ending:
    """Return the ending for a call in this state, at a provider with this profile."""
    if sight.is_over and sight.is_reported:
        return Ending.REPORTED
    if sight.is_over and sight.is_readable:
        return Ending.READ_ON
    is_ended_by_abort = profile.abort_ends_billing and sight.is_streamed and not sight.is_behind
    if sight.is_all_visible and (sight.is_over or is_ended_by_abort):
        return Ending.COUNTED
    return Ending.READ_ON if sight.is_readable else Ending.BOUND
