"""`ask_model`: another model for a sub-question, held for before it is asked and charged for what it used."""

from collections.abc import Mapping
from typing import Any

from shared.ai.models import Catalogue, Model, ModelNotFound, ModelUnpriced
from shared.ai.ports import (
    ChatEvent,
    ChatModel,
    ChatRequest,
    TextDelta,
    UpstreamRejected,
    UpstreamUnavailable,
    UsageReport,
)
from shared.ai.prompt import ContextTooLong, build_prompt
from shared.ai.tariff import Tariff
from shared.ai.tokens import Usage, expected_tokens
from shared.kernel.clock import Clock
from shared.sagas.call_cost import CallCost
from shared.sagas.tools.tool import (
    OBSERVATION_CHARACTERS_MAX,
    Observation,
    ToolFailed,
    ToolUse,
    text_field,
    whole_field,
)

QUESTION_CHARACTERS_MAX = 20_000
OUTPUT_TOKENS_MAX = 2_000
OUTPUT_TOKENS_LEAST = 32
MODEL_ID_CHARACTERS_MAX = 200
ANSWER_SECONDS_MAX = 100.0


class AskModel:
    """See the module. The other model has no tools, and sees the question only."""

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
            "model": text_field("Which model; by default the task's own", MODEL_ID_CHARACTERS_MAX),
            "max_output_tokens": whole_field("The longest answer", 1, OUTPUT_TOKENS_MAX),
        },
        "required": ["question"],
        "additionalProperties": False,
    }

    def __init__(self, catalogue: Catalogue, tariff: Tariff, chat_model: ChatModel, clock: Clock) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._chat_model = chat_model
        self._clock = clock

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """See `Tool.use`."""
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
        held = use.hold(model.id, cost)
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
        text, usage = self._answer(request, prompt.input_expected)
        return Observation(text=text[:OBSERVATION_CHARACTERS_MAX], cost=rate.price(usage.within(cap)), usage=usage)

    def _model(self, model_id: str) -> Model:
        try:
            return self._catalogue.chat(model_id)
        except (ModelNotFound, ModelUnpriced) as error:
            names = ", ".join(model.id for model in self._catalogue.enabled() if model.kind == "chat")
            raise ToolFailed(error.code, f"{error.detail} There are: {names}.") from error

    def _answer(self, request: ChatRequest, input_expected: int) -> tuple[str, Usage]:
        """What it says, and what that used; counted here if it is not reported. What fails on the way costs nothing."""
        pieces: list[str] = []
        usage: Usage | None = None
        stream, until = self._chat_model.stream(request), self._clock.monotonic() + ANSWER_SECONDS_MAX
        try:
            for event in stream:
                usage = _noted(event, pieces) or usage
                if self._clock.monotonic() >= until:
                    break
        except (UpstreamRejected, UpstreamUnavailable) as error:
            raise ToolFailed(error.code, error.detail) from error
        finally:
            stream.close()
        text = "".join(pieces)
        return text, usage or Usage(input_tokens=input_expected, output_tokens=expected_tokens(text))


def _noted(event: ChatEvent, pieces: list[str]) -> Usage | None:
    if isinstance(event, TextDelta):
        pieces.append(event.text.encode("utf-8", "replace").decode())
    return event.usage if isinstance(event, UsageReport) else None
