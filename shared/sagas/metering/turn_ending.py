"""The ending of a metered turn before the answer is over, or without a report: the charge, and the reading on.

See `shared.sagas.metering.ending` for the law. Before a call is read on, the most that the call can cost is recorded in
the hold. The instance may stop once the caller has left; then the hold expires and charges that amount.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from shared.ai.chat.conversations import CONTENT_BYTES_MAX
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.ports import ChatEvent, HiddenDelta, TextDelta, UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.clock import SECOND
from shared.kernel.documents import PreconditionFailed
from shared.kernel.errors import DomainError, StillRunning
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.ledger.errors import HoldResolved
from shared.ledger.holding import Holding
from shared.ledger.receipts import AccrualReceipt
from shared.sagas.metering.claims import Pending, TurnReceipt
from shared.sagas.metering.ending import Ending, Sight, ending_of
from shared.sagas.metering.reading import AnswerReading, EndOfAnswer, ReadingWhole, Silence
from shared.sagas.metering.reading_on import Place, ReadingOn
from shared.sagas.metering.reply import CREDIT_LIMIT, DISCONNECTED, FAILED, GrowingReply
from shared.sagas.metering.turn_keeping import PlanT, RecordT, Run, TurnKeeping, owing

ANSWER_BYTES_MAX = CONTENT_BYTES_MAX
READ_ON_PART_OF_LIFETIME = 2
"""Divisor of the hold's lifetime. A call is read on for half of the lifetime at most, so the hold can be charged."""


class TurnEnding(TurnKeeping[PlanT, RecordT]):
    """The part of a metered turn's saga that ends a call early."""

    def __init__(self, *, profiles: UpstreamProfiles, reading_on: ReadingOn, ping_seconds: float, **parts: Any) -> None:
        super().__init__(**parts)
        self._profiles = profiles
        self._reading_on = reading_on
        self._ping_seconds = ping_seconds

    @abstractmethod
    def _delivered(self, run: Run[PlanT], event: TextDelta, text: str) -> Iterable[object]:
        """Yield the events that tell the client of a paid piece of text."""

    def _passed(self, run: Run[PlanT], event: ChatEvent) -> Iterable[object]:
        """Yield the events that tell the client of an upstream event without text."""
        return ()

    def _end(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole, *, is_over: bool
    ) -> tuple[RecordT, TurnReceipt]:
        """End a call whose caller waits for the end. A later report by the provider corrects the record's cost."""
        ending = self._ending(run, reply, reading, is_over=is_over)
        if ending is Ending.READ_ON and (told := self._settling(run, reply, reading)) is not None:
            return told
        self._charge(run, reply, reading, ending)
        return self._keep(run, reply)

    def _end_unheard(self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole) -> None:
        """End a call whose caller has left.

        If the call is read on, the rest is stored as the answer, since the user pays.

        A failure is only logged; the hold then expires.
        """
        try:
            ending = self._ending(run, reply, reading, is_over=False)
            if ending is Ending.READ_ON and self._is_read_for_the_record(run, reply, reading):
                return
            reply.finish_reason = DISCONNECTED
            self._charge(run, reply, reading, ending)
            self._keep(run, reply)
        except DomainError as error:
            log("turn_not_kept", "WARNING", hold_id=run.hold.id, code=error.code)

    def _end_failed(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole, error: DomainError
    ) -> None:
        """End a call that the provider, or our time limit, has cut.

        If nothing was delivered, a failure of the provider costs the user nothing. Once too many calls of this user
        have failed, the user pays for the output that is known to have been generated. Otherwise the call is charged,
        and the delivered text is stored.
        """
        is_ours = isinstance(error, UpstreamTimedOut)
        is_undelivered = reply.is_empty or not run.plan.request.is_streamed
        ending = self._ending(run, reply, reading, is_over=False, is_readable=False)
        self._charge(run, reply, reading, Ending.COUNTED if is_undelivered and not is_ours else ending)
        if not is_undelivered:
            reply.finish_reason = FAILED
            self._keep(run, reply)
        elif is_ours or self._is_failure_charged(run, reply, error):
            run.hold.capture(reply.cost, reply.usage.counts)
        else:
            run.hold.release()

    def _is_failure_charged(self, run: Run[PlanT], reply: GrowingReply, error: DomainError) -> bool:
        if isinstance(error, UpstreamUnavailable) and reply.is_touched:
            error.has_begun = True
        return self._losses.is_failure_charged(
            run.uid,
            error,
            call=run.hold.id,
            model=run.plan.model.id,
            principal=run.plan.request.principal,
            amount=reply.cost,
        )

    # Deciding ------------------------------------------------------------------------------------------------------

    def _ending(
        self,
        run: Run[PlanT],
        reply: GrowingReply,
        reading: AnswerReading | ReadingWhole,
        *,
        is_over: bool,
        is_readable: bool = True,
    ) -> Ending:
        """Decide the ending from the state of the call. A call that has met the bound is not read on."""
        plan = run.plan
        sight = Sight(
            is_over=is_over or reply.is_finished,
            is_readable=is_readable and reading.is_open and not reply.is_cut,
            is_reported=not reply.is_estimated,
            is_streamed=not run.is_whole,
            has_hidden_output=plan.has_hidden_output,
            is_input_bounded=plan.prompt.is_input_counted,
            is_output_counted=plan.choices == 1,
            is_behind=reading.is_behind and not reply.is_overrun,
        )
        return ending_of(sight, self._profiles.of(plan.model.upstream))

    def _charge(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole, ending: Ending
    ) -> None:
        """End the reading, and decide the charge. Output that came but was not delivered was generated, too."""
        for event in reading.rest():
            reply.overhear(event)
        if reply.is_finished and not reply.is_estimated:
            ending = Ending.REPORTED
        if ending is Ending.REPORTED:
            reply.charge(None)
        elif ending is Ending.COUNTED:
            reply.charge_counted(at_most=run.plan.bound(run.output_cap))
            reply.charge_counted(at_most=_held_for(run, reply.cost))
        else:
            reply.charge(self._bound_charged(run, ending))

    def _bound_charged(self, run: Run[PlanT], ending: Ending) -> Micro:
        """Return the charge for a call without a report (µcr): the bound, at most the held amount.

        If there is no room to read the call on, and that has happened too often to this user, the whole bound is
        charged.
        """
        bound = run.plan.bound(run.output_cap)
        held = _held_for(run, bound)
        is_all_charged = ending is Ending.READ_ON and self._losses.is_unread_charged(
            run.uid,
            call=run.hold.id,
            model=run.plan.model.id,
            principal=run.plan.request.principal,
            amount=bound - held,
        )
        return bound if is_all_charged else held

    # Reading on ----------------------------------------------------------------------------------------------------

    def _settling(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole
    ) -> tuple[RecordT, TurnReceipt] | None:
        """Store the record at once, with the most that the call can cost, and read on.

        None if there is no room for that.
        """
        place = self._reading_on.take(run.uid)
        written = self._written_down(run, place)
        if place is None or written is None:
            return None
        accrued = Micro(written.accrued)
        reply.charge(accrued)
        reply.settles_by = self._clock.now() + int(run.hold.lifetime_seconds * SECOND)
        cost = Micro(accrued + run.paid_before)
        # The hold grows while it is read on: the most is what the call can use, as far as there are credits for it.
        at_most = min(run.plan.bound(run.output_cap), max(run.hold.held, accrued) + written.after.available)
        pending = Pending(at_most=Micro(max(at_most, accrued) + run.paid_before), until=reply.settles_by)
        try:
            kept = self._kept(run, reply)
            with owing(run):
                self._store(run, kept, accrued, pending)
        except BaseException:
            place.give_back()
            raise
        self._begin(run, reading, place, lambda: self._settle_later(run, reply, reading, kept.record))
        settled = TurnReceipt(
            cost=cost, available=written.after.available, held=written.after.held, at_most=pending.at_most
        )
        return kept.record, settled

    def _settle_later(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole, record: RecordT
    ) -> None:
        """Read to the report, charge the reported usage, and correct the stored record."""
        reply.charge(None)
        self._read_and_charge(run, reply, reading)
        charge = Micro(max(0, reply.cost - run.paid_before))
        try:
            captured = run.hold.capture(
                charge,
                reply.usage.counts,
                lambda charged: self._corrected(run, record, Micro(charged.amount + run.paid_before), reply),
            )
        except (PreconditionFailed, HoldResolved):
            captured = self._captured(run, charge, reply.usage)
            self._correct(run, record, Micro(captured.amount + run.paid_before), reply)
        cost = Micro(captured.amount + run.paid_before)
        run.claim.finish(TurnReceipt(cost=cost, available=captured.available, held=captured.held))
        self._note_end(run, reply, cost)

    def _is_read_for_the_record(
        self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole
    ) -> bool:
        """Begin to read the rest of an answer whose caller has left. False if there is no room for that."""
        place = self._reading_on.take(run.uid)
        if place is None or self._written_down(run, place) is None:
            return False

        def work() -> None:
            if self._read_and_charge(run, reply, reading):
                reply.name_the_end(is_short_of_credits=run.output_cap < run.plan.prompt.output_at_most)
            else:
                reply.finish_reason = DISCONNECTED
            self._keep(run, reply)

        self._begin(run, reading, place, work)
        return True

    def _written_down(self, run: Run[PlanT], place: Place | None) -> AccrualReceipt | None:
        """Record the most that the call can cost. None if there is no place, or if the hold refuses."""
        if place is None:
            log("not_read_on", "WARNING", hold_id=run.hold.id, code="no_room")
            return None
        try:
            return run.hold.write_down(run.plan.bound(run.output_cap))
        except DomainError as error:
            log("not_read_on", "WARNING", hold_id=run.hold.id, code=error.code)
            place.give_back()
            return None

    def _begin(
        self, run: Run[PlanT], reading: AnswerReading | ReadingWhole, place: Place, work: Callable[[], None]
    ) -> None:
        """Continue this call on a new thread, which owns the reading, the hold and the claim from now on."""
        reading.hand_over()
        run.unowed.pop_all()
        owned = run.owned.pop_all()

        def all_of_it() -> None:
            with owned, closing(reading):
                work()

        try:
            place.begin_reading(all_of_it)
        except RuntimeError:
            log("not_read_on", "ERROR", hold_id=run.hold.id, code="no_thread")
            # The hold's time charges the bound.
            reading.close()
            owned.close()

    def _read_and_charge(self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole) -> bool:
        """Read to the report or to the bound, and let the reply decide the charge. True if the answer is over."""
        is_over = self._is_read_to_its_end(run, reply, reading)
        self._charge(run, reply, reading, self._ending(run, reply, reading, is_over=is_over, is_readable=False))
        return is_over

    def _is_read_to_its_end(self, run: Run[PlanT], reply: GrowingReply, reading: AnswerReading | ReadingWhole) -> bool:
        """Read without delivering, within the credits and the lifetime of the hold.

        True if the provider ended the answer.

        Raises StillRunning if another attempt has taken over.
        """
        deadline = self._clock.monotonic() + run.hold.lifetime_seconds / READ_ON_PART_OF_LIFETIME
        silence_seconds = min(self._ping_seconds, run.hold.silence_seconds_max)
        while not isinstance(event := reading.next(silence_seconds), EndOfAnswer):
            if run.claim.is_lost:
                raise StillRunning
            if self._clock.monotonic() >= deadline:
                return reply.is_finished
            if isinstance(event, Silence):
                run.hold.accrue(reply.cost)
            elif isinstance(event, HiddenDelta):
                if cut_by(clean(event.text), run.hold, reply):
                    return False
                reply.pass_over()
            elif not isinstance(event, TextDelta):
                reply.note(event)
                _exhaust(self._passed(run, event))
            elif cut_by(text := clean(event.text), run.hold, reply):
                return False
            else:
                reply.deliver(text)
                _exhaust(self._delivered(run, event, text))
        return reply.is_finished or (event.error is None and not reply.is_estimated)


def _held_for(run: Run[PlanT], cost: Micro) -> Micro:
    """Hold as much as `cost` (µcr), as far as credits were kept free for the input. Return the part that is held."""
    if cost > run.hold.held:
        try:
            run.hold.write_down(cost)
        except DomainError as error:
            log("bound_not_held", "WARNING", hold_id=run.hold.id, code=error.code)
    return Micro(min(cost, run.hold.held))


def cut_by(text: str, hold: Holding, reply: GrowingReply) -> str | None:
    """Return a finish reason if `text` must not be delivered, else None.

    `credit_limit`: the balance does not cover this text. `length`: the text exceeds the requested or storable size.
    """
    if not hold.accrue(reply.cost_with(text)):
        reply.is_cut = True
        return CREDIT_LIMIT
    reply.is_cut = reply.is_overrun or reply.size_bytes + len(text.encode()) > ANSWER_BYTES_MAX
    return "length" if reply.is_cut else None


def clean(text: str) -> str:
    """Return the text in a form that can be stored: some upstreams cut a surrogate pair in two."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _exhaust(events: Iterable[object]) -> None:
    """Run through the events and drop them, since no client listens."""
    for _ in events:
        pass
