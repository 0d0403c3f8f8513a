"""Planning of a turn: the model, the prompt, the price, and the amount to hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.memory import Due, Memory, due, recalled
from shared.ai.chat.messages import CONTENT_BYTES_MAX, Message
from shared.ai.chat.recollection import RecentIds
from shared.ai.chat.tail import SystemCount, Tail, digest_of
from shared.ai.models.catalogue import AUTO, Model
from shared.ai.models.choice import Needs
from shared.ai.models.expectation import Expectation
from shared.ai.models.offer import price_tag
from shared.ai.models.preferences import Preferences, PreferredModels, preferences_path, preferred_of
from shared.ai.models.prompt import Prompt, build_prompt
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatRequest
from shared.ai.tokens import Usage, counted_prompt, expected_tokens
from shared.kernel.clock import Clock, Millis
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid
from shared.sagas.chat.answer import TurnRequest
from shared.sagas.metering.estimate import Estimate
from shared.sagas.metering.model_choice import Chooser
from shared.sagas.metering.plan import MeteredPlan, forecast

Said = Callable[[], Sequence[Message]]
Prefers = Callable[[], PreferredModels]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan(MeteredPlan):
    """The plan of one turn: the conversation as read, the model and its price, and the prompt.

    Nothing is charged yet.
    """

    request: TurnRequest
    conversation: Conversation
    said: Sequence[Message]
    """Messages of the conversation before this turn, newest first."""
    asked_at: Millis
    price: Mapping[str, str]
    due: Due | None = None
    """Summary to make before the turn, so that the model knows the whole conversation; None if no summary is due."""
    unsettled: Message | None = None
    """Stored summary that may not be paid for yet; None if all are paid."""
    content_tokens: int | None = None
    """Expected tokens of the new message."""
    system: SystemCount | None = None
    """Expected tokens of the system prompt; None without a system prompt."""

    def asked(self, output_cap: int, *, is_whole: bool) -> ChatRequest:
        """Return the request that goes to the model provider, for at most `output_cap` tokens."""
        return ChatRequest(
            model=self.model.upstream_model,
            messages=self.prompt.messages,
            max_output_tokens=output_cap,
            is_reasoning=self.model.is_reasoning,
            upstream=self.model.upstream,
            is_whole=is_whole,
            end_user=self.request.end_user,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelContent:
    """Content for a model, before the model is chosen. Each text is counted once."""

    system: str | None
    memory: Memory
    content: str
    counts: "_Counts"

    def needs(self) -> Needs:
        """Return the needs of this content, for the choice of a model."""
        least = self.counts.needed
        return Needs(least_tokens=least, whole_tokens=least + self.memory.tokens)

    def due(self, model: Model) -> Due | None:
        """Return the summary to make before this model gets the content; None if everything fits."""
        return due(self.memory, model, needed=self.counts.needed)

    def prompt(self, model: Model, limit: int | None) -> Prompt:
        """Build the prompt of the content for this model."""
        return build_prompt(
            model,
            system=self.system,
            history=self.memory.history(),
            content=self.content,
            max_output_tokens=limit,
            needed=self.counts.needed,
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    """Expected tokens of the new message, and of the system prompt; None without a system prompt."""

    content: int
    system: SystemCount | None

    @property
    def needed(self) -> int:
        """The expected tokens of a prompt without history."""
        return counted_prompt([self.content, *([] if self.system is None else [self.system.tokens])])


class Planner:
    """Decides a turn from stored data. A plan changes nothing, except that a conversation gets the present form."""

    def __init__(
        self,
        chooser: Chooser,
        tariff: Tariff,
        conversations: ConversationStore,
        preferences: Preferences,
        expectation: Expectation,
        clock: Clock,
    ) -> None:
        self._chooser = chooser
        self._tariff = tariff
        self._conversations = conversations
        self._preferences = preferences
        self._clock = clock
        self._expectation = expectation
        self._open = RecentIds()

    def plan(self, request: TurnRequest, failed: Sequence[str] = ()) -> TurnPlan:
        """Return the plan of the turn for `request`; the models in `failed` were tried before.

        Raises as `ChatTurn.run` does.
        """
        _check_asked(request.content, request.max_output_tokens)
        limit = request.max_output_tokens
        conversation, history, preferred = self._read(request.uid, request.conversation_id, request.model)
        if conversation.is_behind:
            self._conversations.move(request.uid, request.conversation_id)
            conversation, history, preferred = self._read(request.uid, request.conversation_id, request.model)
        said = history()
        told = _told(said, conversation.system_prompt, request.content, conversation.tail)
        named = request.model or conversation.model
        chosen = self._chooser.choose(named, preferred, told.needs, limit=limit, failed=failed)
        model, prompt = chosen.model, told.prompt(chosen.model, limit)
        return TurnPlan(
            request=request,
            conversation=conversation,
            said=said,
            model=model,
            rate=self._tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self._expectation, model, prompt, limit, uid=request.uid),
            reason=chosen.reason,
            others=chosen.others,
            cost_max=chosen.cost_max,
            due=told.due(model),
            unsettled=told.memory.unsettled,
            asked_at=self._clock.now(),
            content_tokens=told.counts.content,
            system=told.counts.system,
            price=_price_snapshot(model, self._tariff),
        )

    def _read(self, uid: Uid, conversation_id: str, asked: str | None) -> tuple[Conversation, Said, Prefers]:
        """Read the conversation with its last messages, and the user's preferences, in one round trip.

        A window that is larger than the tail takes a second round trip, unless this instance recalls it. So do the
        preferences, unless this instance remembers that neither the user nor the conversation names a model.
        """
        is_open = asked == AUTO or (asked is None and conversation_id in self._open)
        paths = [preferences_path(uid)] if is_open else []
        conversation, beside = self._conversations.get_to_continue(uid, conversation_id, paths)
        if conversation.model in {None, AUTO}:
            self._open.add(conversation_id)
        return (
            conversation,
            lambda: self._conversations.recall(conversation),
            lambda: preferred_of(beside[0]) if beside else self._preferences.get(uid),
        )

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
        """Return the estimated cost (µcr) of this message, in this conversation or in a new one.

        Raises as `plan` does.
        """
        _check_asked(content, max_output_tokens)
        said: Sequence[Message] = ()
        tail: Tail | None = None
        preferred: Prefers = lambda: self._preferences.get(uid)  # noqa: E731  # what `_read` gives in its place
        if conversation_id:
            conversation, history, preferred = self._read(uid, conversation_id, model)
            model, said, system_prompt = model or conversation.model, history(), conversation.system_prompt
            tail = conversation.tail
        told = _told(said, system_prompt, content, tail)
        chosen = self._chooser.choose(model, preferred, told.needs, limit=max_output_tokens)
        prompt = told.prompt(chosen.model, max_output_tokens)
        rate = self._tariff.rate(chosen.model)
        expected = forecast(self._expectation, chosen.model, prompt, max_output_tokens, uid=uid).output_tokens
        return Estimate(
            model=chosen.model.id,
            model_reason=chosen.reason,
            price_version=chosen.model.price_version,
            input_tokens_at_most=prompt.input_at_most,
            output_tokens_at_most=prompt.output_at_most,
            ceiling=prompt.ceiling(rate),
            input_tokens_expected=prompt.input_expected,
            output_tokens_expected=expected,
            expected=rate.price(Usage(input_tokens=prompt.input_expected, output_tokens=expected)),
        )


def _told(said: Sequence[Message], system: str | None, content: str, tail: Tail | None) -> _ModelContent:
    counts = _Counts(expected_tokens(content), _system_count(system, None if tail is None else tail.system))
    return _ModelContent(system=system, memory=recalled(said), content=content, counts=counts)


def _system_count(system: str | None, known: SystemCount | None) -> SystemCount | None:
    """Return the count of the system prompt: the stored count, if that is of the same text."""
    if not system:
        return None
    digest = digest_of(system)
    return known if known is not None and known.digest == digest else SystemCount(digest, expected_tokens(system))


def _price_snapshot(model: Model, tariff: Tariff) -> dict[str, str]:
    """Return the prices that a turn is charged at, in credits as its user sees them."""
    tag = price_tag(model, tariff)
    return {"version": str(model.price_version), **{name: text for name, text in tag.items() if isinstance(text, str)}}


def _check_asked(content: str, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InvalidValue("max_output_tokens", "must be at least 1")
    try:
        size = len(content.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue("content", "must be valid Unicode") from error
    if not content.strip() or size > CONTENT_BYTES_MAX:
        raise InvalidValue("content", f"must be text of at most {CONTENT_BYTES_MAX} bytes")
