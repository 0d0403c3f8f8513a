"""The saga of a metered turn: hold credits, ask a model, deliver the answer, charge the usage.

The steps are claim, plan, hold, ask, end. A `TurnKind` defines the request, the events for the client and the record.
The charge follows the same rules for all kinds: see `turn_ending`.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Generic, TypeVar

from shared.ai.ports import WHOLE_SECONDS_MAX, UpstreamRejected, UpstreamUnavailable
from shared.kernel.documents import OutcomeUnknown
from shared.kernel.errors import DomainError, NotFound, Rejected, StillRunning
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.sagas.metering.attempt import Attempt, CallCredits, EventT
from shared.sagas.metering.call_journal import about_call, names_of
from shared.sagas.metering.claims import Claim
from shared.sagas.metering.delivery import AnswerDelivery
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.plan import CallRequest
from shared.sagas.metering.reading import AnswerReading, ReadingWhole
from shared.sagas.metering.recovery import hold_operation
from shared.sagas.metering.reply import STOPPED, GrowingReply
from shared.sagas.metering.turn_ending import TurnEnding
from shared.sagas.metering.turn_keeping import TurnKeeping
from shared.sagas.metering.turn_kind import PlannedTurn, TurnKind

RequestT = TypeVar("RequestT", bound=CallRequest)


class MeteredTurn(Generic[RequestT, EventT]):
    """The saga of a metered turn, of the given kind. Safe to share between threads."""

    def __init__(self, parts: MeteringParts, kind: TurnKind[RequestT, EventT]) -> None:
        self._parts = parts
        self._kind = kind

    def run(self, request: RequestT) -> Generator[EventT, None, None]:
        """Yield the answer as it comes, then the end. Closing this generator means that the client has left.

        The hold is placed before the first event, so every refusal is raised by the first `next`. Raises the errors of
        the plan, InsufficientCredits and the ledger's other refusals, UpstreamUnavailable, UpstreamRejected,
        IdempotencyMismatch, StillRunning.
        """
        if not request.has_key:
            yield from self._take(request, self._parts.turns.once(), Micro(0))
            return
        turn, claim = self._parts.turns.begin_turn(
            request.operation,
            uid=request.uid,
            conversation_id=request.conversation_id,
            fingerprint=request.fingerprint,
        )
        recovery = self._kind.recovery
        if turn.status == "appended":
            turn = recovery.settling(turn) if claim is None else recovery.finished(turn, claim)
        if turn.status != "running" or claim is None:
            yield from self._kind.replay(turn, request)
            return
        with _forgetting(claim):
            paid_before = recovery.given_up(turn)
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
                    turn, hold = self._admitted(request, claim, failed, failure)
                plan = turn.plan
                with ExitStack() as unowed:
                    unowed.enter_context(hold)
                    attempt = Attempt(
                        turn=turn,
                        reply=GrowingReply(plan),
                        hold=hold,
                        claim=claim,
                        paid_before=paid_before,
                        output_cap=plan.output_cap(hold.affordable),
                        is_whole=plan.is_whole and hold.silence_seconds_max > WHOLE_SECONDS_MAX,
                        unowed=unowed,
                        owned=owned,
                    )
                    failure = yield from self._answer(attempt)
                if failure is None:
                    return
                failed.append(plan.model.id)
                with _forgetting(claim):
                    claim.try_again()

    def _admitted(
        self, request: RequestT, claim: Claim, failed: Sequence[str], failure: DomainError | None
    ) -> tuple[PlannedTurn[EventT], CallCredits]:
        """Return the planned turn and the hold. If no other model fits, raise the first model's failure."""
        try:
            turn = self._kind.plan(request, failed)
            plan, operation = turn.plan, hold_operation(request.operation, claim.run)
            return turn, self._parts.admission.admitted(
                plan, operation, names_of(plan, claim.run), about_call(plan, claim.run)
            )
        except (Rejected, NotFound) as refusal:
            if failure is None:
                raise
            raise failure from refusal

    def _answer(self, attempt: Attempt[EventT]) -> Generator[EventT, None, DomainError | None]:
        """Stream the answer, then end the turn.

        The turn also ends when the client leaves, the upstream fails or credits run out.

        Return the failure after which another model is to be asked, or None.
        """
        keeping, stop = TurnKeeping(self._parts, self._kind.recovery, attempt), attempt.plan.request.stop
        if stop.is_given:
            yield from _end_unasked(attempt, keeping)
            return None
        stream = attempt.turn.open_stream(attempt.output_cap, is_whole=attempt.is_whole)
        with ReadingWhole(stream) if attempt.is_whole else AnswerReading(stream) as reading:
            stop.when_given(reading.wake)
            ending = TurnEnding(self._parts, attempt, reading, keeping)
            try:
                is_over = yield from AnswerDelivery(self._parts, attempt, reading).events()
            except GeneratorExit:
                ending.end_unheard()
                raise
            except StillRunning:
                raise
            except DomainError as error:
                return self._failed(attempt, ending, error)
            end = ending.end(is_over=is_over)
        yield from end.events
        return None

    def _failed(self, attempt: Attempt[EventT], ending: TurnEnding[EventT], error: DomainError) -> DomainError:
        """Settle a call that was cut. If another model is to be asked, return the error, else raise the error."""
        plan, reply = attempt.plan, attempt.reply
        if isinstance(error, UpstreamUnavailable):
            self._parts.health.failed(plan.model.id)
        is_begun = reply.is_begun
        is_kept = not reply.is_empty and plan.request.is_streamed
        ending.end_failed(error)
        if plan.others > 0 and not is_begun and isinstance(error, UpstreamUnavailable | UpstreamRejected):
            log("next_model_asked", "WARNING", model=plan.model.id, code=error.code)
            return error
        if not is_kept:
            attempt.claim.forget_turn()
        raise error


def _end_unasked(attempt: Attempt[EventT], keeping: TurnKeeping[EventT]) -> Iterator[EventT]:
    """End a call that was stopped before the upstream was asked. The call costs nothing."""
    attempt.reply.finish_reason = STOPPED
    attempt.reply.charge(Micro(0))
    yield from keeping.keep().events


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
