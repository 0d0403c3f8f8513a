"""The saga of a metered turn: hold credits, ask a model, deliver the answer, charge the usage.

The steps are claim, plan, hold, ask, end. Each kind of turn defines the request, the delivery and the record. The
charge follows the same rules for all kinds: see `turn_ending` and `turn_keeping`.
"""

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Generic, TypeVar

from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.ports import (
    WHOLE_SECONDS_MAX,
    ChatEvent,
    ChatStream,
    HiddenDelta,
    TextDelta,
    UpstreamRejected,
    UpstreamUnavailable,
)
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, OutcomeUnknown
from shared.kernel.errors import DomainError, NotFound, Rejected, StillRunning
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom
from shared.ledger.holding import Holding
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.sagas.metering.admission import Admission
from shared.sagas.metering.call_journal import about_call, names_of
from shared.sagas.metering.claims import Claim, Turn, TurnReceipt, Turns
from shared.sagas.metering.plan import CallRequest
from shared.sagas.metering.reading import AnswerReading, EndOfAnswer, Pulse, ReadingWhole, Silence
from shared.sagas.metering.reading_on import ReadingOn
from shared.sagas.metering.recovery import TurnRecovery, hold_operation
from shared.sagas.metering.reply import STOPPED, TIMED_OUT, GrowingReply
from shared.sagas.metering.turn_ending import TurnEnding, clean, cut_by
from shared.sagas.metering.turn_keeping import PlanT, RecordT, Run, TurnRecord

__all__ = ["PING_SECONDS", "TURN_SECONDS_MAX", "MeteredTurn", "Run", "TurnRecord"]

PING_SECONDS = 15.0
TURN_SECONDS_MAX = 500.0
"""Most seconds of a turn. The turn ends before the function that runs the turn (540 s) would be ended."""
SILENCE_SECONDS_MAX = 300.0
"""Most seconds of silence of a provider. After that the provider has failed, unless the model may be thinking."""

RequestT = TypeVar("RequestT", bound=CallRequest)
EventT = TypeVar("EventT")


class MeteredTurn(TurnEnding[PlanT, RecordT], Generic[RequestT, PlanT, EventT, RecordT]):
    """The saga of a metered turn. Safe to share between threads."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        ledger: Ledger,
        expectation: Expectation,
        recovery: TurnRecovery,
        health: ModelHealth,
        documents: Documents,
        clock: Clock,
        ping_seconds: float,
        profiles: UpstreamProfiles | None = None,
        reading_on: ReadingOn | None = None,
        losses: Losses | None = None,
        room: WaitingRoom | None = None,
        admission: Admission | None = None,
    ) -> None:
        room = room or WaitingRoom()
        profiles = profiles or UpstreamProfiles({})
        super().__init__(
            recovery=recovery,
            expectation=expectation,
            losses=losses,
            documents=documents,
            clock=clock,
            profiles=profiles,
            reading_on=reading_on or ReadingOn(),
            ping_seconds=ping_seconds,
        )
        self._admission = admission or Admission(ledger, expectation, clock, profiles, room)
        self._health = health
        self._turns = Turns(documents, clock, room)

    # What a kind of turn says of itself ----------------------------------------------------------------------------

    @abstractmethod
    def _plan(self, request: RequestT, failed: Sequence[str]) -> PlanT:
        """Return the plan of the turn, and change nothing. `failed` models were asked already."""

    @abstractmethod
    def _open_stream(self, plan: PlanT, output_cap: int, *, is_whole: bool) -> ChatStream:
        """Return the upstream's growing answer, of at most `output_cap` tokens; `is_whole`: in one piece."""

    @abstractmethod
    def _delivered(self, run: Run[PlanT], event: TextDelta, text: str) -> Iterable[EventT]:
        """Yield the events that tell the client of a paid piece of text."""

    @abstractmethod
    def _silent(self) -> EventT:
        """Return the event that tells the client that the model is silent."""

    @abstractmethod
    def _ended(self, run: Run[PlanT], record: RecordT, settled: TurnReceipt) -> Iterable[EventT]:
        """Yield the events that end the answer."""

    @abstractmethod
    def _replay(self, turn: Turn, request: RequestT) -> Iterator[EventT]:
        """Yield the stored answer again. A stored failure is raised again."""

    def _passed(self, run: Run[PlanT], event: ChatEvent) -> Iterable[EventT]:
        """Yield the events that tell the client of an upstream event without text."""
        return ()

    # The saga ------------------------------------------------------------------------------------------------------

    def run(self, request: RequestT) -> Generator[EventT, None, None]:
        """Yield the answer as it comes, then the end. Closing this generator means that the client has left.

        The hold is placed before the first event, so every refusal is raised by the first `next`. Raises the errors of
        the plan, InsufficientCredits and the ledger's other refusals, UpstreamUnavailable, UpstreamRejected,
        IdempotencyMismatch, StillRunning.
        """
        if not request.has_key:
            yield from self._take(request, self._turns.once(), Micro(0))
            return
        turn, claim = self._turns.begin_turn(
            request.operation,
            uid=request.uid,
            conversation_id=request.conversation_id,
            fingerprint=request.fingerprint,
        )
        if turn.status == "appended":
            turn = self._recovery.settling(turn) if claim is None else self._recovery.finished(turn, claim)
        if turn.status != "running" or claim is None:
            yield from self._replay(turn, request)
            return
        with _forgetting(claim):
            paid_before = self._recovery.given_up(turn)
        yield from self._take(request, claim, paid_before)

    def _take(self, request: RequestT, claim: Claim, paid_before: Micro) -> Generator[EventT, None, None]:
        """Plan, hold and answer. A failure before the record was to be stored leaves nothing behind.

        If the model was ours to choose and the upstream fails before the client has got anything, the hold is released.
        Then another attempt at the same turn asks the next model.
        """
        failed: list[str] = []
        failure: DomainError | None = None
        with ExitStack() as owned:
            owned.callback(claim.stop)
            while True:
                with _forgetting(claim):
                    plan, hold = self._admitted(request, claim, failed, failure)
                with ExitStack() as unowed:
                    unowed.enter_context(hold)
                    run = Run(
                        plan=plan,
                        hold=hold,
                        claim=claim,
                        paid_before=paid_before,
                        output_cap=plan.output_cap(hold.affordable),
                        is_whole=plan.is_whole and hold.silence_seconds_max > WHOLE_SECONDS_MAX,
                        unowed=unowed,
                        owned=owned,
                    )
                    failure = yield from self._answer(run)
                if failure is None:
                    return
                failed.append(plan.model.id)
                with _forgetting(claim):
                    claim.try_again()

    def _admitted(
        self, request: RequestT, claim: Claim, failed: Sequence[str], failure: DomainError | None
    ) -> tuple[PlanT, Holding]:
        """Return the plan and the hold. If no other model fits, raise the first model's failure."""
        try:
            plan = self._plan(request, failed)
            operation = hold_operation(request.operation, claim.run)
            return plan, self._admission.holding(
                plan, operation, names_of(plan, claim.run), about_call(plan, claim.run)
            )
        except (Rejected, NotFound) as refusal:
            if failure is None:
                raise
            raise failure from refusal

    def _answer(self, run: Run[PlanT]) -> Generator[EventT, None, DomainError | None]:
        """Stream the answer, then end the turn.

        The turn also ends when the client leaves, the upstream fails or credits run out.

        Return the failure after which another model is to be asked, or None.
        """
        reply = GrowingReply(run.plan)
        if run.plan.request.stop.is_given:
            yield from self._end_unasked(run, reply)
            return None
        stream = self._open_stream(run.plan, run.output_cap, is_whole=run.is_whole)
        with ReadingWhole(stream) if run.is_whole else AnswerReading(stream) as reading:
            run.plan.request.stop.when_given(reading.wake)
            try:
                is_over = yield from self._stream(run, reply, reading)
            except GeneratorExit:
                self._end_unheard(run, reply, reading)
                raise
            except StillRunning:
                raise
            except DomainError as error:
                return self._failed(run, reply, reading, error)
            record, settled = self._end(run, reply, reading, is_over=is_over)
        yield from self._ended(run, record, settled)
        return None

    def _end_unasked(self, run: Run[PlanT], reply: GrowingReply) -> Iterator[EventT]:
        """End a call that was stopped before the upstream was asked. The call costs nothing."""
        reply.finish_reason = STOPPED
        reply.charge(Micro(0))
        record, settled = self._keep(run, reply)
        yield from self._ended(run, record, settled)

    def _failed(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole, error: DomainError
    ) -> DomainError:
        """Settle a call that was cut. If another model is to be asked, return the error, else raise the error."""
        if isinstance(error, UpstreamUnavailable):
            self._health.failed(run.plan.model.id)
        is_begun = reply.is_begun
        is_kept = not reply.is_empty and run.plan.request.is_streamed
        self._end_failed(run, reply, reading, error)
        if run.plan.others > 0 and not is_begun and isinstance(error, UpstreamUnavailable | UpstreamRejected):
            log("next_model_asked", "WARNING", model=run.plan.model.id, code=error.code)
            return error
        if not is_kept:
            run.claim.forget_turn()
        raise error

    def _stream(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole
    ) -> Generator[EventT, None, bool]:
        """Deliver the upstream's events.

        Return True if the upstream ended the answer; else the reply names the finish reason.
        """
        deadline = self._clock.monotonic() + TURN_SECONDS_MAX
        silence_seconds = min(self._ping_seconds, run.hold.silence_seconds_max)
        pulse, heard_at = Pulse(self._clock, self._ping_seconds), self._clock.monotonic()
        while not isinstance(event := reading.next(silence_seconds), EndOfAnswer):
            if run.claim.is_lost:
                raise StillRunning
            if reason := self._reason_to_end(run, deadline):
                reply.finish_reason = reason
                reply.overhear(event) if not isinstance(event, Silence) else None
                return False
            heard_at = self._heard_at(run, event, heard_at)
            if isinstance(event, Silence):
                run.hold.accrue(reply.cost)
                yield self._silent()
            elif not isinstance(event, TextDelta | HiddenDelta):
                yield from self._noted(run, reply, event)
            elif cut := cut_by(text := clean(event.text), run.hold, reply):
                reply.finish_reason = cut
                return False
            else:
                yield from self._taken(run, reply, event, text, pulse)
        if event.error is not None:
            raise event.error
        if not reply.is_ended:
            raise UpstreamUnavailable(has_begun=True)
        self._health.answered(run.plan.model.id)
        reply.name_the_end(is_short_of_credits=run.output_cap < run.plan.prompt.output_at_most)
        return True

    def _heard_at(self, run: Run[PlanT], event: ChatEvent | Silence, before: float) -> float:
        """Return when the provider was heard last (monotonic seconds).

        Raises UpstreamUnavailable if the last event is too long ago. A model with hidden output may be thinking, which
        is billed. The turn's own time limit ends such a call.
        """
        now = self._clock.monotonic()
        if not isinstance(event, Silence):
            return now
        if now - before >= SILENCE_SECONDS_MAX and not run.plan.has_hidden_output:
            raise UpstreamUnavailable(has_begun=True)
        return before

    def _noted(self, run: Run[PlanT], reply: GrowingReply, event: ChatEvent) -> Iterator[EventT]:
        """Record an event without text, and yield the client's events for that event."""
        reply.note(event)
        for passed in self._passed(run, event):
            reply.is_begun = True
            yield passed

    def _taken(
        self, run: Run[PlanT], reply: GrowingReply, event: TextDelta | HiddenDelta, text: str, pulse: Pulse
    ) -> Iterator[EventT]:
        """Record a text that is paid for, and yield the client's events for that text.

        To the client, a model that only thinks is silent.
        """
        if isinstance(event, HiddenDelta):
            reply.pass_over()
            if pulse.is_due():
                yield self._silent()
            return
        reply.deliver(text)
        yield from self._delivered(run, event, text)

    def _reason_to_end(self, run: Run[PlanT], deadline: float) -> str | None:
        """Return the reason to end a call that the upstream has not ended, or None.

        An answer in one piece is never ended here: once a part is there, all of the answer is.
        """
        if run.is_whole:
            return None
        if run.plan.request.stop.is_given:
            return STOPPED
        return TIMED_OUT if self._clock.monotonic() >= deadline else None


@contextmanager
def _forgetting(claim: Claim) -> Iterator[None]:
    """If the error says that nothing was written, delete the turn.

    After any other error only end the turn's lease, so that the next call takes over.
    """
    try:
        yield
    except BaseException as error:
        claim.stop()
        if isinstance(error, DomainError) and not isinstance(error, OutcomeUnknown):
            claim.forget_turn()
        else:
            claim.give_up()
        raise
