"""The reply of a turn while it grows: what was delivered, what the upstream reported, what it costs so far."""

from dataclasses import replace
from math import ceil

from shared.ai.ports import ChatEvent, Finished, TextDelta, UsageReport
from shared.ai.tokens import RunningCount, Usage
from shared.kernel.money import Micro
from shared.sagas.metered import Metered

FINISH_REASONS = frozenset({"stop", "length", "content_filter", "tool_calls"})
CREDIT_LIMIT = "credit_limit"
DISCONNECTED = "disconnected"
FAILED = "error"
TIMED_OUT = "timeout"
OVERRUN_FACTOR, OVERRUN_TOKENS = 2, 16
"""Output beyond what was asked for is ours to bear. Our count may run high; what is so far beyond is beyond doubt."""


class Reply:
    """Counts delivered output locally until the upstream reports usage; a report, zero included, is honoured.

    What is reported is what is charged, but for output beyond what was asked for: that is not for the user to pay.
    """

    def __init__(self, plan: Metered) -> None:
        self._plan = plan
        self._pieces: list[str] = []
        self._count = RunningCount()
        self._pending = 0
        self._reported: Usage | None = None
        self._is_stale = True
        self.is_begun = False
        """Whether anything has been delivered, text or not."""
        self.counted = 0
        self.size_bytes = 0
        self.finish_reason: str | None = None

    @property
    def text(self) -> str:
        """What was delivered."""
        return "".join(self._pieces)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was delivered."""
        return not self._pieces

    @property
    def is_estimated(self) -> bool:
        """Whether the upstream did not say what it used in the end."""
        return self._is_stale

    @property
    def is_ended(self) -> bool:
        """Whether the upstream said that this was all."""
        return self.finish_reason is not None or not self._is_stale

    @property
    def usage(self) -> Usage:
        """What was reported, or else counted: never less than what was reported on the way."""
        if self._reported is not None and not self._is_stale:
            return self._reported
        return self._counted_usage(self.counted, len(self._pieces))

    @property
    def cost(self) -> Micro:
        """What this has cost so far."""
        return self._price(self.usage)

    def cost_with(self, text: str) -> Micro:
        """What it will have cost once `text` is delivered. To be followed by `deliver`, or by nothing."""
        self._pending = self._count.add(text)
        return self._price(self._counted_usage(self._pending, len(self._pieces) + 1))

    @property
    def is_overrun(self) -> bool:
        """Whether this is, with the text that was counted last, far more than was asked for."""
        tokens = _cautious(self._pending, len(self._pieces) + 1)
        return tokens > OVERRUN_FACTOR * self._plan.prompt.output_at_most + OVERRUN_TOKENS

    def deliver(self, text: str) -> None:
        """`text` goes to the client."""
        self.is_begun = True
        self._pieces.append(text)
        self.counted = self._pending
        self._is_stale = True
        self.size_bytes += len(text.encode())

    def note(self, event: ChatEvent) -> None:
        """Take in what else the upstream says."""
        match event:
            case UsageReport(usage):
                self._reported, self._is_stale = usage, False
            case Finished(reason):
                self.finish_reason = reason if reason in FINISH_REASONS else "stop"
            case TextDelta():
                raise AssertionError("text is delivered, not noted")

    def name_the_end(self, *, is_short_of_credits: bool) -> None:
        """An answer cut at what the balance pays for ended for want of credits, not for its length."""
        reason = self.finish_reason or "stop"
        self.finish_reason = CREDIT_LIMIT if reason == "length" and is_short_of_credits else reason

    def _price(self, usage: Usage) -> Micro:
        return self._plan.rate.price(usage.within(self._plan.prompt.output_at_most))

    def _counted_usage(self, counted: int, pieces: int) -> Usage:
        usage = self._reported or Usage(input_tokens=self._plan.prompt.input_expected, output_tokens=0)
        return replace(usage, output_tokens=max(usage.output_tokens, self._scaled(counted, pieces)))

    def _scaled(self, counted: int, pieces: int) -> int:
        """Our count as the model's tokens.

        Before anything is known of the model, a piece is taken for a token, as most upstreams send them, within half
        and all of what we count: a count that runs high would end answers that the balance pays for. Not so one that
        comes in one piece.
        """
        if self._plan.forecast.scale is not None:
            return ceil(counted * self._plan.forecast.scale)
        if self._plan.is_whole:
            return counted
        return _cautious(counted, pieces)


def _cautious(counted: int, pieces: int) -> int:
    """Tokens of which there are hardly fewer: as many as pieces, within half and all of what we count."""
    return min(counted, max(pieces, counted // 2))
