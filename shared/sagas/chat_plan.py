"""Planning a turn: which model, what prompt, at what price, and how much to hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.ai.conversations import CONTENT_BYTES_MAX, Conversation, Conversations, Message
from shared.ai.expectation import Expectation
from shared.ai.models import Catalogue, Model
from shared.ai.ports import ChatRequest, PromptMessage
from shared.ai.preferences import Preferences
from shared.ai.prompt import Prompt, build_prompt
from shared.ai.tariff import Tariff
from shared.ai.tokens import Usage
from shared.kernel.clock import Clock, Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.kernel.meanwhile import Meanwhile
from shared.sagas.chat_answer import Estimate, TurnRequest
from shared.sagas.metered import Metered, forecast

Said = Callable[[], Sequence[Message]]
Preferred = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Metered):
    """A turn as decided before anything happens."""

    request: TurnRequest
    conversation: Conversation
    asked_at: Millis
    price: Mapping[str, str]

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
        _check_asked(request.content, request.max_output_tokens)
        limit = request.max_output_tokens
        conversation, said, preferred = self._read(request.uid, request.conversation_id, request.model)
        model = self._catalogue.chat(request.model or conversation.model or preferred())
        prompt = _prompt(model, said(), conversation.system_prompt, request.content, limit)
        return Plan(
            request=request,
            conversation=conversation,
            model=model,
            rate=self._tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self._expectation, model, prompt, limit),
            asked_at=self._clock.now(),
            price=_price_snapshot(model, self._tariff),
        )

    def _read(self, uid: Uid, conversation_id: str, asked: str | None) -> tuple[Conversation, Said, Preferred]:
        """The conversation; what was said in it and which model the user prefers are read meanwhile."""
        said = Meanwhile(lambda: self._conversations.history(conversation_id))
        preferred = None if asked else Meanwhile(lambda: self._preferred(uid))
        conversation = self._conversations.get(uid, conversation_id)
        return conversation, said.result, preferred.result if preferred else lambda: self._preferred(uid)

    def _preferred(self, uid: Uid) -> str:
        """The model for a user whose request and conversation name none: what they chose, else the setting."""
        return self._preferences.get(uid)["chat_model"] or self._default_model

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
        _check_asked(content, max_output_tokens)
        said: Sequence[Message] = ()
        if conversation_id:
            conversation, history, preferred = self._read(uid, conversation_id, model)
            model = model or conversation.model or preferred()
            said, system_prompt = history(), conversation.system_prompt
        chosen = self._catalogue.chat(model or self._preferred(uid))
        prompt = _prompt(chosen, said, system_prompt, content, max_output_tokens)
        rate = self._tariff.rate(chosen)
        expected = forecast(self._expectation, chosen, prompt, max_output_tokens).output_tokens
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


def _prompt(model: Model, said: Sequence[Message], system: str | None, content: str, limit: int | None) -> Prompt:
    history = (PromptMessage(role=message.role, content=message.content) for message in said if message.content)
    return build_prompt(model, system=system, history=history, content=content, max_output_tokens=limit)


def _price_snapshot(model: Model, tariff: Tariff) -> dict[str, str]:
    return {
        "version": str(model.price_version),
        "input_usd_per_mtok": str(model.price_texts[0]),
        "output_usd_per_mtok": str(model.price_texts[1]),
        "credits_per_usd": str(tariff.credits_per_usd),
        "markup_percent": str(tariff.markup_percent),
    }


def _check_asked(content: str, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InvalidValue("max_output_tokens", "must be at least 1")
    try:
        size = len(content.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue("content", "must be valid Unicode") from error
    if not content.strip() or size > CONTENT_BYTES_MAX:
        raise InvalidValue("content", f"must be text of at most {CONTENT_BYTES_MAX} bytes")
