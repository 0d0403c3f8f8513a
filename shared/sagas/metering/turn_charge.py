"""The amount that one attempt is charged: by the report, by our count, or by the most that the call can have cost.

See `shared.sagas.metering.ending` for the law.
"""

from typing import Generic

from shared.ai.chat.messages import CONTENT_BYTES_MAX
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.money import Micro
from shared.sagas.metering.attempt import Attempt, CallCredits, EventT
from shared.sagas.metering.call_losses import CallLosses
from shared.sagas.metering.ending import Ending, Sight, ending_of
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.reading import AnyReading
from shared.sagas.metering.reply import CREDIT_LIMIT, GrowingReply

ANSWER_BYTES_MAX = CONTENT_BYTES_MAX


class TurnCharge(Generic[EventT]):
    """Decides the charge of one attempt, and fixes the charge in the reply."""

    def __init__(self, parts: MeteringParts, attempt: Attempt[EventT], reading: AnyReading) -> None:
        self._profiles = parts.profiles
        self._losses = CallLosses(parts.losses)
        self._attempt = attempt
        self._reading = reading

    def ending(self, *, is_over: bool, is_readable: bool = True) -> Ending:
        """Decide the ending from the state of the call. A call that has met the bound is not read on."""
        attempt, reply, reading = self._attempt, self._attempt.reply, self._reading
        plan = attempt.plan
        sight = Sight(
            is_over=is_over or reply.is_finished,
            is_readable=is_readable and reading.is_open and not reply.is_cut,
            is_reported=not reply.is_estimated,
            is_streamed=not attempt.is_whole,
            has_hidden_output=plan.has_hidden_output,
            is_input_bounded=plan.prompt.is_input_counted,
            is_output_counted=plan.choices == 1,
            is_behind=reading.is_behind and not reply.is_overrun,
        )
        return ending_of(sight, self._profiles.of(plan.model.upstream))

    def fix(self, ending: Ending) -> None:
        """End the reading, and fix the charge. Output that came but was not delivered was generated, too."""
        attempt, reply = self._attempt, self._attempt.reply
        for event in self._reading.rest():
            reply.overhear(event)
        if reply.is_finished and not reply.is_estimated:
            ending = Ending.REPORTED
        if ending is Ending.REPORTED:
            reply.charge(None)
        elif ending is Ending.COUNTED:
            reply.charge_counted(at_most=attempt.bound)
            reply.charge_counted(at_most=_held_for(attempt.hold, reply.cost))
        else:
            reply.charge(self._bound_charged(ending))

    def is_failure_charged(self, error: DomainError) -> bool:
        """Return True if this user pays for the call although the provider failed. Else count the platform's loss."""
        attempt = self._attempt
        return self._losses.is_failure_charged(
            attempt.uid,
            error,
            call=attempt.hold.id,
            model=attempt.plan.model.id,
            principal=attempt.plan.request.principal,
            amount=attempt.reply.cost,
        )

    def _bound_charged(self, ending: Ending) -> Micro:
        """Return the charge for a call without a report (µcr): the bound, at most the held amount.

        If there is no room to read the call on, and that has happened too often to this user, the whole bound is
        charged.
        """
        attempt = self._attempt
        bound = attempt.bound
        held = _held_for(attempt.hold, bound)
        is_all_charged = ending is Ending.READ_ON and self._losses.is_unread_charged(
            attempt.uid,
            call=attempt.hold.id,
            model=attempt.plan.model.id,
            principal=attempt.plan.request.principal,
            amount=bound - held,
        )
        return bound if is_all_charged else held


def _held_for(hold: CallCredits, cost: Micro) -> Micro:
    """Hold as much as `cost` (µcr), as far as credits were kept free for the input. Return the part that is held."""
    if cost > hold.held:
        try:
            hold.write_down(cost)
        except DomainError as error:
            log("bound_not_held", "WARNING", hold_id=hold.id, code=error.code)
    return Micro(min(cost, hold.held))


def cut_by(text: str, hold: CallCredits, reply: GrowingReply) -> str | None:
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
