"""The record and the charge of an attempt: store the record, charge the hold, remember the result.

If possible, all is one commit. Otherwise the record is stored first and charged then. A crash between the
two is repaired by the next call with the same key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic

from shared.kernel.documents import PreconditionFailed, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.ledger.errors import HoldResolved
from shared.ledger.holding import HoldCharge
from shared.sagas.metering.attempt import Attempt, EventT
from shared.sagas.metering.call_losses import CallLosses
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.turn_kind import AnswerRecord
from shared.sagas.metering.turn_record import Pending, TurnAnswer, TurnReceipt

APPEND_ATTEMPTS_MAX = 3
CORRECT_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfTurn(Generic[EventT]):
    """The stored record of an answer, and the receipt for the caller."""

    record: AnswerRecord[EventT]
    receipt: TurnReceipt

    @property
    def events(self) -> Iterable[EventT]:
        """The client's events that end the answer."""
        return self.record.end_events(self.receipt)


class TurnKeeping(Generic[EventT]):
    """Stores the answer of one attempt and charges the attempt's hold."""

    def __init__(self, parts: MeteringParts, recovery: TurnRecovery, attempt: Attempt[EventT]) -> None:
        self._documents = parts.documents
        self._expectation = parts.expectation
        self._losses = CallLosses(parts.losses)
        self._recovery = recovery
        self._attempt = attempt

    def keep(self) -> EndOfTurn[EventT]:
        """Store the record and charge the hold, in one commit.

        If that is not possible, the record is stored and then charged. After a crash between the two, the next attempt
        finishes the charge. The cost of a crashed attempt at this turn is not charged again.
        """
        attempt, record = self._attempt, self.record()
        answer = self._answer(record, attempt.unpaid)
        with attempt.owing():
            charge = self._stored_and_charged(answer)
            if charge is None:
                self._store(record, answer)
        if charge is None:
            charge = self._charged(answer.charge)
        receipt = TurnReceipt.of(charge, attempt.paid_before)
        record = record.costed(receipt.cost)
        receipt = attempt.claim.finish(receipt)
        self._note_end(receipt.cost)
        self._learn_length()
        return EndOfTurn(record=record, receipt=receipt)

    def record(self) -> AnswerRecord[EventT]:
        """Return the record of the reply as it is now."""
        return self._attempt.turn.record(self._attempt.claim.run, self._attempt.reply)

    def store_pending(self, record: AnswerRecord[EventT], charge: Micro, pending: Pending) -> None:
        """Store the record and the charge so far (µcr) in one commit with the turn. The hold stays open."""
        with self._attempt.owing():
            self._store(record, replace(self._answer(record, charge), pending=pending))

    def charge_late(self, record: AnswerRecord[EventT]) -> None:
        """Charge the reported usage of an answer whose record is stored, correct the record, and end the turn."""
        attempt = self._attempt
        correction = Correction(attempt=attempt, record=record)
        try:
            charge = attempt.hold.capture(attempt.unpaid, attempt.reply.usage.counts, correction.writes)
        except (PreconditionFailed, HoldResolved):
            charge = self._charged(attempt.unpaid)
            self._correct(correction, charge)
        receipt = TurnReceipt.of(charge, attempt.paid_before)
        attempt.claim.finish(receipt)
        self._note_end(receipt.cost)

    def _answer(self, record: AnswerRecord[EventT], charge: Micro) -> TurnAnswer:
        return TurnAnswer(
            message_id=record.id, writes=record.writes, charge=charge, paid_before=self._attempt.paid_before
        )

    def _stored_and_charged(self, answer: TurnAnswer) -> HoldCharge | None:
        """Store the record, charge the hold and end the turn in one commit.

        Return None if nothing was done, as the hold or a document of the record had changed.
        """
        attempt = self._attempt
        try:
            with attempt.claim.final_commit(answer) as commit:
                return attempt.hold.capture(answer.charge, attempt.reply.usage.counts, commit.writes)
        except (PreconditionFailed, HoldResolved):
            return None

    def _store(self, record: AnswerRecord[EventT], answer: TurnAnswer) -> None:
        """Store the record in one commit with the turn."""
        for attempt in range(APPEND_ATTEMPTS_MAX):
            try:
                self._attempt.claim.append(answer)
                return
            except PreconditionFailed:
                if attempt == APPEND_ATTEMPTS_MAX - 1:
                    raise
                answer = replace(answer, writes=record.writes_after_refusal(answer.writes))

    def _charged(self, charge: Micro) -> HoldCharge:
        """Charge the hold. If the hold has expired, the accrued amount was charged, and nothing more is charged."""
        attempt = self._attempt
        try:
            return attempt.hold.capture(charge, attempt.reply.usage.counts)
        except HoldResolved:
            return self._recovery.past_charge(attempt.uid, attempt.hold.operation)

    def _correct(self, correction: "Correction[EventT]", charge: HoldCharge) -> None:
        """Correct a stored record whose charge is done. A document that is gone stays gone.

        After a change by another writer, the writes are built again.
        """
        refusals: list[str] = []
        for _ in range(CORRECT_ATTEMPTS_MAX):
            refusals = [code for write in correction.writes(charge) if (code := self._refusal(write))]
            if PreconditionFailed.code not in refusals:
                break
        for code in refusals:
            log("cost_not_corrected", "WARNING", code=code)

    def _refusal(self, write: Write) -> str | None:
        """Commit one write, and return the code of the error; None if the write is done."""
        try:
            self._documents.commit([write])
        except DomainError as error:
            return error.code
        return None

    def _learn_length(self) -> None:
        """Remember the length of an answer that ended by itself."""
        plan, reply = self._attempt.plan, self._attempt.reply
        if reply.finish_reason == "stop" and not reply.is_estimated and plan.is_telling:
            self._expectation.learn(plan.model, plan.request.uid, reported=reply.usage.output_tokens)

    def _note_end(self, cost: Micro) -> None:
        """Log the end of the turn. If the provider exceeded the requested length, count the platform's loss."""
        attempt, reply = self._attempt, self._attempt.reply
        plan, usage = attempt.plan, reply.usage
        limit = plan.prompt.output_at_most
        if usage.output_tokens > limit and not reply.is_estimated:
            # Ours to bear, and for an operator to know: the model's document, or its provider, is wrong about limits.
            log("limit_not_kept", "ERROR", model=plan.model.id, limit=limit)
            self._losses.bear(
                attempt.uid,
                "limit_not_kept",
                call=attempt.hold.id,
                model=plan.model.id,
                principal=plan.request.principal,
                amount=plan.rate.price(usage) - plan.rate.price(usage.within(limit)),
            )
        log(
            "chat_turn_captured",
            uid=attempt.uid,
            hold_id=attempt.hold.id,
            model=plan.model.id,
            finish_reason=reply.finish_reason,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            estimated=reply.is_estimated,
            cost=cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction(Generic[EventT]):
    """Correction of a stored record, from the reported usage and the ledger's charge."""

    attempt: Attempt[EventT]
    record: AnswerRecord[EventT]

    def writes(self, charge: HoldCharge) -> Sequence[Write]:
        """Build the writes that correct the record."""
        cost = TurnReceipt.of(charge, self.attempt.paid_before).cost
        return self.record.writes_of_correction(self.attempt.reply, cost)
