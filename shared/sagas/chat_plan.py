"""Planning a turn: which model, what prompt, at what price, and how much to hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.ai.conversations import CONTENT_BYTES_MAX, Conversation, Conversations
from shared.ai.expectation import Expectation
from shared.ai.models import Catalogue, Model
from shared.ai.ports import ChatRequest, PromptMessage
from shared.ai.preferences import Preferences
from shared.ai.prompt import Prompt, build_prompt
from shared.ai.tariff import Rate, Tariff
from shared.ai.tokens import Usage
from shared.kernel.clock import Clock, Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.sagas.chat_answer import Estimate, TurnRequest

STEP_TOKENS_MIN = 16
STEPS_PER_ANSWER = 4
"""What grows by large steps keeps credits from others that need them now; what grows by small ones commits often."""
GUESS_CAUTION = 2
"""So many times the guess is set aside for an answer of a model that nobody knows yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A turn as decided before anything happens. `rate` is the price snapshot."""

    request: TurnRequest
    conversation: Conversation
    model: Model
    rate: Rate
    prompt: Prompt
    ceiling: Micro
    is_held_whole: bool
    output_expected: int
    is_guess: bool
    """Whether `output_expected` is what the model's document says, and not what was seen."""
    scale: Fraction | None
    """How many of the model's tokens make one of those we count; None if nobody knows yet."""
    asked_at: Millis
    price: Mapping[str, str]

    @property
    def expected(self) -> Usage:
        """About what it will use."""
        return Usage(input_tokens=self.prompt.input_expected, output_tokens=self.output_expected)

    @property
    def hold(self) -> Micro:
        """What is set aside at first; of a free model nothing, and yet there is a hold."""
        return self.ceiling if self.is_held_whole else self.rate.price(self.expected)

    @property
    def cautious_hold(self) -> Micro:
        """What is better set aside at first, if it is there: what is too little for many leaves all half-way."""
        if self.is_held_whole or not self.is_guess:
            return self.hold
        tokens = min(GUESS_CAUTION * self.output_expected, self.prompt.output_at_most)
        return self.rate.price(replace(self.expected, output_tokens=tokens))

    @property
    def step(self) -> Micro:
        """By how much the hold grows at a time."""
        tokens = max(STEP_TOKENS_MIN, self.output_expected // STEPS_PER_ANSWER)
        return max(Micro(1), self.rate.price(Usage(input_tokens=0, output_tokens=tokens)))

    def output_cap(self, affordable: int) -> int:
        """What the upstream may generate: all that was asked for, as far as the balance pays for it."""
        paid_for = None if self.is_held_whole else self.rate.affordable_output(affordable, self.prompt.input_expected)
        return self.prompt.output_at_most if paid_for is None else max(1, min(paid_for, self.prompt.output_at_most))

    def asked(self, output_cap: int) -> ChatRequest:
        """What the upstream is asked."""
        return ChatRequest(
            model=self.model.upstream_model,
            messages=self.prompt.messages,
            max_output_tokens=output_cap,
            is_reasoning=self.model.is_reasoning,
        )


class Planner:
    """Decides a turn from what is stored. It changes nothing."""

    def __init__(
        self,
        catalogue: Catalogue,
        tariff: Tariff,
        conversations: Conversations,
        preferences: Preferences,
        expectation: Expectation,
        clock: Clock,
        *,
        default_model: str,
    ) -> None:
        self._catalogue = catalogue
        self._tariff = tariff
        self._conversations = conversations
        self._preferences = preferences
        self._clock = clock
        self._default_model = default_model
        self._expectation = expectation

    def plan(self, request: TurnRequest) -> Plan:
        """The turn that `request` asks for. Raises as `ChatTurn.run` does before its hold."""
        _check_content(request.content)
        conversation = self._conversations.get(request.uid, request.conversation_id)
        model = self._model_for(request.uid, request.model, conversation)
        limit = request.max_output_tokens
        prompt = self._prompt(model, conversation, conversation.system_prompt, request.content, limit)
        rate = self._tariff.rate(model)
        return Plan(
            request=request,
            conversation=conversation,
            model=model,
            rate=rate,
            prompt=prompt,
            ceiling=prompt.ceiling(rate),
            is_held_whole=limit is not None or model.is_reasoning,
            output_expected=self._expected(model, prompt, limit),
            is_guess=self._expectation.is_guess(model),
            scale=self._expectation.scale(model),
            asked_at=self._clock.now(),
            price=_price_snapshot(model, self._tariff),
        )

    def expecting_anew(self, plan: Plan) -> Plan:
        """The same turn, with what is known of the model's answers by now."""
        return replace(
            plan,
            output_expected=self._expected(plan.model, plan.prompt, plan.request.max_output_tokens),
            is_guess=self._expectation.is_guess(plan.model),
        )

    def _model_for(self, uid: Uid, asked: str | None, conversation: Conversation | None) -> Model:
        """What the request says, else the conversation, else the user, else the setting."""
        chosen = asked or (conversation.model if conversation else None) or self._preferences.get(uid)["chat_model"]
        return self._catalogue.chat(chosen or self._default_model)

    def _prompt(
        self, model: Model, conversation: Conversation | None, system: str | None, content: str, limit: int | None
    ) -> Prompt:
        if limit is not None and limit < 1:
            raise InvalidValue("max_output_tokens", "must be at least 1")
        said = self._conversations.history(conversation.id) if conversation else ()
        history = (PromptMessage(role=message.role, content=message.content) for message in said if message.content)
        return build_prompt(model, system=system, history=history, content=content, max_output_tokens=limit)

    def _expected(self, model: Model, prompt: Prompt, limit: int | None) -> int:
        return min(self._expectation.output_tokens(model), prompt.output_at_most, limit or prompt.output_at_most)

    def estimate(
        self,
        uid: Uid,
        *,
        content: str,
        model: str | None = None,
        conversation_id: str | None = None,
        system_prompt: str | None = None,
        max_output_tokens: int | None = None,
    ) -> Estimate:
        """What this message would cost, in this conversation or in a new one. Raises as `plan` does."""
        _check_content(content)
        conversation = self._conversations.get(uid, conversation_id) if conversation_id else None
        chosen = self._model_for(uid, model, conversation)
        system = conversation.system_prompt if conversation else system_prompt
        prompt = self._prompt(chosen, conversation, system, content, max_output_tokens)
        rate = self._tariff.rate(chosen)
        expected = self._expected(chosen, prompt, max_output_tokens)
        return Estimate(
            model=chosen.id,
            price_version=chosen.price_version,
            input_tokens_at_most=prompt.input_at_most,
            output_tokens_at_most=prompt.output_at_most,
            ceiling=prompt.ceiling(rate),
            input_tokens_expected=prompt.input_expected,
            output_tokens_expected=expected,
            expected=rate.price(Usage(input_tokens=prompt.input_expected, output_tokens=expected)),
        )

    def learn(self, plan: Plan, *, reported: int, counted: int) -> None:
        """An answer ended by itself and was this long."""
        self._expectation.learn(plan.model, reported=reported, counted=counted)


def _price_snapshot(model: Model, tariff: Tariff) -> dict[str, str]:
    return {
        "version": str(model.price_version),
        "input_usd_per_mtok": str(model.price_texts[0]),
        "output_usd_per_mtok": str(model.price_texts[1]),
        "credits_per_usd": str(tariff.credits_per_usd),
        "markup_percent": str(tariff.markup_percent),
    }


def _check_content(content: str) -> None:
    try:
        size = len(content.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue("content", "must be valid Unicode") from error
    if not content.strip() or size > CONTENT_BYTES_MAX:
        raise InvalidValue("content", f"must be text of at most {CONTENT_BYTES_MAX} bytes")
