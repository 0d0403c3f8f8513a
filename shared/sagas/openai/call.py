"""A call through the OpenAI routes: charged like a turn of a conversation, with the upstream's own JSON objects."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from shared.ai.models.catalogue import Catalogue
from shared.ai.models.end_user import replaced
from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.preferences import Preferences
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.models.tariff import Tariff
from shared.ai.openai.answers import AnswerNotKept, Answers, StoredAnswer
from shared.ai.openai.dialect import AnswerReader, Demand, Dialect, Transcript, as_text, asks_to_think
from shared.ai.openai.kept_responses import KeptResponse, KeptResponses
from shared.ai.openai.passthrough import Json, Passthroughs, RawStream
from shared.ai.ports import ChatEvent, ChatStream, PassedEvent, RawDelta, TextDelta, UpstreamUnavailable
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, Write
from shared.kernel.ids import derived_id
from shared.kernel.money import Micro, format_credits
from shared.kernel.waiting import WaitingRoom
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.sagas.metering.admission import Admission
from shared.sagas.metering.claims import Turn, TurnReceipt
from shared.sagas.metering.model_choice import Chooser, ChosenModel
from shared.sagas.metering.plan import CallRequest, MeteredPlan, forecast
from shared.sagas.metering.reading_on import ReadingOn
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import CREDIT_LIMIT, DISCONNECTED, FAILED, SETTLING, STOPPED, TIMED_OUT, GrowingReply
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.turn import PING_SECONDS, MeteredTurn, Run, TurnRecord

OUR_ENDS = frozenset({CREDIT_LIMIT, DISCONNECTED, STOPPED, TIMED_OUT})
"""Finish reasons that OpenAI has no word for. OpenAI clients see a cut at the length; `credits` gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """The input of a call whose answer later calls may refer to, and OpenAI's id of the response before, or None."""

    input: Sequence[Any]
    previous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIRequest(CallRequest):
    """A request in one of OpenAI's dialects."""

    dialect: Dialect
    model: str
    body: Json
    extras: frozenset[str] = frozenset()
    """Top-level fields that an operator named beside OpenAI's own."""
    extra_texts: tuple[Any, ...] = ()
    """Values of all fields that an operator named. These values count as input."""
    keeping: Keeping | None = None
    """Input to store for later calls; None if no later call may refer to the answer."""

    @property
    def demand(self) -> Demand:
        """The demand of the request. Raises InvalidValue for content that has no price in tokens."""
        own = {name: value for name, value in self.body.items() if name not in self.extras}
        demand = self.dialect.demand(own)
        return replace(
            demand,
            texts=(*demand.texts, *map(as_text, self.extra_texts)),
            has_hidden_output=demand.has_hidden_output or asks_to_think(self.body),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan(MeteredPlan):
    """The call as decided before anything happens, and the transcript of the growing answer."""

    request: OpenAIRequest
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Piece:
    """The next object of a streamed answer."""

    raw: Json


@dataclass(frozen=True, slots=True)
class Quiet:
    """A sign to the client that the model is silent but the connection is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIAnswer:
    """The end of a call: the whole answer, the objects that end the stream, and the cost and balance in µcr."""

    answer: Json
    tail: Sequence[Json]
    cost: int
    available: int


CallEvent: TypeAlias = Piece | Quiet | OpenAIAnswer


class OpenAICall(MeteredTurn[OpenAIRequest, CallPlan, CallEvent, StoredAnswer]):
    """The saga of an OpenAI call; see `MeteredTurn`."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        ledger: Ledger,
        catalogue: Catalogue,
        tariff: Tariff,
        expectation: Expectation,
        preferences: Preferences,
        answers: Answers,
        passthroughs: Passthroughs,
        documents: Documents,
        clock: Clock,
        default_model: str,
        admission: Admission | None = None,
        health: ModelHealth | None = None,
        calls: RunningCalls | None = None,
        ping_seconds: float = PING_SECONDS,
        profiles: UpstreamProfiles | None = None,
        reading_on: ReadingOn | None = None,
        losses: Losses | None = None,
        room: WaitingRoom | None = None,
        responses: KeptResponses | None = None,
    ) -> None:
        health = health or ModelHealth(clock)
        super().__init__(
            ledger=ledger,
            expectation=expectation,
            recovery=_Recovery(ledger, answers),
            health=health,
            documents=documents,
            clock=clock,
            ping_seconds=ping_seconds,
            profiles=profiles,
            reading_on=reading_on,
            losses=losses,
            room=room,
            admission=admission,
        )
        self._catalogue = catalogue
        self._tariff = tariff
        self._answers = answers
        self._passthroughs = passthroughs
        self._preferences = preferences
        self._chooser = Chooser(catalogue, tariff, expectation, health, default_model=default_model)
        self._calls = calls or RunningCalls(clock)
        self._responses = responses or KeptResponses(documents, clock)

    def run(self, request: OpenAIRequest) -> Generator[CallEvent, None, None]:
        """Yield the answer as it comes, then `OpenAIAnswer`; see `MeteredTurn.run`.

        Before the first event this may also raise ModelNotFound, ModelUnpriced, NoModelFits, ContextTooLong,
        InvalidValue, AnswerNotKept, and RequestRefused with the upstream's own words.
        """
        with self._calls.running(request.uid, request.principal, request.names, request.stop):
            yield from super().run(request)

    # See `MeteredTurn` ---------------------------------------------------------------------------------------------

    def _plan(self, request: OpenAIRequest, failed: Sequence[str]) -> CallPlan:
        dialect = request.dialect
        demand = request.demand
        chosen = self._chosen(request, demand, failed)
        model, prompt = chosen.model, demand.prompt(chosen.model)
        limit = None if demand.limit is None else demand.limit * demand.choices
        return CallPlan(
            request=replace(request, max_output_tokens=limit),
            model=model,
            rate=self._tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self._expectation, model, prompt, limit, uid=request.uid, choices=demand.choices),
            choices=demand.choices,
            reason=chosen.reason,
            others=chosen.others,
            cost_max=chosen.cost_max,
            transcript=dialect.transcript(request.body),
        )

    def _chosen(self, request: OpenAIRequest, demand: Demand, failed: Sequence[str]) -> ChosenModel:
        """Return the named model, or, for a chat dialect, the choice for `auto`."""
        if request.dialect.kind != "chat":
            return ChosenModel(model=self._catalogue.of_kind(request.dialect.kind, request.model))
        return self._chooser.choose(
            request.model,
            lambda: self._preferences.get(request.uid),
            lambda: demand.needs,
            limit=None if demand.limit is None else demand.limit * demand.choices,
            failed=failed,
        )

    def _open_stream(self, plan: CallPlan, output_cap: int, *, is_whole: bool) -> ChatStream:
        dialect, end_user = plan.request.dialect, plan.request.end_user
        body = dialect.sent(replaced(plan.request.body, end_user), plan.model, output_cap, is_whole=is_whole)
        stream = self._passthroughs.of(plan.model).ask(dialect.path, body, end_user)
        form = self._profiles.of(plan.model.upstream).usage_form
        return _Understood(stream, dialect.reader(plan.request.body, form))

    def _delivered(self, run: Run[CallPlan], event: TextDelta, text: str) -> Iterable[CallEvent]:
        assert isinstance(event, RawDelta), "every piece of text comes with what it came in"
        return self._pieces(run, event.raw)

    def _passed(self, run: Run[CallPlan], event: ChatEvent) -> Iterable[CallEvent]:
        return self._pieces(run, event.raw) if isinstance(event, PassedEvent) else ()

    def _silent(self) -> CallEvent:
        return Quiet()

    def _kept(self, run: Run[CallPlan], reply: GrowingReply) -> TurnRecord[StoredAnswer]:
        reason = reply.finish_reason or "stop"
        stored = StoredAnswer(
            answer=_told_by(run, reason, reply),
            finish_reason=reason,
            is_estimated=reply.is_estimated,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            model=run.plan.model.id,
            choice=run.plan.reason,
        )
        answer_id = derived_id("ans", run.claim.run)
        writes = [self._answers.kept(run.uid, answer_id, stored)] if _is_asked_for(run) else []
        return TurnRecord(id=answer_id, record=stored, writes=[*writes, *self._referable(run, stored)])

    def _referable(self, run: Run[CallPlan], stored: StoredAnswer) -> Sequence[Write]:
        """Return the writes that store the answer for later calls to refer to. A failed answer is not stored."""
        keeping = run.plan.request.keeping
        if keeping is None or stored.finish_reason == FAILED:
            return ()
        kept = KeptResponse(input=keeping.input, answer=stored.answer, previous_id=keeping.previous_id)
        return self._responses.kept(run.uid, kept)

    def _corrected(self, run: Run[CallPlan], record: StoredAnswer, cost: Micro, reply: GrowingReply) -> Sequence[Write]:
        """Build the writes that correct the usage of the stored answer. The delivered content stays unchanged."""
        told = _told_by(run, record.finish_reason, reply).get("usage")
        corrected = replace(
            record,
            answer={**record.answer, "usage": told},
            is_estimated=reply.is_estimated,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
        )
        answer_id, keeping = derived_id("ans", run.claim.run), run.plan.request.keeping
        writes: list[Write] = [self._answers.corrected(answer_id, corrected)] if _is_asked_for(run) else []
        if keeping is not None and record.finish_reason != FAILED:
            kept = KeptResponse(input=keeping.input, answer=corrected.answer, previous_id=keeping.previous_id)
            writes += self._responses.corrected(run.uid, kept)
        return writes

    def _ended(self, run: Run[CallPlan], record: StoredAnswer, settled: TurnReceipt) -> Iterable[CallEvent]:
        yield _answered(run.plan.request, record, settled, run.plan.transcript.told)

    def _replay(self, turn: Turn, request: OpenAIRequest) -> Iterator[CallEvent]:
        assert turn.settled is not None, "a turn that is done was settled"
        stored = self._answers.get(turn.uid, str(turn.message_id))
        pieces = list(request.dialect.pieces(stored.answer)) if request.is_streamed else []
        yield from map(Piece, pieces)
        if stored.finish_reason == FAILED:
            raise UpstreamUnavailable
        yield _answered(request, stored, turn.settled, len(pieces))

    def _pieces(self, run: Run[CallPlan], raw: Json) -> Iterator[CallEvent]:
        shown = run.plan.transcript.take(raw)
        if shown is not None and run.plan.request.is_streamed:
            yield Piece(shown)


class _Understood:
    """The stream of the upstream's objects, translated into events."""

    def __init__(self, stream: RawStream, reader: AnswerReader) -> None:
        self._stream = stream
        self._reader = reader
        self._ahead: deque[ChatEvent] = deque()
        self._is_over = False

    def __iter__(self) -> Iterator[ChatEvent]:
        """See `ChatStream`."""
        return self

    def __next__(self) -> ChatEvent:
        """See `ChatStream`."""
        while not self._ahead:
            raw = next(self._stream, None)
            if raw is not None:
                self._ahead.extend(self._reader.events(raw))
            elif self._is_over:
                raise StopIteration
            else:
                self._is_over = True
                self._ahead.extend(self._reader.end(is_done=self._stream.is_done))
        return self._ahead.popleft()

    def close(self) -> None:
        """See `ChatStream`."""
        self._stream.close()


class _Recovery(TurnRecovery):
    """The recovery of an OpenAI call; see `TurnRecovery`. The usage stands with the stored answer."""

    def __init__(self, ledger: Ledger, answers: Answers) -> None:
        super().__init__(ledger)
        self._answers = answers

    def _counts(self, turn: Turn) -> tuple[tuple[str, int], ...]:
        try:
            return self._answers.get(turn.uid, str(turn.message_id)).usage.counts
        except AnswerNotKept:
            return ()


def _told_by(run: Run[CallPlan], reason: str, reply: GrowingReply) -> Json:
    """Return the answer with its usage: as the provider told it, else as it is charged."""
    answer = run.plan.transcript.end(reason, reply.usage if reply.is_estimated else None)
    return answer if answer.get("usage") else run.plan.transcript.end(reason, reply.usage)


def _is_asked_for(run: Run[CallPlan]) -> bool:
    """Return True if the answer may be requested again: by the same key, or by the user who stopped the call."""
    return run.plan.request.has_key or run.plan.request.stop.is_given


def _answered(request: OpenAIRequest, stored: StoredAnswer, settled: TurnReceipt, pieces: int) -> OpenAIAnswer:
    """Return the answer with the cost in the field `credits`, the same for every replay."""
    told: dict[str, object] = {
        "cost": format_credits(settled.cost),
        "available": format_credits(settled.available),
        "estimated": stored.is_estimated,
    }
    if settled.at_most is not None:
        told |= {"status": SETTLING, "at_most": format_credits(settled.at_most)}
    if stored.choice is not None:
        told |= {"model": stored.model, "choice": stored.choice}
    if stored.finish_reason in OUR_ENDS:
        told["ended_by"] = stored.finish_reason
    answer = {**stored.answer, "credits": told}
    tail = request.dialect.tail(answer, request.body, pieces) if request.is_streamed else []
    return OpenAIAnswer(answer=answer, tail=tail, cost=settled.cost, available=settled.available)
