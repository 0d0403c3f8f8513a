"""The saga of a metered turn: hold credits, ask a model, deliver what comes, charge what it used.

Its steps: claim, plan, hold, ask, end. The end is one commit of the record, the charge and what was told; where that
cannot be it is three, in this order. What is asked, how it is delivered and what is kept of it are a kind of turn's own
to say; what becomes of the money is the same for all.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.ai.conversations import CONTENT_BYTES_MAX
from shared.ai.expectation import Expectation
from shared.ai.health import Health
from shared.ai.ports import (
    WHOLE_SECONDS_MAX,
    ChatEvent,
    ChatStream,
    TextDelta,
    UpstreamRejected,
    UpstreamUnavailable,
)
from shared.ai.tokens import Usage
from shared.ai.turns import Claim, Settled, Turn, Turns
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, OutcomeUnknown, PreconditionFailed, Write
from shared.kernel.errors import DomainError, NotFound, Rejected, StillRunning
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.errors import HoldResolved
from shared.ledger.holding import Captured, Holding
from shared.ledger.ledger import Ledger
from shared.sagas.call_journal import names_of
from shared.sagas.chat_admission import Admission
from shared.sagas.chat_reading import Ended, Reading, ReadingWhole, Silence
from shared.sagas.chat_recovery import TurnRecovery, hold_operation
from shared.sagas.chat_reply import CREDIT_LIMIT, DISCONNECTED, FAILED, TIMED_OUT, Reply
from shared.sagas.metered import Asked, Metered

PING_SECONDS = 15.0
TURN_SECONDS_MAX = 500.0
"""A turn ends itself before the function that runs it (540 s) would be ended."""
ANSWER_BYTES_MAX = CONTENT_BYTES_MAX
APPEND_ATTEMPTS_MAX = 3

RequestT = TypeVar("RequestT", bound=Asked)
PlanT = TypeVar("PlanT", bound=Metered)
EventT = TypeVar("EventT")
RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[RecordT]):
    """What is kept of an answer: its record, the id by which it is found again, and the writes that store it."""

    id: str
    record: RecordT
    writes: Sequence[Write] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Generic[PlanT]):
    """One attempt at a turn: its plan, the credits it holds, its right to finish, what earlier attempts cost.

    `unowed` releases the hold, unless it was emptied because the record is there to be paid for.
    """

    plan: PlanT
    hold: Holding
    unowed: ExitStack
    claim: Claim
    paid_before: Micro


class MeteredTurn(ABC, Generic[RequestT, PlanT, EventT, RecordT]):
    """The saga; see the module. Safe to share between threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        expectation: Expectation,
        recovery: TurnRecovery,
        health: Health,
        documents: Documents,
        clock: Clock,
        ping_seconds: float,
    ) -> None:
        self._admission = Admission(ledger, expectation, clock)
        self._expectation = expectation
        self._recovery = recovery
        self._health = health
        self._turns = Turns(documents, clock)
        self._clock = clock
        self._ping_seconds = ping_seconds

    # What a kind of turn says of itself ----------------------------------------------------------------------------

    @abstractmethod
    def _plan(self, request: RequestT, failed: Sequence[str]) -> PlanT:
        """The turn as decided before anything happens; it changes nothing. `failed` models were asked already."""

    @abstractmethod
    def _asked(self, plan: PlanT, output_cap: int, *, is_whole: bool) -> ChatStream:
        """The upstream's answer in the making, of at most so many tokens; `is_whole`: in one piece."""

    @abstractmethod
    def _delivered(self, run: Run[PlanT], event: TextDelta, text: str) -> Iterable[EventT]:
        """What the client gets of a piece that is paid for."""

    @abstractmethod
    def _silent(self) -> EventT:
        """What the client gets while the model is silent."""

    @abstractmethod
    def _kept(self, run: Run[PlanT], reply: Reply) -> Kept[RecordT]:
        """What is kept of the answer."""

    @abstractmethod
    def _ended(self, run: Run[PlanT], record: RecordT, settled: Settled) -> Iterable[EventT]:
        """What the client gets at the end."""

    @abstractmethod
    def _replay(self, turn: Turn, request: RequestT) -> Iterator[EventT]:
        """The same answer again, from what is stored; a failure is the same failure."""

    def _passed(self, run: Run[PlanT], event: ChatEvent) -> Iterable[EventT]:
        """What the client gets of an event that is no text."""
        return ()

    def _still_wanted(self, run: Run[PlanT], writes: Sequence[Write]) -> Sequence[Write]:
        """What to write after a precondition of `writes` failed."""
        return writes

    def _learned(self, run: Run[PlanT], reply: Reply) -> None:
        """The answer ended by itself, and its length is known."""
        self._expectation.learn(run.plan.model, reported=reply.usage.output_tokens, counted=reply.counted)

    def _costed(self, record: RecordT, cost: Micro) -> RecordT:
        """The record, once it is known what was charged for it."""
        return record

    # The saga ------------------------------------------------------------------------------------------------------

    def run(self, request: RequestT) -> Generator[EventT, None, None]:
        """The answer as it comes, then its end. Closing this generator is the client leaving.

        Nothing is yielded before the hold is placed, so every refusal is raised by the first `next`. Raises what the
        plan raises, InsufficientCredits and the ledger's other refusals, UpstreamUnavailable, UpstreamRejected,
        IdempotencyMismatch, StillRunning.
        """
        if not request.has_key:
            yield from self._take(request, self._turns.once(), Micro(0))
            return
        turn, claim = self._turns.begin(
            request.operation,
            uid=request.uid,
            conversation_id=request.conversation_id,
            fingerprint=request.fingerprint,
        )
        if turn.status == "appended" and claim is not None:
            turn = self._recovery.finished(turn, claim)
        if turn.status != "running" or claim is None:
            yield from self._replay(turn, request)
            return
        with _forgetting(claim):
            paid_before = self._recovery.given_up(turn)
        yield from self._take(request, claim, paid_before)

    def _take(self, request: RequestT, claim: Claim, paid_before: Micro) -> Generator[EventT, None, None]:
        """Plan, hold, answer. What fails before its record was to be stored leaves nothing behind.

        Where the model was ours to choose and its upstream fails before the client has got anything, what was held is
        given back, and the next model is asked by another attempt at the same turn.
        """
        failed: list[str] = []
        failure: DomainError | None = None
        try:
            while True:
                with _forgetting(claim):
                    plan, hold = self._admitted(request, claim, failed, failure)
                with ExitStack() as unowed:
                    unowed.enter_context(hold)
                    run = Run(plan=plan, hold=hold, unowed=unowed, claim=claim, paid_before=paid_before)
                    failure = yield from self._answer(run)
                if failure is None:
                    return
                failed.append(plan.model.id)
                with _forgetting(claim):
                    claim.try_again()
        finally:
            claim.stop()

    def _admitted(
        self, request: RequestT, claim: Claim, failed: Sequence[str], failure: DomainError | None
    ) -> tuple[PlanT, Holding]:
        """The plan and its hold. Where no other model will do, it is the first one's failure that is told."""
        try:
            plan = self._plan(request, failed)
            operation = hold_operation(request.operation, claim.run)
            return plan, self._admission.holding(plan, operation, names_of(request, claim.run))
        except (Rejected, NotFound) as refusal:
            if failure is None:
                raise
            raise failure from refusal

    def _answer(self, run: Run[PlanT]) -> Generator[EventT, None, DomainError | None]:
        """Stream, then keep. The client leaving, the upstream failing, the credits ending: all are ways to end.

        What it returns is the failure after which another model is to be asked.
        """
        plan = run.plan
        reply = Reply(plan)
        failure: DomainError | None = None
        try:
            yield from self._stream(run, reply)
        except GeneratorExit:
            reply.finish_reason = DISCONNECTED
            self._keep_for_nobody(run, reply)
            raise
        except DomainError as error:
            if isinstance(error, UpstreamUnavailable):
                self._health.failed(plan.model.id)
            if plan.others > 0 and not reply.is_begun and isinstance(error, UpstreamUnavailable | UpstreamRejected):
                log("next_model_asked", "WARNING", model=plan.model.id, code=error.code)
                return error
            if reply.is_empty or not plan.request.is_streamed:
                run.claim.forget()
                raise
            reply.finish_reason, failure = FAILED, error
        else:
            self._health.answered(plan.model.id)
        record, settled = self._keep(run, reply)
        if failure is not None:
            raise failure
        yield from self._ended(run, record, settled)
        return None

    def _stream(self, run: Run[PlanT], reply: Reply) -> Generator[EventT, None, None]:
        """Deliver what comes; leaving this aborts the upstream."""
        cap = run.plan.output_cap(run.hold.affordable)
        deadline = self._clock.monotonic() + TURN_SECONDS_MAX
        silence_seconds = min(self._ping_seconds, run.hold.silence_seconds_max)
        is_whole = run.plan.is_whole and run.hold.silence_seconds_max > WHOLE_SECONDS_MAX
        stream = self._asked(run.plan, cap, is_whole=is_whole)
        with ReadingWhole(stream) if is_whole else Reading(stream) as reading:
            while not isinstance(event := reading.next(silence_seconds), Ended):
                if run.claim.is_lost:
                    raise StillRunning
                if self._clock.monotonic() >= deadline:
                    reply.finish_reason = TIMED_OUT
                    return
                if isinstance(event, Silence):
                    run.hold.accrue(reply.cost)
                    yield self._silent()
                elif not isinstance(event, TextDelta):
                    reply.note(event)
                    for passed in self._passed(run, event):
                        reply.is_begun = True
                        yield passed
                elif stopped_by := _stopped_by(text := _clean(event.text), run.hold, reply):
                    reply.finish_reason = stopped_by
                    return
                else:
                    reply.deliver(text)
                    yield from self._delivered(run, event, text)
        if event.error is not None:
            raise event.error
        if not reply.is_ended:
            raise UpstreamUnavailable
        reply.name_the_end(is_short_of_credits=cap < run.plan.prompt.output_at_most)

    def _keep(self, run: Run[PlanT], reply: Reply) -> tuple[RecordT, Settled]:
        """Store the record and charge for it, in one commit.

        Where that cannot be, the record is stored and then paid for: a crash between the two is finished by whoever
        takes over. What an earlier attempt at this turn had cost when its hold expired is not charged again.
        """
        uid, charge = run.plan.request.uid, Micro(max(0, reply.cost - run.paid_before))
        kept = self._kept(run, reply)
        with _owing(run):
            captured = self._stored_and_captured(run, kept, charge, reply.usage)
            if captured is None:
                self._store(run, kept, charge)
        if captured is None:
            captured = self._captured(uid, run.hold, charge, reply.usage)
        cost = Micro(captured.amount + run.paid_before)
        record = self._costed(kept.record, cost)
        settled = Settled(cost=cost, available=captured.balance.available, held=captured.balance.held)
        settled = run.claim.finish(settled)
        _log_turn(run, reply, settled)
        if reply.finish_reason == "stop" and not reply.is_estimated and run.plan.is_telling:
            self._learned(run, reply)
        return record, settled

    def _keep_for_nobody(self, run: Run[PlanT], reply: Reply) -> None:
        """Nobody hears of a failure here; what is held then ends by itself."""
        try:
            self._keep(run, reply)
        except DomainError as error:
            log("turn_not_kept", "WARNING", hold_id=run.hold.id, code=error.code)

    def _stored_and_captured(
        self, run: Run[PlanT], kept: Kept[RecordT], charge: Micro, usage: Usage
    ) -> Captured | None:
        """Both in one commit, the turn with them. None: nothing was done, as the hold or what it builds on changed."""
        try:
            with run.claim.settling(
                kept.writes, message_id=kept.id, charge=charge, paid_before=run.paid_before
            ) as settle:
                return run.hold.capture(
                    charge,
                    usage.counts,
                    lambda charged: settle(
                        Settled(
                            cost=Micro(charged.amount + run.paid_before),
                            available=charged.available,
                            held=charged.held,
                        )
                    ),
                )
        except (PreconditionFailed, HoldResolved):
            return None

    def _store(self, run: Run[PlanT], kept: Kept[RecordT], charge: Micro) -> None:
        """In one commit with the turn."""
        writes = kept.writes
        for attempt in range(APPEND_ATTEMPTS_MAX):
            try:
                run.claim.append(writes, message_id=kept.id, charge=charge, paid_before=run.paid_before)
                return
            except PreconditionFailed:
                if attempt == APPEND_ATTEMPTS_MAX - 1:
                    raise
                writes = self._still_wanted(run, writes)

    def _captured(self, uid: Uid, hold: Holding, charge: Micro, usage: Usage) -> Captured:
        """Charge. A hold that ended before (its time was up) took what had accrued, and that is all there will be."""
        try:
            return hold.capture(charge, usage.counts)
        except HoldResolved:
            return self._recovery.captured_before(uid, hold.id)


@contextmanager
def _forgetting(claim: Claim) -> Iterator[None]:
    """What fails inside leaves no trace of the turn; what may have left one is for the next call to find."""
    try:
        yield
    except BaseException as error:
        claim.stop()
        if isinstance(error, DomainError) and not isinstance(error, OutcomeUnknown):
            claim.forget()
        else:
            claim.give_up()
        raise


@contextmanager
def _owing(run: Run[PlanT]) -> Iterator[None]:
    """Once a record is stored, or may be, the hold is left to be captured: by us, by who takes over, or by time."""
    try:
        yield
    except (StillRunning, PreconditionFailed):
        raise
    except BaseException:
        run.unowed.pop_all()
        raise
    run.unowed.pop_all()


def _stopped_by(text: str, hold: Holding, reply: Reply) -> str | None:
    """Why `text` is not delivered: nothing is that is not paid for, was not asked for, or cannot be stored."""
    if not hold.accrue(reply.cost_with(text)):
        return CREDIT_LIMIT
    is_too_long = reply.is_overrun or reply.size_bytes + len(text.encode()) > ANSWER_BYTES_MAX
    return "length" if is_too_long else None


def _clean(text: str) -> str:
    """Some upstreams cut a surrogate pair in two; half a character cannot be stored."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _log_turn(run: Run[PlanT], reply: Reply, settled: Settled) -> None:
    if reply.usage.output_tokens > run.plan.prompt.output_at_most:
        # Ours to bear, and for an operator to know: the model's document, or its provider, is wrong about limits.
        log("limit_not_kept", "ERROR", model=run.plan.model.id, limit=run.plan.prompt.output_at_most)
    log(
        "chat_turn_captured",
        uid=run.plan.request.uid,
        hold_id=run.hold.id,
        model=run.plan.model.id,
        finish_reason=reply.finish_reason,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        estimated=reply.is_estimated,
        cost=settled.cost,
    )
