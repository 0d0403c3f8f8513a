"""OpenAI call as a kind of metered turn: the upstream's own JSON objects pass to the client and are stored."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from shared.ai.models.catalogue import Catalogue
from shared.ai.models.end_user import replaced
from shared.ai.models.expectation import Expectation
from shared.ai.models.preferences import Preferences
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.models.tariff import Tariff
from shared.ai.openai.answers import AnswerNotKept, Answers, StoredAnswer
from shared.ai.openai.dialect import AnswerReader, Demand, Transcript
from shared.ai.openai.kept_responses import KeptResponse, KeptResponses
from shared.ai.openai.passthrough import Json, Passthroughs, RawStream
from shared.ai.ports import ChatEvent, ChatStream, PassedEvent, RawDelta, TextDelta, UpstreamUnavailable
from shared.kernel.documents import Write
from shared.kernel.ids import derived_id
from shared.kernel.money import Micro
from shared.ledger.ledger import Ledger
from shared.sagas.metering.model_choice import Chooser, ChosenModel
from shared.sagas.metering.plan import MeteredPlan, forecast
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import FAILED, GrowingReply
from shared.sagas.metering.turn_record import Turn, TurnReceipt
from shared.sagas.openai.request import CallEvent, OpenAIRequest, Piece, Quiet, answered


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan(MeteredPlan):
    """The plan of one call: the request, the model, the price, and an empty transcript. Nothing is charged yet."""

    request: OpenAIRequest
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIKind:
    """The kind of turn of a call in OpenAI's protocol: plans the call and replays the answer; see `TurnKind`."""

    catalogue: Catalogue
    tariff: Tariff
    expectation: Expectation
    preferences: Preferences
    chooser: Chooser
    profiles: UpstreamProfiles
    passthroughs: Passthroughs
    answers: Answers
    responses: KeptResponses
    recovery: TurnRecovery

    def plan(self, request: OpenAIRequest, failed: Sequence[str]) -> "PlannedCall":
        """Return the planned turn, and hold no credits; see `TurnKind.plan`.

        Raises InvalidValue for content that has no price in tokens.
        """
        demand = request.demand
        chosen = self._chosen(request, demand, failed)
        model, prompt = chosen.model, demand.prompt(chosen.model)
        limit = None if demand.limit is None else demand.limit * demand.choices
        plan = CallPlan(
            request=replace(request, max_output_tokens=limit),
            model=model,
            rate=self.tariff.rate(model),
            prompt=prompt,
            forecast=forecast(self.expectation, model, prompt, limit, uid=request.uid, choices=demand.choices),
            choices=demand.choices,
            reason=chosen.reason,
            others=chosen.others,
            cost_max=chosen.cost_max,
            transcript=request.dialect.transcript(request.body),
        )
        return PlannedCall(plan=plan, kind=self)

    def replay(self, turn: Turn, request: OpenAIRequest) -> Iterator[CallEvent]:
        """Yield the stored answer again. Raises UpstreamUnavailable if the answer had failed, AnswerNotKept."""
        assert turn.settled is not None, "a turn that is done was settled"
        stored = self.answers.get(turn.uid, str(turn.message_id))
        pieces = list(request.dialect.pieces(stored.answer)) if request.is_streamed else []
        yield from map(Piece, pieces)
        if stored.finish_reason == FAILED:
            raise UpstreamUnavailable
        yield answered(request, stored, turn.settled, len(pieces))

    def _chosen(self, request: OpenAIRequest, demand: Demand, failed: Sequence[str]) -> ChosenModel:
        """Return the named model, or, for a chat dialect, the choice for `auto`."""
        if request.dialect.kind != "chat":
            return ChosenModel(model=self.catalogue.of_kind(request.dialect.kind, request.model))
        return self.chooser.choose(
            request.model,
            lambda: self.preferences.get(request.uid),
            lambda: demand.needs,
            limit=None if demand.limit is None else demand.limit * demand.choices,
            failed=failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One OpenAI call as planned; see `PlannedTurn`."""

    plan: CallPlan
    kind: OpenAIKind

    @property
    def silence(self) -> CallEvent:
        """Return the event that tells the client that the model is silent; see `PlannedTurn.silence`."""
        return Quiet()

    def open_stream(self, output_cap: int, *, is_whole: bool) -> ChatStream:
        """Return the upstream's growing answer, of at most `output_cap` tokens; `is_whole`: in one piece.

        See `PlannedTurn.open_stream`.
        """
        plan, dialect, end_user = self.plan, self.plan.request.dialect, self.plan.request.end_user
        body = dialect.sent(replaced(plan.request.body, end_user), plan.model, output_cap, is_whole=is_whole)
        stream = self.kind.passthroughs.of(plan.model).ask(dialect.path, body, end_user)
        form = self.kind.profiles.of(plan.model.upstream).usage_form
        return _Understood(stream, dialect.reader(plan.request.body, form))

    def text_events(self, event: TextDelta, text: str) -> Iterable[CallEvent]:
        """Return the client's piece for the upstream object in which the text came; empty if the client gets none."""
        assert isinstance(event, RawDelta), "every piece of text comes with what it came in"
        return self._pieces(event.raw)

    def other_events(self, event: ChatEvent) -> Iterable[CallEvent]:
        """Return the client's piece for an upstream object without text; empty if the client gets no such piece."""
        return self._pieces(event.raw) if isinstance(event, PassedEvent) else ()

    def record(self, attempt: str, reply: GrowingReply) -> "CallRecord":
        """Build the record of the answer; see `PlannedTurn.record`."""
        plan, reason = self.plan, reply.finish_reason or "stop"
        stored = StoredAnswer(
            answer=_told_by(plan, reason, reply),
            finish_reason=reason,
            is_estimated=reply.is_estimated,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            model=plan.model.id,
            choice=plan.reason,
        )
        answer_id, uid = derived_id("ans", attempt), plan.request.uid
        writes = [self.kind.answers.kept(uid, answer_id, stored)] if _is_asked_for(plan.request) else []
        kept = _referable(plan.request, stored)
        referable = () if kept is None else self.kind.responses.kept(uid, kept)
        return CallRecord(id=answer_id, answer=stored, writes=[*writes, *referable], call=self)

    def _pieces(self, raw: Json) -> Iterator[CallEvent]:
        shown = self.plan.transcript.take(raw)
        if shown is not None and self.plan.request.is_streamed:
            yield Piece(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """The answer as stored for replays and for later calls that refer to the answer; see `AnswerRecord`."""

    id: str
    answer: StoredAnswer
    writes: Sequence[Write]
    call: PlannedCall

    def writes_after_refusal(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return the same writes: nobody else changes these documents."""
        return writes

    def costed(self, cost: Micro) -> Self:
        """Return the record unchanged: the cost (µcr) stands in the turn's receipt."""
        return self

    def writes_of_correction(self, reply: GrowingReply, cost: Micro) -> Sequence[Write]:
        """Build the writes that correct the usage of the stored answer. The delivered content stays unchanged."""
        plan, record, kind = self.call.plan, self.answer, self.call.kind
        told = _told_by(plan, record.finish_reason, reply).get("usage")
        corrected = replace(
            record,
            answer={**record.answer, "usage": told},
            is_estimated=reply.is_estimated,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
        )
        writes: list[Write] = [kind.answers.corrected(self.id, corrected)] if _is_asked_for(plan.request) else []
        kept = _referable(plan.request, corrected)
        return writes if kept is None else [*writes, *kind.responses.corrected(plan.request.uid, kept)]

    def end_events(self, receipt: TurnReceipt) -> Iterable[CallEvent]:
        """Return the whole answer with the cost."""
        plan = self.call.plan
        return (answered(plan.request, self.answer, receipt, plan.transcript.told),)


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


class CallRecovery(TurnRecovery):
    """Recovery of OpenAI calls whose attempt has crashed; see `TurnRecovery`. The stored answer gives the tokens."""

    def __init__(self, ledger: Ledger, answers: Answers) -> None:
        super().__init__(ledger)
        self._answers = answers

    def _counts(self, turn: Turn) -> tuple[tuple[str, int], ...]:
        try:
            return self._answers.get(turn.uid, str(turn.message_id)).usage.counts
        except AnswerNotKept:
            return ()


def _referable(request: OpenAIRequest, stored: StoredAnswer) -> KeptResponse | None:
    """Return the response for later calls to refer to. None for a failed answer, or if no call may refer to it."""
    keeping = request.keeping
    if keeping is None or stored.finish_reason == FAILED:
        return None
    return KeptResponse(input=keeping.input, answer=stored.answer, previous_id=keeping.previous_id)


def _told_by(plan: CallPlan, reason: str, reply: GrowingReply) -> Json:
    """Return the answer with its usage: as the provider told it, else as it is charged."""
    answer = plan.transcript.end(reason, reply.usage if reply.is_estimated else None)
    return answer if answer.get("usage") else plan.transcript.end(reason, reply.usage)


def _is_asked_for(request: OpenAIRequest) -> bool:
    """Return True if the answer may be requested again: by the same key, or by the user who stopped the call."""
    return request.has_key or request.stop.is_given
