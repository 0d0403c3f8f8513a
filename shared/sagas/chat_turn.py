"""One turn of a conversation: hold credits, ask the model, charge what it used."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from shared.ai.conversations import CONTENT_BYTES_MAX, Conversations, Message, position
from shared.ai.expectation import Expectation
from shared.ai.models import Catalogue
from shared.ai.ports import ChatModel, TextDelta, UpstreamUnavailable
from shared.ai.preferences import Preferences
from shared.ai.tariff import Tariff
from shared.ai.tokens import Usage
from shared.ai.turns import Claim, Settled, Turns
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, OutcomeUnknown, PreconditionFailed, Write
from shared.kernel.errors import DomainError, StillRunning
from shared.kernel.events import log
from shared.kernel.ids import Uid, derived_id
from shared.kernel.money import Micro
from shared.ledger.errors import HoldResolved
from shared.ledger.holding import Captured, Holding
from shared.ledger.ledger import Ledger
from shared.sagas.chat_admission import Admission
from shared.sagas.chat_answer import Answer, Delta, Done, Estimate, Ping, TurnEvent, TurnRequest
from shared.sagas.chat_plan import Plan, Planner
from shared.sagas.chat_reading import Ended, Reading, Silence
from shared.sagas.chat_recovery import Recovery, answered, hold_operation
from shared.sagas.chat_reply import CREDIT_LIMIT, DISCONNECTED, FAILED, TIMED_OUT, Reply

__all__ = ["Answer", "ChatTurn", "Delta", "Done", "Estimate", "Ping", "TurnEvent", "TurnRequest"]

PING_SECONDS = 15.0
TURN_SECONDS_MAX = 500.0
"""A turn ends itself before the function that runs it (540 s) would be ended."""
ANSWER_BYTES_MAX = CONTENT_BYTES_MAX
APPEND_ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One attempt at a turn: its plan, the credits it holds, its right to finish, what earlier attempts cost.

    `unowed` releases the hold, unless it was emptied because the messages are there to be paid for.
    """

    plan: Plan
    hold: Holding
    unowed: ExitStack
    claim: Claim
    paid_before: Micro


class ChatTurn:
    """The saga. Its steps: claim, plan, hold, ask, append, capture, remember. Reference first, record last."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        ledger: Ledger,
        catalogue: Catalogue,
        tariff: Tariff,
        conversations: Conversations,
        preferences: Preferences,
        chat_model: ChatModel,
        documents: Documents,
        clock: Clock,
        default_model: str,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        expectation = Expectation(documents, clock)
        self._planner = Planner(
            catalogue, tariff, conversations, preferences, expectation, clock, default_model=default_model
        )
        self._admission = Admission(ledger, self._planner, clock)
        self._conversations = conversations
        self._chat_model = chat_model
        self._turns = Turns(documents, clock)
        self._recovery = Recovery(ledger, conversations)
        self._clock = clock
        self._ping_seconds = ping_seconds

    def run(self, request: TurnRequest) -> Generator[TurnEvent, None, None]:
        """The answer as it comes, then `Done`. Closing this generator is the client leaving.

        Nothing is yielded before the hold is placed, so every refusal is raised by the first `next`. Raises
        ConversationNotFound, ModelNotFound, ModelUnpriced, ContextTooLong, InvalidValue, InsufficientCredits and the
        ledger's other refusals, UpstreamUnavailable, UpstreamRejected, IdempotencyMismatch, StillRunning.
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
            yield from self._recovery.replay(turn)
            return
        with _forgetting(claim):
            paid_before = self._recovery.given_up(turn)
        yield from self._take(request, claim, paid_before)

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
        """What this message would cost, in this conversation or in a new one. Raises as `run` does before its hold."""
        return self._planner.estimate(
            uid,
            content=content,
            model=model,
            conversation_id=conversation_id,
            system_prompt=system_prompt,
            max_output_tokens=max_output_tokens,
        )

    # The turn ---------------------------------------------------------------------------------------------------

    def _take(self, request: TurnRequest, claim: Claim, paid_before: Micro) -> Generator[TurnEvent, None, None]:
        """Plan, hold, answer. What fails before its message was to be appended leaves nothing behind."""
        try:
            with _forgetting(claim):
                plan = self._planner.plan(request)
                hold = self._admission.holding(plan, hold_operation(request.operation, claim.run))
            with ExitStack() as unowed:
                unowed.enter_context(hold)
                run = _Run(plan=plan, hold=hold, unowed=unowed, claim=claim, paid_before=paid_before)
                yield from self._answer(run)
        finally:
            claim.stop()

    def _answer(self, run: _Run) -> Generator[TurnEvent, None, None]:
        """Stream, then keep. The client leaving, the upstream failing, the credits ending: all are ways to end."""
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
            if reply.is_empty or not plan.request.is_streamed:
                run.claim.forget()
                raise
            reply.finish_reason, failure = FAILED, error
        answer = self._keep(run, reply)
        if failure is not None:
            raise failure
        yield Done(answer)

    def _stream(self, run: _Run, reply: Reply) -> Generator[TurnEvent, None, None]:
        """Deliver what comes; leaving this aborts the upstream."""
        cap = run.plan.output_cap(run.hold.affordable)
        deadline = self._clock.monotonic() + TURN_SECONDS_MAX
        silence_seconds = min(self._ping_seconds, run.hold.silence_seconds_max)
        with Reading(self._chat_model.stream(run.plan.asked(cap))) as reading:
            while not isinstance(event := reading.next(silence_seconds), Ended):
                if run.claim.is_lost:
                    raise StillRunning
                if self._clock.monotonic() >= deadline:
                    reply.finish_reason = TIMED_OUT
                    return
                if isinstance(event, Silence):
                    run.hold.accrue(reply.cost)
                    yield Ping()
                elif not isinstance(event, TextDelta):
                    reply.note(event)
                elif stopped_by := _stopped_by(text := _clean(event.text), run.hold, reply):
                    reply.finish_reason = stopped_by
                    return
                else:
                    reply.deliver(text)
                    yield Delta(text)
        if event.error is not None:
            raise event.error
        if not reply.is_ended:
            raise UpstreamUnavailable
        reply.name_the_end(is_short_of_credits=cap < run.plan.prompt.output_at_most)

    def _keep(self, run: _Run, reply: Reply) -> Answer:
        """Append the messages, then capture: a crash between the two is finished by whoever takes over.

        What an earlier attempt at this turn had cost when its hold expired is not charged again.
        """
        uid, charge = run.plan.request.uid, Micro(max(0, reply.cost - run.paid_before))
        messages = self._messages(run, reply)
        with _owing(run):
            self._append(run, messages, charge)
        captured = self._captured(uid, run.hold, charge, reply.usage)
        cost = Micro(captured.amount + run.paid_before)
        message = self._recovery.costed(messages[-1], cost)
        settled = Settled(cost=cost, available=captured.balance.available, held=captured.balance.held)
        answer = answered(message, run.claim.finish(settled))
        _log_turn(run, reply, settled)
        if reply.finish_reason == "stop" and not reply.is_estimated:
            self._planner.learn(run.plan, reported=reply.usage.output_tokens, counted=reply.counted)
        return answer

    def _keep_for_nobody(self, run: _Run, reply: Reply) -> None:
        """Nobody hears of a failure here; what is held then ends by itself."""
        try:
            self._keep(run, reply)
        except DomainError as error:
            log("turn_not_kept", "WARNING", hold_id=run.hold.id, code=error.code)

    def _append(self, run: _Run, messages: Sequence[Message], charge: Micro) -> None:
        """In one commit. A conversation that was deleted meanwhile stays deleted; what was used is charged."""
        conversation = run.plan.conversation
        writes: Sequence[Write] = self._conversations.appended(conversation, messages)
        for attempt in range(APPEND_ATTEMPTS_MAX):
            try:
                run.claim.append(writes, message_id=messages[-1].id, charge=charge, paid_before=run.paid_before)
                return
            except PreconditionFailed:
                if attempt == APPEND_ATTEMPTS_MAX - 1:
                    raise
                if not self._conversations.exists(conversation.id):
                    writes = ()

    def _captured(self, uid: Uid, hold: Holding, charge: Micro, usage: Usage) -> Captured:
        """Charge. A hold that ended before (its time was up) took what had accrued, and that is all there will be."""
        try:
            return hold.capture(charge, usage.counts)
        except HoldResolved:
            return self._recovery.captured_before(uid, hold.id)

    def _messages(self, run: _Run, reply: Reply) -> list[Message]:
        """What was said and what was answered, side by side at the end of the conversation."""
        plan, token = run.plan, run.claim.run
        at = max(self._clock.now(), plan.conversation.updated_at + 1)
        said = Message(
            id=derived_id("msg", token, "user"),
            uid=plan.request.uid,
            conversation_id=plan.conversation.id,
            role="user",
            content=plan.request.content,
            position=position(at, token, 0),
            created_at=plan.asked_at,
        )
        answer = replace(
            said,
            id=derived_id("msg", token, "assistant"),
            role="assistant",
            content=reply.text,
            position=position(at, token, 1),
            created_at=at,
            model=plan.model.id,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            is_estimated=reply.is_estimated,
            cost=reply.cost,
            price=plan.price,
        )
        return [said, answer]


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
def _owing(run: _Run) -> Iterator[None]:
    """Once messages are appended, or may be, the hold is left to be captured: by us, by who takes over, or by time."""
    try:
        yield
    except (StillRunning, PreconditionFailed):
        raise
    except BaseException:
        run.unowed.pop_all()
        raise
    run.unowed.pop_all()


def _stopped_by(text: str, hold: Holding, reply: Reply) -> str | None:
    """Why `text` is not delivered: nothing is that is not paid for, or cannot be stored."""
    if not hold.accrue(reply.cost_with(text)):
        return CREDIT_LIMIT
    return "length" if reply.size_bytes + len(text.encode()) > ANSWER_BYTES_MAX else None


def _clean(text: str) -> str:
    """Some upstreams cut a surrogate pair in two; half a character cannot be stored."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _log_turn(run: _Run, reply: Reply, settled: Settled) -> None:
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
