"""A metered call, as decided before anything happens: the request, the price, and the size of the hold."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from shared.ai.models.catalogue import Model
from shared.ai.models.expectation import Expectation
from shared.ai.models.prompt import Prompt
from shared.ai.models.tariff import Rate
from shared.ai.tokens import Usage
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.kernel.stopping import StopSignal
from shared.ledger.commands import BudgetClaim, CallBound
from shared.sagas.metering.stop_requests import CallName

STEP_TOKENS_MIN = 16
STEPS_PER_ANSWER = 4
"""Number of hold steps per answer. Large steps keep credits from other calls; small steps commit often."""
WHOLE_TOKENS_MAX = 1_024
"""Most output tokens of an answer in one piece. A longer answer is streamed, so that the hold can be renewed."""
GUESS_CAUTION = 2
"""Factor by which the hold exceeds the guess, for an answer of a model that has no known lengths yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The request for a call: the user, the principal and the form of the answer.

    `conversation_id` is "" outside a conversation, `principal` is "" for the user, and `max_output_tokens` is None
    without a limit. Without `is_streamed` nothing is delivered or charged before the end.
    """

    uid: Uid
    operation: OperationId
    fingerprint: str = ""
    """Hash of the caller's request; empty for a call that only the backend makes under this operation."""
    has_key: bool
    conversation_id: str = ""
    max_output_tokens: int | None = None
    is_streamed: bool = True
    principal: str = ""
    budgets: tuple[BudgetClaim, ...] = ()
    end_user: str = ""
    """The user's pseudonym for the model's provider; empty if the provider gets none."""
    request_id: str = ""
    """The call's X-Request-Id; empty for a call without a name."""
    stop: StopSignal = field(default_factory=StopSignal, compare=False, repr=False)
    """Signal that is given once a user asks this call to end."""

    @property
    def names(self) -> tuple[CallName, ...]:
        """The names by which the call can be stopped."""
        named = [CallName.of_conversation(self.conversation_id)] if self.conversation_id else []
        return (*named, CallName.of_request(self.request_id)) if self.request_id else tuple(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The expected length of the answer. `is_guess`: the length is from the model's document, not from answers."""

    output_tokens: int
    is_guess: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredPlan:
    """A call, planned and not begun. `rate` is the price snapshot, which stays the same to the end of the call."""

    request: CallRequest
    model: Model
    rate: Rate
    prompt: Prompt
    forecast: Forecast
    reason: str | None = None
    """Reason for this model; None if the model was named."""
    others: int = 0
    """Number of other models that could be asked instead, should the upstream fail before the first token."""
    cost_max: Micro | None = None
    """Most µcr that the user wants to pay for the call, if the model was ours to choose; None for no limit."""
    choices: int = 1
    """Number of answers side by side. Forecast, ceiling and limit count all answers together."""

    @property
    def purpose(self) -> str:
        """The purpose of the revenue: the kind of the model."""
        return self.model.kind

    @property
    def is_telling(self) -> bool:
        """True if the length of this answer may be used to forecast the length of later answers."""
        return self.choices == 1 and self.prompt.output_at_most > 0

    @property
    def ceiling(self) -> Micro:
        """The most that the call can cost (µcr)."""
        return self.prompt.ceiling(self.rate)

    def bound(self, output_cap: int) -> Micro:
        """Return the most that the call can have cost (µcr), if at most `output_cap` tokens were generated."""
        return self.rate.bound(self.prompt.input_at_most, output_cap)

    @property
    def is_held_whole(self) -> bool:
        """True if the whole ceiling is held at first: the output is limited, or part of the usage is hidden."""
        return self.request.max_output_tokens is not None or self.has_hidden_output

    @property
    def has_hidden_output(self) -> bool:
        """True if the provider bills output that nobody sees."""
        return self.model.is_reasoning or self.prompt.has_hidden_output

    @property
    def is_whole(self) -> bool:
        """True if the answer may come in one piece, since no client reads a stream and the whole ceiling is held
        already.
        """
        is_short = self.prompt.output_at_most <= WHOLE_TOKENS_MAX
        return is_short and self.is_held_whole and not self.request.is_streamed

    @property
    def expected(self) -> Usage:
        """The expected usage."""
        return Usage(input_tokens=self.prompt.input_expected, output_tokens=self.forecast.output_tokens)

    @property
    def hold(self) -> Micro:
        """The amount of the first hold (µcr). A free model has a hold of nothing."""
        return self.ceiling if self.is_held_whole else self.rate.price(self.expected)

    @property
    def cautious_hold(self) -> Micro:
        """The amount of a larger first hold (µcr), for a balance that allows the amount.

        If many calls hold too little, all of them may stop half-way.
        """
        if self.is_held_whole or not self.forecast.is_guess:
            return self.hold
        tokens = min(GUESS_CAUTION * self.forecast.output_tokens, self.prompt.output_at_most)
        return self.rate.price(replace(self.expected, output_tokens=tokens))

    def call(self, *, is_billed_to_its_end: bool) -> CallBound:
        """Return the bounds that the ledger stores for this call beside the hold, at the price snapshot.

        The input always has a bound. The output has a bound if the provider bills an answer that nobody reads to the
        end.
        """
        prompt, rate = self.prompt, self.rate
        input_at_most = rate.bound(prompt.input_at_most, 0)
        expected = rate.price(Usage(input_tokens=prompt.input_expected, output_tokens=0))
        is_output_bounded = is_billed_to_its_end and not self.is_held_whole
        return CallBound(
            input_held=input_at_most if self.is_held_whole else expected,
            input_at_most=input_at_most,
            at_most=self.ceiling,
            output_at_most=rate.output_bound(prompt.output_at_most, input_tokens=prompt.input_at_most)
            if is_output_bounded
            else None,
        )

    @property
    def step(self) -> Micro:
        """The amount by which the hold grows at a time (µcr)."""
        tokens = max(STEP_TOKENS_MIN, self.forecast.output_tokens // STEPS_PER_ANSWER)
        return max(Micro(1), self.rate.output_price(tokens, input_tokens=self.prompt.input_expected))

    def output_cap(self, affordable: int) -> int:
        """Return the output tokens that the upstream may generate: the requested number, as far as the balance pays."""
        limits = [] if self.is_held_whole else [affordable]
        if self.cost_max is not None:
            limits.append(self.cost_max)
        paid_for = self.rate.affordable_output(min(limits), self.prompt.input_expected) if limits else None
        return self.prompt.output_at_most if paid_for is None else max(1, min(paid_for, self.prompt.output_at_most))


AnyMetered = TypeVar("AnyMetered", bound=MeteredPlan)


def forecast(
    expectation: Expectation, model: Model, prompt: Prompt, limit: int | None, *, uid: Uid, choices: int = 1
) -> Forecast:
    """Return the expected length of the answer, at most `limit`. If no output is possible, expect none."""
    most = prompt.output_at_most if limit is None else min(limit, prompt.output_at_most)
    if most == 0:
        return Forecast(output_tokens=0, is_guess=False)
    return Forecast(
        output_tokens=min(expectation.output_tokens(model, uid) * choices, most),
        is_guess=expectation.is_guess(model, uid),
    )


def expecting_anew(expectation: Expectation, plan: AnyMetered) -> AnyMetered:
    """Return the same plan with a new forecast of the answer's length, since more answers were seen meanwhile."""
    request = plan.request
    anew = forecast(
        expectation, plan.model, plan.prompt, request.max_output_tokens, uid=request.uid, choices=plan.choices
    )
    return replace(plan, forecast=anew)
