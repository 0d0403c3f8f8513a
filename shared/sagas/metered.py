"""A metered call, as decided before anything happens: what is asked, at what price, and how much to hold for it."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from shared.ai.expectation import Expectation
from shared.ai.models import Model
from shared.ai.prompt import Prompt
from shared.ai.stop_requests import CallName
from shared.ai.tariff import Rate
from shared.ai.tokens import Usage
from shared.kernel.ids import OperationId, Uid
from shared.kernel.money import Micro
from shared.kernel.stopping import StopSignal
from shared.ledger.commands import BudgetClaim, CallBound

STEP_TOKENS_MIN = 16
STEPS_PER_ANSWER = 4
"""What grows by large steps keeps credits from others that need them now; what grows by small ones commits often."""
WHOLE_TOKENS_MAX = 1_024
"""An answer of more tokens is read as it comes, whoever waits for it: by then a hold wants to be renewed."""
GUESS_CAUTION = 2
"""So many times the guess is set aside for an answer of a model that nobody knows yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks, in whose name, and how. Without `is_streamed` nothing is delivered before the end, nor charged."""

    uid: Uid
    operation: OperationId
    fingerprint: str
    has_key: bool
    conversation_id: str = ""
    max_output_tokens: int | None = None
    is_streamed: bool = True
    principal: str = ""
    budgets: tuple[BudgetClaim, ...] = ()
    end_user: str = ""
    """The user's pseudonym for the model's provider; empty tells none."""
    request_id: str = ""
    """The call's X-Request-Id; empty for a call that nobody can name."""
    stop: StopSignal = field(default_factory=StopSignal, compare=False, repr=False)
    """Given once somebody asks this call to end."""

    @property
    def names(self) -> tuple[CallName, ...]:
        """What the call can be stopped by."""
        named = [CallName.of_conversation(self.conversation_id)] if self.conversation_id else []
        return (*named, CallName.of_request(self.request_id)) if self.request_id else tuple(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The expected length of the answer. `is_guess`: it is what the model's document says, and not what was seen."""

    output_tokens: int
    is_guess: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A call and its price. `rate` is the price snapshot: taken now, used to the end."""

    request: Asked
    model: Model
    rate: Rate
    prompt: Prompt
    forecast: Forecast
    reason: str | None = None
    """Why this model, where it was ours to choose."""
    others: int = 0
    """So many other models could be asked in its place, should its upstream fail before the first token."""
    cost_max: Micro | None = None
    """What the user wants to pay for it at most, where the model was ours to choose."""
    choices: int = 1
    """So many answers side by side: forecast, ceiling and limit are of all of them together."""

    @property
    def purpose(self) -> str:
        """What the revenue is for."""
        return self.model.kind

    @property
    def is_telling(self) -> bool:
        """Whether the length of the answer says something of the next one's."""
        return self.choices == 1 and self.prompt.output_at_most > 0

    @property
    def ceiling(self) -> Micro:
        """The most it can cost."""
        return self.prompt.ceiling(self.rate)

    def bound(self, output_cap: int) -> Micro:
        """The most it can have cost, if at most `output_cap` tokens were generated."""
        return self.rate.bound(self.prompt.input_at_most, output_cap)

    @property
    def is_held_whole(self) -> bool:
        """Whether all that it can cost is set aside at first: it was limited, or what it uses is seen by nobody."""
        return self.request.max_output_tokens is not None or self.has_hidden_output

    @property
    def has_hidden_output(self) -> bool:
        """Whether the provider bills output that nobody sees."""
        return self.model.is_reasoning or self.prompt.has_hidden_output

    @property
    def is_whole(self) -> bool:
        """Whether the answer may come in one piece: nobody reads along, and all that it can cost is held already."""
        is_short = self.prompt.output_at_most <= WHOLE_TOKENS_MAX
        return is_short and self.is_held_whole and not self.request.is_streamed

    @property
    def expected(self) -> Usage:
        """About what it will use."""
        return Usage(input_tokens=self.prompt.input_expected, output_tokens=self.forecast.output_tokens)

    @property
    def hold(self) -> Micro:
        """What is set aside at first; of a free model nothing, and yet there is a hold."""
        return self.ceiling if self.is_held_whole else self.rate.price(self.expected)

    @property
    def cautious_hold(self) -> Micro:
        """What is better set aside at first, if it is there: what is too little for many leaves all half-way."""
        if self.is_held_whole or not self.forecast.is_guess:
            return self.hold
        tokens = min(GUESS_CAUTION * self.forecast.output_tokens, self.prompt.output_at_most)
        return self.rate.price(replace(self.expected, output_tokens=tokens))

    def call(self, *, is_billed_to_its_end: bool) -> CallBound:
        """Return what the ledger keeps for this call beside its hold, at the price snapshot.

        That is the input's bound; and the output's, where the provider bills an answer that nobody reads to its end.
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
        """By how much the hold grows at a time."""
        tokens = max(STEP_TOKENS_MIN, self.forecast.output_tokens // STEPS_PER_ANSWER)
        return max(Micro(1), self.rate.output_price(tokens, input_tokens=self.prompt.input_expected))

    def output_cap(self, affordable: int) -> int:
        """What the upstream may generate: all that was asked for, as far as the balance pays for it."""
        limits = [] if self.is_held_whole else [affordable]
        if self.cost_max is not None:
            limits.append(self.cost_max)
        paid_for = self.rate.affordable_output(min(limits), self.prompt.input_expected) if limits else None
        return self.prompt.output_at_most if paid_for is None else max(1, min(paid_for, self.prompt.output_at_most))


AnyMetered = TypeVar("AnyMetered", bound=Metered)


def forecast(
    expectation: Expectation, model: Model, prompt: Prompt, limit: int | None, *, uid: Uid, choices: int = 1
) -> Forecast:
    """What is known of the model's answers by now, as far as this one may go. Who generates nothing is not asked."""
    most = prompt.output_at_most if limit is None else min(limit, prompt.output_at_most)
    if most == 0:
        return Forecast(output_tokens=0, is_guess=False)
    return Forecast(
        output_tokens=min(expectation.output_tokens(model, uid) * choices, most),
        is_guess=expectation.is_guess(model, uid),
    )


def expecting_anew(expectation: Expectation, plan: AnyMetered) -> AnyMetered:
    """Return the same call with what is known of the model's answers by now."""
    request = plan.request
    anew = forecast(
        expectation, plan.model, plan.prompt, request.max_output_tokens, uid=request.uid, choices=plan.choices
    )
    return replace(plan, forecast=anew)
