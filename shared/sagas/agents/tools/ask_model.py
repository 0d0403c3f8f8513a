"""`ask_model`: put a sub-question to another model, with a hold before the call and a charge for the usage."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.ai.models.catalogue import Catalogue, Model, ModelNotFound, ModelUnpriced
from shared.ai.models.profiles import UpstreamProfile, UpstreamProfiles
from shared.ai.models.prompt import ContextTooLong, Prompt, build_prompt
from shared.ai.models.tariff import Rate, Tariff
from shared.ai.models.usage_report import later_usage
from shared.ai.ports import (
    AnswerEnd,
    ChatEvent,
    ChatModel,
    ChatRequest,
    HiddenDelta,
    TextDelta,
    UpstreamRejected,
    UpstreamUnavailable,
    UsageReport,
)
from shared.ai.tokens import Usage, expected_tokens
from shared.kernel.clock import Clock
from shared.kernel.errors import DomainError
from shared.kernel.ids import ID_CHARACTERS_MAX
from shared.kernel.money import Micro
from shared.ledger.losses import Losses
from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import (
    OBSERVATION_CHARACTERS_MAX,
    Observation,
    Tool,
    ToolFailed,
    ToolUse,
    text_field,
    whole_field,
)
from shared.sagas.metering.call_cost import CallCost
from shared.sagas.metering.call_losses import CallLosses
from shared.sagas.metering.ending import Ending, Sight, ending_of, with_error
from shared.sagas.metering.reading import AnswerReading, EndOfAnswer, Silence

QUESTION_CHARACTERS_MAX = 20_000
OUTPUT_TOKENS_MAX = 2_000
OUTPUT_TOKENS_LEAST = 32
ANSWER_SECONDS_MAX = 100.0
LOOK_SECONDS = 0.5
"""Seconds between two looks at the clock while a model is silent, so that silence ends at the time limit, too."""


class AskModel:
    """The tool `ask_model`. The other model has no tools, and sees the question only."""

    name = "ask_model"
    description = (
        "Ask another language model one self-contained question. It knows nothing of this task but what you write. "
        "Costs credits of this task's budget."
    )
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "question": text_field(
                "The whole question, with everything that is needed to answer it", QUESTION_CHARACTERS_MAX
            ),
            "model": text_field("Which model; by default the task's own", ID_CHARACTERS_MAX),
            "max_output_tokens": whole_field("The longest answer", 1, OUTPUT_TOKENS_MAX),
        },
        "required": ["question"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        catalogue: Catalogue,
        tariff: Tariff,
        chat_model: ChatModel,
        clock: Clock,
        *,
        profiles: UpstreamProfiles | None = None,
        losses: Losses | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._chat_model = chat_model
        self._clock = clock
        self._profiles = profiles or UpstreamProfiles({})
        self._losses = CallLosses(losses)

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        model = self._model(arguments.get("model", use.default_model))
        wanted = min(int(arguments.get("max_output_tokens", OUTPUT_TOKENS_MAX)), model.max_output_tokens)
        try:
            prompt = build_prompt(
                model, system=None, history=(), content=arguments["question"], max_output_tokens=wanted
            )
        except ContextTooLong as error:
            raise ToolFailed(error.code, error.detail) from error
        rate = self._tariff.rate(model)
        cost = CallCost.of(
            rate,
            input_expected=prompt.input_expected,
            input_at_most=prompt.input_at_most,
            output_least=OUTPUT_TOKENS_LEAST,
            output_at_most=prompt.output_at_most,
        )
        held = use.hold(model, cost)
        input_tokens = prompt.input_at_most if held >= cost.least_bound else prompt.input_expected
        paid_for = rate.affordable_output(held, input_tokens)
        cap = prompt.output_at_most if paid_for is None else max(1, min(paid_for, prompt.output_at_most))
        request = ChatRequest(
            model=model.upstream_model,
            messages=prompt.messages,
            max_output_tokens=cap,
            is_reasoning=model.is_reasoning,
            upstream=model.upstream,
            end_user=use.end_user,
        )
        heard = self._heard(request)
        bill = _Bill(rate=rate, prompt=prompt, held=held, cap=cap)
        if heard.error is not None:
            return self._failed(use, model, bill, heard.error)
        charge, usage = bill.of(heard, model, self._profiles.of(model.upstream))
        return Observation(text=heard.text[:OBSERVATION_CHARACTERS_MAX], cost=charge, usage=usage)

    def _failed(self, use: ToolUse, model: Model, bill: "_Bill", error: DomainError) -> Observation:
        """Answer for a provider that failed: free, unless too many calls of this user have failed."""
        usage = bill.unsaid
        cost = bill.price(usage)
        if not self._losses.is_failure_charged(
            use.uid, error, call=use.operation, model=model.id, principal=use.uid, amount=cost
        ):
            raise ToolFailed(error.code, error.detail) from error
        return Observation(text=f"{error.code}: {error.detail}", cost=cost, usage=usage, failure=error.code)

    def _model(self, model_id: str) -> Model:
        try:
            return self._catalogue.chat(model_id)
        except (ModelNotFound, ModelUnpriced) as error:
            names = ", ".join(model.id for model in self._catalogue.enabled() if model.kind == "chat")
            raise ToolFailed(error.code, f"{error.detail} There are: {names}.") from error

    def _heard(self, request: ChatRequest) -> "_HeardAnswer":
        """Ask the model and collect the answer for ANSWER_SECONDS_MAX at most, also if the model is silent."""
        heard, until = _HeardAnswer(), self._clock.monotonic() + ANSWER_SECONDS_MAX
        with AnswerReading(self._chat_model.stream(request)) as reading:
            while not isinstance(event := reading.next(LOOK_SECONDS), EndOfAnswer):
                if not isinstance(event, Silence):
                    heard.note(event)
                if self._clock.monotonic() >= until:
                    for late in reading.rest():
                        heard.note(late)
                    return heard
        if isinstance(event.error, UpstreamRejected | UpstreamUnavailable):
            heard.error = event.error
        elif event.error is not None:
            raise event.error
        elif not heard.is_over:
            heard.error = UpstreamUnavailable(has_begun=True)
        return heard


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    return AskModel(
        parts.catalogue, parts.tariff, parts.chat_model, parts.clock, profiles=parts.profiles, losses=parts.losses
    )


class _HeardAnswer:
    """An answer as far as received."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._hidden: list[str] = []
        self._reported: Usage | None = None
        self.usage: Usage | None = None
        self.error: UpstreamRejected | UpstreamUnavailable | None = None
        self.is_over = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def generated(self) -> str:
        """The whole generated output: the text and the hidden parts."""
        return "".join([*self._pieces, *self._hidden])

    def note(self, event: ChatEvent) -> None:
        """Record an event. Text after a usage report makes that report stale."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text.encode("utf-8", "replace").decode())
            self.usage = None
        elif isinstance(event, HiddenDelta):
            self._hidden.append(event.text)
            self.usage = None
        elif isinstance(event, UsageReport):
            self.usage = self._reported = later_usage(self._reported, event.usage)
        elif isinstance(event, AnswerEnd):
            self.is_over = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bill:
    """The cost of a question. `held` µcr are set aside for the question, and the answer has at most `cap` tokens."""

    rate: Rate
    prompt: Prompt
    held: Micro
    cap: int

    def of(self, heard: _HeardAnswer, model: Model, profile: UpstreamProfile) -> tuple[Micro, Usage]:
        """Return the charge (µcr) and the usage that is charged; see `metering.ending`. Nobody reads on."""
        sight = Sight(
            is_over=heard.is_over,
            is_readable=False,
            is_reported=heard.usage is not None,
            has_hidden_output=model.is_reasoning,
        )
        counted = replace(self.unsaid, output_tokens=with_error(expected_tokens(heard.generated)))
        match ending_of(sight, profile):
            case Ending.REPORTED if heard.usage is not None:
                return self.rate.price(heard.usage.within(self.cap)), heard.usage
            case Ending.COUNTED:
                usage = heard.usage or counted
                return self.price(usage), usage
            case _:
                return min(self.held, self.rate.bound(self.prompt.input_at_most, self.cap)), counted

    def price(self, usage: Usage) -> Micro:
        """Return the price of this usage (µcr), at most the held amount."""
        return min(self.held, self.rate.price(usage.within(self.cap)))

    @property
    def unsaid(self) -> Usage:
        """The usage of a question that got no output: the input only."""
        counted = with_error(self.prompt.input_expected)
        return Usage(input_tokens=min(self.prompt.input_at_most, counted), output_tokens=0)
