"""The delivery of one answer: pay for each piece of text before the client gets the piece."""

from collections.abc import Generator, Iterator
from typing import Generic

from shared.ai.ports import ChatEvent, HiddenDelta, TextDelta, UpstreamUnavailable
from shared.kernel.errors import StillRunning
from shared.sagas.metering.attempt import Attempt, EventT
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.reading import AnyReading, EndOfAnswer, Pulse, Silence
from shared.sagas.metering.reply import STOPPED, TIMED_OUT
from shared.sagas.metering.turn_charge import clean, cut_by

TURN_SECONDS_MAX = 500.0
"""Most seconds of a turn. The turn ends before the function that runs the turn (540 s) would be ended."""
SILENCE_SECONDS_MAX = 300.0
"""Most seconds of silence of a provider. After that the provider has failed, unless the model may be thinking."""


class AnswerDelivery(Generic[EventT]):
    """Delivers the answer of one attempt."""

    def __init__(self, parts: MeteringParts, attempt: Attempt[EventT], reading: AnyReading) -> None:
        self._clock = parts.clock
        self._ping_seconds = parts.ping_seconds
        self._health = parts.health
        self._attempt = attempt
        self._reading = reading
        self._deadline = self._clock.monotonic() + TURN_SECONDS_MAX
        self._pulse = Pulse(self._clock, self._ping_seconds)
        self._heard_at = self._clock.monotonic()
        """Time at which the provider was heard last (monotonic seconds)."""

    def events(self) -> Generator[EventT, None, bool]:
        """Yield the client's events.

        Return True if the upstream ended the answer; else the reply names the finish reason. Raises StillRunning if
        another attempt has taken over, and the upstream's error.
        """
        attempt, reply = self._attempt, self._attempt.reply
        silence_seconds = min(self._ping_seconds, attempt.hold.silence_seconds_max)
        while not isinstance(event := self._reading.next(silence_seconds), EndOfAnswer):
            if attempt.claim.is_lost:
                raise StillRunning
            if reason := self._reason_to_end():
                reply.finish_reason = reason
                reply.overhear(event) if not isinstance(event, Silence) else None
                return False
            self._note_sign_of_life(event)
            if isinstance(event, Silence):
                attempt.hold.accrue(reply.cost)
                yield attempt.turn.silence
            elif not isinstance(event, TextDelta | HiddenDelta):
                yield from self._noted(event)
            elif cut := cut_by(text := clean(event.text), attempt.hold, reply):
                reply.finish_reason = cut
                return False
            else:
                yield from self._taken(event, text)
        if event.error is not None:
            raise event.error
        if not reply.is_ended:
            raise UpstreamUnavailable(has_begun=True)
        self._health.answered(attempt.plan.model.id)
        reply.name_the_end(is_short_of_credits=attempt.is_short_of_credits)
        return True

    def _note_sign_of_life(self, event: ChatEvent | Silence) -> None:
        """Note when the provider was heard last.

        Raises UpstreamUnavailable if the last event is too long ago. A model with hidden output may be thinking, which
        is billed. The turn's own time limit ends such a call.
        """
        now = self._clock.monotonic()
        if not isinstance(event, Silence):
            self._heard_at = now
        elif now - self._heard_at >= SILENCE_SECONDS_MAX and not self._attempt.plan.has_hidden_output:
            raise UpstreamUnavailable(has_begun=True)

    def _noted(self, event: ChatEvent) -> Iterator[EventT]:
        """Record an event without text, and yield the client's events for that event."""
        self._attempt.reply.note(event)
        for other in self._attempt.turn.other_events(event):
            self._attempt.reply.is_begun = True
            yield other

    def _taken(self, event: TextDelta | HiddenDelta, text: str) -> Iterator[EventT]:
        """Record a text that is paid for, and yield the client's events for that text.

        To the client, a model that only thinks is silent.
        """
        if isinstance(event, HiddenDelta):
            self._attempt.reply.pass_over()
            if self._pulse.is_due():
                yield self._attempt.turn.silence
            return
        self._attempt.reply.deliver(text)
        yield from self._attempt.turn.text_events(event, text)

    def _reason_to_end(self) -> str | None:
        """Return the reason to end a call that the upstream has not ended, or None.

        An answer in one piece is never ended here: once a part is there, all of the answer is.
        """
        if self._attempt.is_whole:
            return None
        if self._attempt.plan.request.stop.is_given:
            return STOPPED
        return TIMED_OUT if self._clock.monotonic() >= self._deadline else None
