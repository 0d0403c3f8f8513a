"""The record and the charge of a metered turn: store the record, charge the hold, remember the result.

If possible, all is one commit. Otherwise the record is stored first and charged then. A crash between the
two is repaired by the next call with the same key.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.ai.models.expectation import Expectation
from shared.ai.tokens import Usage
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, PreconditionFailed, Write
from shared.kernel.errors import DomainError, StillRunning
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.ledger.errors import HoldResolved
from shared.ledger.holding import HoldCharge, Holding
from shared.ledger.losses import Losses
from shared.sagas.metering.call_losses import CallLosses
from shared.sagas.metering.claims import Claim, Pending, TurnReceipt
from shared.sagas.metering.plan import MeteredPlan
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import GrowingReply

APPEND_ATTEMPTS_MAX = 3

PlanT = TypeVar("PlanT", bound=MeteredPlan)
RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord(Generic[RecordT]):
    """A record of an answer, the record's id, and the writes that store the record."""

    id: str
    record: RecordT
    writes: Sequence[Write] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Generic[PlanT]):
    """One attempt at a turn: the plan, the held credits, and the right to finish the turn.

    `paid_before`: the cost of crashed attempts (µcr), which is not charged again. `output_cap`: the most output
    tokens that the provider may generate. `is_whole`: the answer comes in one piece. `unowed` ends the hold, and
    `owned` the claim. Both are emptied when another thread takes over.
    """

    plan: PlanT
    hold: Holding
    claim: Claim
    paid_before: Micro
    output_cap: int
    is_whole: bool
    unowed: ExitStack
    owned: ExitStack

    @property
    def uid(self) -> Uid:
        """The user who pays for the turn."""
        return self.plan.request.uid


class TurnKeeping(ABC, Generic[PlanT, RecordT]):
    """The part of a metered turn's saga that stores the answer. Each kind of turn defines the record."""

    def __init__(
        self,
        *,
        recovery: TurnRecovery,
        expectation: Expectation,
        losses: Losses | None,
        documents: Documents,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._recovery = recovery
        self._expectation = expectation
        self._losses = CallLosses(losses)
        self._clock = clock

    @abstractmethod
    def _kept(self, run: Run[PlanT], reply: GrowingReply) -> TurnRecord[RecordT]:
        """Build the record of the answer."""

    def _still_wanted(self, run: Run[PlanT], writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes to try next, after a precondition of `writes` failed."""
        return writes

    def _costed(self, record: RecordT, cost: Micro) -> RecordT:
        """Return the record with the charge added."""
        return record

    def _corrected(self, run: Run[PlanT], record: RecordT, cost: Micro, reply: GrowingReply) -> Sequence[Write]:
        """Build the writes that correct a stored record, once the provider has reported the usage."""
        return ()

    def _correct(self, run: Run[PlanT], record: RecordT, cost: Micro, reply: GrowingReply) -> None:
        """Correct a stored record whose charge is done. A document that is gone stays gone."""
        for write in self._corrected(run, record, cost, reply):
            try:
                self._documents.commit([write])
            except DomainError as error:
                log("cost_not_corrected", "WARNING", code=error.code)

    def _learned(self, run: Run[PlanT], reply: GrowingReply) -> None:
        """Remember the length of an answer that ended by itself."""
        self._expectation.learn(run.plan.model, run.plan.request.uid, reported=reply.usage.output_tokens)

    def _keep(self, run: Run[PlanT], reply: GrowingReply) -> tuple[RecordT, TurnReceipt]:
        """Store the record and charge the hold, in one commit.

        If that is not possible, the record is stored and then charged. After a crash between the two, the next attempt
        finishes the charge. The cost of a crashed attempt at this turn is not charged again.
        """
        charge = Micro(max(0, reply.cost - run.paid_before))
        kept = self._kept(run, reply)
        with owing(run):
            captured = self._stored_and_captured(run, kept, charge, reply.usage)
            if captured is None:
                self._store(run, kept, charge)
        if captured is None:
            captured = self._captured(run, charge, reply.usage)
        cost = Micro(captured.amount + run.paid_before)
        record = self._costed(kept.record, cost)
        settled = TurnReceipt(cost=cost, available=captured.available, held=captured.held)
        settled = run.claim.finish(settled)
        self._note_end(run, reply, settled.cost)
        if reply.finish_reason == "stop" and not reply.is_estimated and run.plan.is_telling:
            self._learned(run, reply)
        return record, settled

    def _stored_and_captured(
        self, run: Run[PlanT], kept: TurnRecord[RecordT], charge: Micro, usage: Usage
    ) -> HoldCharge | None:
        """Store the record, charge the hold and end the turn in one commit.

        Return None if nothing was done, as the hold or a document of the record had changed.
        """
        try:
            with run.claim.settling(
                kept.writes, message_id=kept.id, charge=charge, paid_before=run.paid_before
            ) as settle:
                return run.hold.capture(
                    charge,
                    usage.counts,
                    lambda charged: settle(
                        TurnReceipt(
                            cost=Micro(charged.amount + run.paid_before),
                            available=charged.available,
                            held=charged.held,
                        )
                    ),
                )
        except (PreconditionFailed, HoldResolved):
            return None

    def _store(self, run: Run[PlanT], kept: TurnRecord[RecordT], charge: Micro, pending: Pending | None = None) -> None:
        """Store the record in one commit with the turn."""
        writes = kept.writes
        for attempt in range(APPEND_ATTEMPTS_MAX):
            try:
                run.claim.append(
                    writes, message_id=kept.id, charge=charge, paid_before=run.paid_before, pending=pending
                )
                return
            except PreconditionFailed:
                if attempt == APPEND_ATTEMPTS_MAX - 1:
                    raise
                writes = self._still_wanted(run, writes)

    def _captured(self, run: Run[PlanT], charge: Micro, usage: Usage) -> HoldCharge:
        """Charge the hold. If the hold has expired, the accrued amount was charged, and nothing more is charged."""
        try:
            return run.hold.capture(charge, usage.counts)
        except HoldResolved:
            return self._recovery.past_charge(run.uid, run.hold.operation)

    def _note_end(self, run: Run[PlanT], reply: GrowingReply, cost: Micro) -> None:
        limit, usage = run.plan.prompt.output_at_most, reply.usage
        if usage.output_tokens > limit and not reply.is_estimated:
            # Ours to bear, and for an operator to know: the model's document, or its provider, is wrong about limits.
            log("limit_not_kept", "ERROR", model=run.plan.model.id, limit=limit)
            beyond = run.plan.rate.price(usage) - run.plan.rate.price(usage.within(limit))
            self._losses.bear(
                run.uid,
                "limit_not_kept",
                call=run.hold.id,
                model=run.plan.model.id,
                principal=run.plan.request.principal,
                amount=beyond,
            )
        log(
            "chat_turn_captured",
            uid=run.uid,
            hold_id=run.hold.id,
            model=run.plan.model.id,
            finish_reason=reply.finish_reason,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            estimated=reply.is_estimated,
            cost=cost,
        )


@contextmanager
def owing(run: Run[PlanT]) -> Iterator[None]:
    """Keep the hold open after the block, unless the block certainly stored no record.

    The hold is then charged by this attempt, by another attempt, or by expiry.
    """
    try:
        yield
    except (StillRunning, PreconditionFailed):
        raise
    except BaseException:
        run.unowed.pop_all()
        raise
    run.unowed.pop_all()
