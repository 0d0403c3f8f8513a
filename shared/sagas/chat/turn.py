"""Turn of a conversation. At the end, the user's message and the model's answer are stored together."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from shared.ai.chat.conversations import ConversationStore, Message, position
from shared.ai.models.catalogue import Catalogue
from shared.ai.models.expectation import Expectation
from shared.ai.models.health import ModelHealth
from shared.ai.models.preferences import Preferences
from shared.ai.models.profiles import UpstreamProfiles
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel, ChatStream, TextDelta
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents, Write
from shared.kernel.ids import Uid, derived_id
from shared.kernel.money import Micro
from shared.kernel.waiting import WaitingRoom
from shared.ledger.ledger import Ledger
from shared.ledger.losses import Losses
from shared.sagas.chat.answer import Delta, ModelAnswer, Ping, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.chat.planner import Planner, TurnPlan
from shared.sagas.chat.recovery import Recovery, answered
from shared.sagas.chat.side_call import SideTurn
from shared.sagas.chat.summaries import ChatMemory
from shared.sagas.metering.admission import Admission
from shared.sagas.metering.claims import Turn, TurnReceipt
from shared.sagas.metering.estimate import Estimate
from shared.sagas.metering.model_choice import Chooser
from shared.sagas.metering.reading_on import ReadingOn
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import GrowingReply
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.turn import PING_SECONDS, MeteredTurn, Run, TurnRecord

__all__ = ["ChatTurn", "Delta", "Estimate", "ModelAnswer", "Ping", "TurnEnded", "TurnEvent", "TurnRequest"]


SUMMARIES_MAX = 8
"""Most summaries that a turn waits for. Each covers as many messages as fit into the model's window."""


class ChatTurn(MeteredTurn[TurnRequest, TurnPlan, TurnEvent, Message]):
    """The saga of a conversation's turn; see `MeteredTurn`."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        *,
        ledger: Ledger,
        catalogue: Catalogue,
        tariff: Tariff,
        conversations: ConversationStore,
        preferences: Preferences,
        chat_model: ChatModel,
        documents: Documents,
        clock: Clock,
        default_model: str,
        expectation: Expectation | None = None,
        admission: Admission | None = None,
        health: ModelHealth | None = None,
        calls: RunningCalls | None = None,
        ping_seconds: float = PING_SECONDS,
        profiles: UpstreamProfiles | None = None,
        reading_on: ReadingOn | None = None,
        losses: Losses | None = None,
        room: WaitingRoom | None = None,
    ) -> None:
        room = room or WaitingRoom()
        expectation, health = expectation or Expectation(documents, clock), health or ModelHealth(clock)
        profiles = profiles or UpstreamProfiles({})
        admission = admission or Admission(ledger, expectation, clock, profiles, room)
        recovery = Recovery(ledger, conversations)
        super().__init__(
            ledger=ledger,
            expectation=expectation,
            recovery=recovery,
            health=health,
            documents=documents,
            clock=clock,
            ping_seconds=ping_seconds,
            profiles=profiles,
            reading_on=reading_on,
            losses=losses,
            room=room,
            admission=admission,
        )
        chooser = Chooser(catalogue, tariff, expectation, health, default_model=default_model)
        self._planner = Planner(chooser, tariff, conversations, preferences, expectation, clock)
        side = SideTurn(
            tariff,
            chat_model,
            ledger=ledger,
            expectation=expectation,
            recovery=TurnRecovery(ledger),
            health=health,
            documents=documents,
            clock=clock,
            ping_seconds=ping_seconds,
            profiles=profiles,
            reading_on=reading_on,
            losses=losses,
            room=room,
            admission=admission,
        )
        self.memory = ChatMemory(side, conversations, chooser, clock)
        self._conversations = conversations
        self._chat_model = chat_model
        self._messages_of = recovery
        self._calls = calls or RunningCalls(clock)

    def run(self, request: TurnRequest) -> Generator[TurnEvent, None, None]:
        """Yield the answer piece by piece, then `TurnEnded`; see `MeteredTurn.run`.

        Before the first event, also raises ConversationNotFound, ModelNotFound, ModelUnpriced, NoModelFits,
        ContextTooLong, InvalidValue.
        """
        with self._calls.running(request.uid, request.principal, request.names, request.stop):
            yield from super().run(request)

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
        """Return the estimated cost of this message, in this conversation or in a new one.

        Raises as `run` does before its hold.
        """
        return self._planner.estimate(
            uid,
            content=content,
            model=model,
            conversation_id=conversation_id,
            system_prompt=system_prompt,
            max_output_tokens=max_output_tokens,
        )

    # See `MeteredTurn` ---------------------------------------------------------------------------------------------

    def _plan(self, request: TurnRequest, failed: Sequence[str]) -> TurnPlan:
        """Plan the turn, once the conversation has the present form. If a summary is due first, make the summary and
        plan again, at most `SUMMARIES_MAX` times.

        If still more summaries are due, the prompt is cut.
        """
        plan = self._planner.plan(request, failed)
        if plan.conversation.is_old:
            self._conversations.move(request.uid, request.conversation_id)
            plan = self._planner.plan(request, failed)
        if plan.unsettled is not None:
            self.memory.settle(plan, plan.unsettled)
        for _ in range(SUMMARIES_MAX):
            if plan.due is None:
                break
            self.memory.summarise(plan, plan.due)
            plan = self._planner.plan(request, failed)
        return plan

    def _open_stream(self, plan: TurnPlan, output_cap: int, *, is_whole: bool) -> ChatStream:
        return self._chat_model.stream(plan.asked(output_cap, is_whole=is_whole))

    def _delivered(self, run: Run[TurnPlan], event: TextDelta, text: str) -> Iterable[TurnEvent]:
        yield Delta(text)

    def _silent(self) -> TurnEvent:
        return Ping()

    def _kept(self, run: Run[TurnPlan], reply: GrowingReply) -> TurnRecord[Message]:
        messages = self._messages(run, reply)
        writes = self._conversations.writes_to_continue(run.plan.conversation, run.plan.said, messages)
        return TurnRecord(id=messages[-1].id, record=messages[-1], writes=writes)

    def _still_wanted(self, run: Run[TurnPlan], writes: Sequence[Write]) -> Sequence[Write]:
        """Return the writes regardless of other writers; none if the conversation was deleted.

        The used tokens are charged.
        """
        return self._conversations.writes_to_append_anyway(run.plan.conversation, writes)

    def _costed(self, record: Message, cost: Micro) -> Message:
        return self._messages_of.costed(record, cost)

    def _corrected(self, run: Run[TurnPlan], record: Message, cost: Micro, reply: GrowingReply) -> Sequence[Write]:
        return [self._conversations.write_of_final_cost(record, cost, reply.usage, is_estimated=reply.is_estimated)]

    def _ended(self, run: Run[TurnPlan], record: Message, settled: TurnReceipt) -> Iterable[TurnEvent]:
        yield TurnEnded(answered(record, settled))

    def _replay(self, turn: Turn, request: TurnRequest) -> Iterator[TurnEvent]:
        return self._messages_of.replay(turn)

    def _messages(self, run: Run[TurnPlan], reply: GrowingReply) -> list[Message]:
        """Return the user's message and the model's answer."""
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
            model_reason=plan.reason,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            is_estimated=reply.is_estimated,
            cost=reply.cost,
            settles_by=reply.settles_by,
            price=plan.price,
        )
        return [said, answer]
