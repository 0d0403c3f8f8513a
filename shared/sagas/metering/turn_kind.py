"""Verbs of a kind of metered turn: plan a request, ask the model, name the client's events, record the answer.

A kind has no say in credits: `MeteredTurn` holds, charges and commits in the same way for all kinds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self, TypeVar

from shared.ai.ports import ChatEvent, ChatStream, TextDelta
from shared.kernel.documents import Write
from shared.kernel.money import Micro
from shared.sagas.metering.plan import MeteredPlan
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.turn_record import Turn, TurnReceipt

RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
EventT_co = TypeVar("EventT_co", covariant=True)


class AnswerRecord(Protocol[EventT_co]):
    """Record of one answer: the documents that store the answer, and the client's events that end the answer."""

    @property
    def id(self) -> str:
        """Return the id of the record."""
        ...

    @property
    def writes(self) -> Sequence[Write]:
        """Return the writes that store the record."""
        ...

    def writes_after_refusal(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes to try next, after a precondition of `writes` failed."""
        ...

    def costed(self, cost: Micro) -> Self:
        """Return the record with the charged cost (µcr). If another cost was stored, correct the stored record."""
        ...

    def writes_of_correction(self, reply: GrowingReply, cost: Micro) -> Sequence[Write]:
        """Build the writes that correct the stored record, once the provider has reported the usage in `reply`."""
        ...

    def end_events(self, receipt: TurnReceipt) -> Iterable[EventT_co]:
        """Return the events that end the answer."""
        ...


class PlannedTurn(Protocol[EventT_co]):
    """One request as planned: asks the model, translates the answer for the client, and records the answer."""

    @property
    def plan(self) -> MeteredPlan:
        """Return the plan: the model, the price and the size of the hold."""
        ...

    @property
    def silence(self) -> EventT_co:
        """Return the event that tells the client that the model is silent."""
        ...

    def open_stream(self, output_cap: int, *, is_whole: bool) -> ChatStream:
        """Return the upstream's growing answer, of at most `output_cap` tokens; `is_whole`: in one piece."""
        ...

    def text_events(self, event: TextDelta, text: str) -> Iterable[EventT_co]:
        """Return the client's events for `text`, a paid piece of the answer that came in `event`."""
        ...

    def other_events(self, event: ChatEvent) -> Iterable[EventT_co]:
        """Return the client's events for an upstream event without text."""
        ...

    def record(self, attempt: str, reply: GrowingReply) -> AnswerRecord[EventT_co]:
        """Build the record of the answer. `attempt` names the attempt at the turn, and derives the record's id."""
        ...


class TurnKind(Protocol[RequestT_contra, EventT_co]):
    """Verbs of one kind of turn."""

    @property
    def recovery(self) -> TurnRecovery:
        """Return the recovery of this kind's crashed attempts."""
        ...

    def plan(self, request: RequestT_contra, failed: Sequence[str]) -> PlannedTurn[EventT_co]:
        """Return the planned turn, and hold no credits. `failed` models were asked already."""
        ...

    def replay(self, turn: Turn, request: RequestT_contra) -> Iterator[EventT_co]:
        """Return the events of the stored answer again. A stored failure is raised again."""
        ...
