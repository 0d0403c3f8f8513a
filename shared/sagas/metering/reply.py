"""The growing reply of a turn: the delivered text, the upstream's reports, and the cost so far."""

from dataclasses import replace

from shared.ai.models.usage_report import later_usage
from shared.ai.ports import AnswerEnd, ChatEvent, HiddenDelta, TextDelta, UsageReport
from shared.ai.tokens import RunningCount, Usage, expected_tokens
from shared.kernel.clock import Millis
from shared.kernel.money import Micro
from shared.sagas.metering.ending import with_error, without_error
from shared.sagas.metering.plan import MeteredPlan

FINISH_REASONS = frozenset({"stop", "length", "content_filter", "tool_calls"})
CREDIT_LIMIT = "credit_limit"
DISCONNECTED = "disconnected"
FAILED = "error"
TIMED_OUT = "timeout"
STOPPED = "stopped"
SETTLING = "settling"
"""Status of an answer whose provider has not reported its usage yet."""
OVERRUN_FACTOR, OVERRUN_TOKENS = 2, 16
"""Bounds for the length of an answer, over the requested tokens: a factor, and tokens on top.

The platform pays for output beyond the request. Our count may be too high, but not by more than these bounds.
"""


class GrowingReply:
    """Counts delivered output locally until the upstream reports usage. Any report counts, even a report of zero.

    The charge is the reported usage, except for output beyond the request, which the user does not pay.
    """

    def __init__(self, plan: MeteredPlan) -> None:
        self._plan = plan
        self._pieces: list[str] = []
        self._hidden_pieces = 0
        self._count = RunningCount()
        self._pending = 0
        self._reported: Usage | None = None
        self._is_stale = True
        self._charge: Micro | None = None
        self._is_cautious = False
        self.is_touched = False
        """True once any event has come from the upstream."""
        self.is_finished = False
        """True once the upstream has said why the answer ended."""
        self.is_cut = False
        """True once the answer was cut, because no more text may be delivered."""
        self.settles_by: Millis | None = None
        """Time by which the charge is final, while the present charge is a maximum; None if the charge is final."""
        self.is_begun = False
        """True once a piece was delivered, even an empty one."""
        self.counted = 0
        self.size_bytes = 0
        self.finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The text that was delivered."""
        return "".join(self._pieces)

    @property
    def text_tokens(self) -> int:
        """The expected tokens of the delivered text. The count so far is used, unless hidden text was counted too."""
        text = self.text
        return self.counted if len(text) == self._count.characters else expected_tokens(text)

    @property
    def is_empty(self) -> bool:
        """True if no text was delivered."""
        return not self._pieces

    @property
    def _arrived(self) -> int:
        """The number of pieces that have arrived, delivered or not."""
        return len(self._pieces) + self._hidden_pieces

    @property
    def is_estimated(self) -> bool:
        """True if the upstream did not report its usage at the end."""
        return self._is_stale

    @property
    def is_ended(self) -> bool:
        """True if the upstream said that the answer is complete. A report of usage alone does not say so."""
        return self.finish_reason is not None

    @property
    def usage(self) -> Usage:
        """The reported usage, or else the counted usage, which is never less than the last report.

        At the end of an answer without a report, the usage is the count plus the error of counting.
        """
        if self._is_cautious and self._is_stale:
            return self._cautious_usage()
        if self._reported is not None and not self._is_stale:
            return self._reported
        return self._counted_usage(self.counted, self._arrived)

    @property
    def cost(self) -> Micro:
        """The cost so far (µcr), or the charge once the charge is fixed."""
        return self._price(self.usage) if self._charge is None else self._charge

    def charge(self, amount: Micro | None) -> None:
        """Fix the charge (µcr) independently of the count. If `amount` is None, the charge is open again."""
        self._charge, self._is_cautious = amount, amount is not None

    def charge_counted(self, *, at_most: Micro) -> None:
        """Fix the charge at the count plus the error of counting, but at most at `at_most` µcr."""
        self._is_cautious = True
        self._charge = min(at_most, self._price(self.usage))

    def overhear(self, event: ChatEvent) -> None:
        """Count an event that arrived and is not delivered.

        The provider has generated its text, and may bill the text.
        """
        if isinstance(event, TextDelta | HiddenDelta):
            self.counted, self._is_stale = self._count.add(event.text), True
        elif isinstance(event, UsageReport):
            self._reported, self._is_stale = later_usage(self._reported, event.usage), False
        elif isinstance(event, AnswerEnd):
            self.is_finished = True

    def cost_with(self, text: str) -> Micro:
        """Return the cost (µcr) once `text` is delivered. Call `deliver` or `pass_over` next, or neither."""
        self._pending = self._count.add(text)
        return self._price(self._counted_usage(self._pending, self._arrived + 1))

    @property
    def is_overrun(self) -> bool:
        """True if the answer, with the text counted last, is far longer than the request allowed."""
        tokens = _cautious(self._pending, self._arrived + 1)
        return tokens > OVERRUN_FACTOR * self._plan.prompt.output_at_most + OVERRUN_TOKENS

    def deliver(self, text: str) -> None:
        """Record that `text` goes to the client."""
        self.is_begun = self.is_touched = True
        self._pieces.append(text)
        self.counted = self._pending
        self._is_stale = True
        self.size_bytes += len(text.encode())

    def pass_over(self) -> None:
        """Add the text that was counted last and is not delivered."""
        self.is_touched = self._is_stale = True
        self._hidden_pieces += 1
        self.counted = self._pending

    def note(self, event: ChatEvent) -> None:
        """Record an event of the upstream other than text."""
        self.is_touched = True
        match event:
            case UsageReport(usage):
                self._reported, self._is_stale = later_usage(self._reported, usage), False
            case AnswerEnd(reason):
                self.finish_reason = reason if reason in FINISH_REASONS else "stop"
                self.is_finished = True
            case TextDelta() | HiddenDelta():
                raise AssertionError("text is counted, not noted")

    def name_the_end(self, *, is_short_of_credits: bool) -> None:
        """Set the final finish reason, `stop` by default.

        If the balance limited the answer, `length` becomes `credit_limit`.
        """
        reason = self.finish_reason or "stop"
        self.finish_reason = CREDIT_LIMIT if reason == "length" and is_short_of_credits else reason

    def _cautious_usage(self) -> Usage:
        """Return the most that the provider can have counted: our count plus its error, or more if more is reported."""
        prompt, counted = self._plan.prompt, with_error(max(self.counted, self._pending))
        reported = self._reported or Usage(
            input_tokens=min(prompt.input_at_most, with_error(prompt.input_expected)), output_tokens=0
        )
        return replace(reported, output_tokens=max(reported.output_tokens, counted))

    def _price(self, usage: Usage) -> Micro:
        return self._plan.rate.price(usage.within(self._plan.prompt.output_at_most))

    def _counted_usage(self, counted: int, pieces: int) -> Usage:
        usage = self._reported or Usage(input_tokens=self._plan.prompt.input_expected, output_tokens=0)
        return replace(usage, output_tokens=max(usage.output_tokens, self._output_so_far(counted, pieces)))

    def _output_so_far(self, counted: int, pieces: int) -> int:
        """Return the output tokens of an answer that is still growing.

        Most upstreams send one token per piece. So the number of pieces is used, as far as the error of our count
        allows. A count that is too high would end answers that the balance pays for. For an answer in one piece, the
        count is used.
        """
        return counted if self._plan.is_whole else min(counted, max(pieces, without_error(counted)))


def _cautious(counted: int, pieces: int) -> int:
    """Return a low estimate of tokens: the number of pieces, but at least half and at most all of the count."""
    return min(counted, max(pieces, counted // 2))
