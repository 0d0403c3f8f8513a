"""Turn of a conversation as a kind of metered turn: the prompt, the client's events, and the two stored messages."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from shared.ai.chat.conversations import ConversationStore
from shared.ai.chat.messages import Message, position
from shared.ai.ports import ChatEvent, ChatModel, ChatStream, TextDelta
from shared.kernel.clock import Clock
from shared.kernel.documents import Write
from shared.kernel.ids import derived_id
from shared.kernel.money import Micro
from shared.sagas.chat.answer import Delta, Ping, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.chat.planner import Planner, TurnPlan
from shared.sagas.chat.recovery import Recovery, answered
from shared.sagas.chat.summaries import ChatMemory
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.turn_record import Turn, TurnReceipt

SUMMARIES_MAX = 8
"""Most summaries that a turn waits for. Each covers as many messages as fit into the model's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatKind:
    """The kind of turn of a message in a conversation: plans the turn and replays the answer; see `TurnKind`."""

    planner: Planner
    memory: ChatMemory
    conversations: ConversationStore
    chat_model: ChatModel
    recovery: Recovery
    clock: Clock

    def plan(self, request: TurnRequest, failed: Sequence[str]) -> "PlannedChatTurn":
        """Plan the turn. If a summary is due first, make the summary and plan again, at most `SUMMARIES_MAX` times.

        If still more summaries are due, the prompt is cut.
        """
        plan = self.planner.plan(request, failed)
        if plan.unsettled is not None:
            self.memory.settle(plan, plan.unsettled)
        for _ in range(SUMMARIES_MAX):
            if plan.due is None:
                break
            self.memory.summarise(plan, plan.due)
            plan = self.planner.plan(request, failed)
        return PlannedChatTurn(plan=plan, kind=self)

    def replay(self, turn: Turn, request: TurnRequest) -> Iterator[TurnEvent]:
        """Return the events of the stored answer again; see `Recovery.replay`."""
        return self.recovery.replay(turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChatTurn:
    """One message of a user as planned; see `PlannedTurn`."""

    plan: TurnPlan
    kind: ChatKind

    @property
    def silence(self) -> TurnEvent:
        """Return the event that tells the client that the model is silent; see `PlannedTurn.silence`."""
        return Ping()

    def open_stream(self, output_cap: int, *, is_whole: bool) -> ChatStream:
        """Return the upstream's growing answer, of at most `output_cap` tokens; `is_whole`: in one piece.

        See `PlannedTurn.open_stream`.
        """
        return self.kind.chat_model.stream(self.plan.asked(output_cap, is_whole=is_whole))

    def text_events(self, event: TextDelta, text: str) -> Iterable[TurnEvent]:
        """Return the client's events for `text`, a paid piece of the answer that came in `event`.

        See `PlannedTurn.text_events`.
        """
        return (Delta(text),)

    def other_events(self, event: ChatEvent) -> Iterable[TurnEvent]:
        """Return no events: a client of a conversation sees text only."""
        return ()

    def record(self, attempt: str, reply: GrowingReply) -> "ChatRecord":
        """Return the record: the user's message and the model's answer, which are stored together."""
        messages, plan = self._messages(attempt, reply), self.plan
        writes = self.kind.conversations.writes_to_continue(plan.conversation, plan.said, messages, plan.system)
        return ChatRecord(messages=messages, message=messages[1], writes=writes, turn=self)

    def _messages(self, attempt: str, reply: GrowingReply) -> tuple[Message, Message]:
        """Return the user's message and the model's answer."""
        plan = self.plan
        at = max(self.kind.clock.now(), plan.conversation.updated_at + 1)
        said = Message(
            id=derived_id("msg", attempt, "user"),
            uid=plan.request.uid,
            conversation_id=plan.conversation.id,
            role="user",
            content=plan.request.content,
            position=position(at, attempt, 0),
            created_at=plan.asked_at,
            tokens=plan.content_tokens,
        )
        answer = replace(
            said,
            id=derived_id("msg", attempt, "assistant"),
            role="assistant",
            content=reply.text,
            position=position(at, attempt, 1),
            created_at=at,
            tokens=reply.text_tokens,
            model=plan.model.id,
            model_reason=plan.reason,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            is_estimated=reply.is_estimated,
            cost=reply.cost,
            settles_by=reply.settles_by,
            price=plan.price,
        )
        return said, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """The model's answer as a message, and the writes that store both messages of the turn; see `AnswerRecord`."""

    messages: tuple[Message, Message]
    message: Message
    writes: Sequence[Write]
    turn: PlannedChatTurn

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.message.id

    def writes_after_refusal(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes for the conversation as stored now; none if the conversation was deleted.

        The used tokens are charged.
        """
        conversations, conversation = self.turn.kind.conversations, self.turn.plan.conversation
        return conversations.writes_to_append_anyway(conversation, self.messages, writes)

    def costed(self, cost: Micro) -> Self:
        """Return the record with the charged cost (µcr); see `AnswerRecord.costed`."""
        return replace(self, message=self.turn.kind.recovery.costed(self.message, cost))

    def writes_of_correction(self, reply: GrowingReply, cost: Micro) -> Sequence[Write]:
        """Build the writes that correct the stored record, once the provider has reported the usage in `reply`.

        See `AnswerRecord.writes_of_correction`.
        """
        charges = self.turn.kind.conversations.charges
        return charges.writes_of_final_cost(self.message, cost, reply.usage, is_estimated=reply.is_estimated)

    def end_events(self, receipt: TurnReceipt) -> Iterable[TurnEvent]:
        """Return the end of the answer: the message and the receipt."""
        return (TurnEnded(answered(self.message, receipt)),)
