"""The ending of one attempt: in time, after the caller has left, or after the provider has failed."""

from typing import Generic

from shared.ai.ports import UpstreamTimedOut, UpstreamUnavailable
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.sagas.metering.attempt import Attempt, EventT
from shared.sagas.metering.ending import Ending
from shared.sagas.metering.late_reading import LateReading
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.reading import AnyReading
from shared.sagas.metering.reply import DISCONNECTED, FAILED
from shared.sagas.metering.turn_charge import TurnCharge
from shared.sagas.metering.turn_keeping import EndOfTurn, TurnKeeping


class TurnEnding(Generic[EventT]):
    """Ends one attempt: decides the charge, then stores the answer or reads the call on."""

    def __init__(
        self, parts: MeteringParts, attempt: Attempt[EventT], reading: AnyReading, keeping: TurnKeeping[EventT]
    ) -> None:
        self._attempt = attempt
        self._keeping = keeping
        self._charge = TurnCharge(parts, attempt, reading)
        self._late = LateReading(parts, attempt, reading, self._charge, keeping)

    def end(self, *, is_over: bool) -> EndOfTurn[EventT]:
        """End a call whose caller waits for the end. A later report by the provider corrects the record's cost."""
        ending = self._charge.ending(is_over=is_over)
        if ending is Ending.READ_ON and (end := self._late.end_before_report()) is not None:
            return end
        self._charge.fix(ending)
        return self._keeping.keep()

    def end_unheard(self) -> None:
        """End a call whose caller has left.

        If the call is read on, the rest is stored as the answer, since the user pays.

        A failure is only logged; the hold then expires.
        """
        attempt = self._attempt
        try:
            ending = self._charge.ending(is_over=False)
            if ending is Ending.READ_ON and self._late.is_begun_for_the_record():
                return
            attempt.reply.finish_reason = DISCONNECTED
            self._charge.fix(ending)
            self._keeping.keep()
        except DomainError as error:
            log("turn_not_kept", "WARNING", hold_id=attempt.hold.id, code=error.code)

    def end_failed(self, error: DomainError) -> None:
        """End a call that the provider, or our time limit, has cut.

        If nothing was delivered, a failure of the provider costs the user nothing. Once too many calls of this user
        have failed, the user pays for the output that is known to have been generated. Otherwise the call is charged,
        and the delivered text is stored.
        """
        hold, reply = self._attempt.hold, self._attempt.reply
        is_ours = isinstance(error, UpstreamTimedOut)
        is_undelivered = reply.is_empty or not self._attempt.plan.request.is_streamed
        ending = self._charge.ending(is_over=False, is_readable=False)
        self._charge.fix(Ending.COUNTED if is_undelivered and not is_ours else ending)
        if not is_undelivered:
            reply.finish_reason = FAILED
            self._keeping.keep()
        elif is_ours or self._is_failure_charged(error):
            hold.capture(reply.cost, reply.usage.counts)
        else:
            hold.release()

    def _is_failure_charged(self, error: DomainError) -> bool:
        """Return True if the user pays for this failure. A failure after any event counts as a call that has begun."""
        if isinstance(error, UpstreamUnavailable) and self._attempt.reply.is_touched:
            error.has_begun = True
        return self._charge.is_failure_charged(error)
