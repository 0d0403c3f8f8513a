"""Reading of a call to the provider's report, after the caller got the answer or has left.

Before a call is read on, the most that the call can cost is recorded in the hold. The instance may stop once the caller
has left; then the hold expires and charges that amount.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Generic

from shared.ai.ports import HiddenDelta, TextDelta
from shared.kernel.clock import SECOND
from shared.kernel.errors import DomainError, StillRunning
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.ledger.receipts import AccrualReceipt
from shared.sagas.metering.attempt import Attempt, EventT
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.reading import AnyReading, EndOfAnswer, Silence
from shared.sagas.metering.reading_on import Place
from shared.sagas.metering.reply import DISCONNECTED
from shared.sagas.metering.turn_charge import TurnCharge, clean, cut_by
from shared.sagas.metering.turn_keeping import EndOfTurn, TurnKeeping
from shared.sagas.metering.turn_kind import AnswerRecord
from shared.sagas.metering.turn_record import Pending, TurnReceipt

READ_ON_PART_OF_LIFETIME = 2
"""Divisor of the hold's lifetime. A call is read on for half of the lifetime at most, so the hold can be charged."""


class LateReading(Generic[EventT]):
    """Reads the rest of one call on another thread, then charges the reported usage."""

    def __init__(
        self,
        parts: MeteringParts,
        attempt: Attempt[EventT],
        reading: AnyReading,
        charge: TurnCharge[EventT],
        keeping: TurnKeeping[EventT],
    ) -> None:
        self._parts = parts
        self._attempt = attempt
        self._reading = reading
        self._charge = charge
        self._keeping = keeping

    def end_before_report(self) -> EndOfTurn[EventT] | None:
        """Store the record before the provider's report, and return the end of the turn with its greatest cost.

        The amount accrued so far stays on the hold. Another thread reads the rest of the answer and charges the
        reported usage. None if no place for that thread is free, or if the hold takes no more writes.
        """
        attempt, reply = self._attempt, self._attempt.reply
        place = self._parts.reading_on.take(attempt.uid)
        written = self._written_down(place)
        if place is None or written is None:
            return None
        accrued = Micro(written.accrued)
        reply.charge(accrued)
        reply.settles_by = self._parts.clock.now() + int(attempt.hold.lifetime_seconds * SECOND)
        pending = Pending(at_most=self._at_most(written), until=reply.settles_by)
        try:
            record = self._keeping.record()
            self._keeping.store_pending(record, accrued, pending)
        except BaseException:
            place.give_back()
            raise
        self._begin(place, lambda: self._charge_report(record))
        receipt = TurnReceipt(
            cost=Micro(accrued + attempt.paid_before),
            available=written.after.available,
            held=written.after.held,
            at_most=pending.at_most,
        )
        return EndOfTurn(record=record, receipt=receipt)

    def is_begun_for_the_record(self) -> bool:
        """Begin to read the rest of an answer whose caller has left. Return False if no place for that is free."""
        place = self._parts.reading_on.take(self._attempt.uid)
        if place is None or self._written_down(place) is None:
            return False
        self._begin(place, self._keep_rest)
        return True

    def _at_most(self, written: AccrualReceipt) -> Micro:
        """Return the most that the turn can cost (µcr): the hold grows during the reading, as far as credits allow."""
        attempt = self._attempt
        affordable = max(attempt.hold.held, written.accrued) + written.after.available
        return Micro(max(min(attempt.bound, affordable), written.accrued) + attempt.paid_before)

    def _written_down(self, place: Place | None) -> AccrualReceipt | None:
        """Record the most that the call can cost. None if there is no place, or if the hold refuses."""
        hold = self._attempt.hold
        if place is None:
            log("not_read_on", "WARNING", hold_id=hold.id, code="no_room")
            return None
        try:
            return hold.write_down(self._attempt.bound)
        except DomainError as error:
            log("not_read_on", "WARNING", hold_id=hold.id, code=error.code)
            place.give_back()
            return None

    def _begin(self, place: Place, work: Callable[[], None]) -> None:
        """Continue this call on a new thread, which owns the reading, the hold and the claim from now on."""
        self._reading.hand_over()
        self._attempt.unowed.pop_all()
        owned = self._attempt.owned.pop_all()

        def all_of_it() -> None:
            with owned, closing(self._reading):
                work()

        try:
            place.begin_reading(all_of_it)
        except RuntimeError:
            log("not_read_on", "ERROR", hold_id=self._attempt.hold.id, code="no_thread")
            # The hold's time charges the bound.
            self._reading.close()
            owned.close()

    def _charge_report(self, record: AnswerRecord[EventT]) -> None:
        """Read to the report, charge the reported usage, and correct the stored record."""
        self._attempt.reply.charge(None)
        self._read_and_charge()
        self._keeping.charge_late(record)

    def _keep_rest(self) -> None:
        """Read to the report, and store all of the text as the answer, since the user pays for all of it."""
        reply = self._attempt.reply
        if self._read_and_charge():
            reply.name_the_end(is_short_of_credits=self._attempt.is_short_of_credits)
        else:
            reply.finish_reason = DISCONNECTED
        self._keeping.keep()

    def _read_and_charge(self) -> bool:
        """Read to the report or to the bound, and fix the charge. True if the answer is over."""
        is_over = self._is_read_to_its_end()
        self._charge.fix(self._charge.ending(is_over=is_over, is_readable=False))
        return is_over

    def _is_read_to_its_end(self) -> bool:
        """Read without delivering, within the credits and the lifetime of the hold.

        True if the provider ended the answer.

        Raises StillRunning if another attempt has taken over.
        """
        attempt, clock = self._attempt, self._parts.clock
        turn, reply, hold = attempt.turn, attempt.reply, attempt.hold
        deadline = clock.monotonic() + hold.lifetime_seconds / READ_ON_PART_OF_LIFETIME
        silence_seconds = min(self._parts.ping_seconds, hold.silence_seconds_max)
        while not isinstance(event := self._reading.next(silence_seconds), EndOfAnswer):
            if attempt.claim.is_lost:
                raise StillRunning
            if clock.monotonic() >= deadline:
                return reply.is_finished
            if isinstance(event, Silence):
                hold.accrue(reply.cost)
            elif isinstance(event, HiddenDelta):
                if cut_by(clean(event.text), hold, reply):
                    return False
                reply.pass_over()
            elif not isinstance(event, TextDelta):
                reply.note(event)
                _exhaust(turn.other_events(event))
            elif cut_by(text := clean(event.text), hold, reply):
                return False
            else:
                reply.deliver(text)
                _exhaust(turn.text_events(event, text))
        return reply.is_finished or (event.error is None and not reply.is_estimated)


def _exhaust(events: Iterable[object]) -> None:
    """Run through the events and drop them, since no client listens."""
    for _ in events:
        pass
