"""Turn of a conversation. At the end, the user's message and the model's answer are stored together."""

from collections.abc import Generator

from shared.ai.chat.conversations import ConversationStore
from shared.ai.models.catalogue import Catalogue
from shared.ai.models.preferences import Preferences
from shared.ai.models.tariff import Tariff
from shared.ai.ports import ChatModel
from shared.kernel.ids import Uid
from shared.sagas.chat.answer import Delta, ModelAnswer, Ping, TurnEnded, TurnEvent, TurnRequest
from shared.sagas.chat.kind import ChatKind
from shared.sagas.chat.planner import Planner
from shared.sagas.chat.recovery import Recovery
from shared.sagas.chat.side_call import SideTurn
from shared.sagas.chat.summaries import ChatMemory
from shared.sagas.metering.estimate import Estimate
from shared.sagas.metering.model_choice import Chooser
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.turn import MeteredTurn

__all__ = ["ChatTurn", "Delta", "Estimate", "ModelAnswer", "Ping", "TurnEnded", "TurnEvent", "TurnRequest"]


class ChatTurn:
    """The saga of a conversation's turn: a metered turn of the kind `ChatKind`."""

    def __init__(  # a saga asks for its parts by name
        self,
        metering: MeteringParts,
        *,
        catalogue: Catalogue,
        tariff: Tariff,
        conversations: ConversationStore,
        preferences: Preferences,
        chat_model: ChatModel,
        calls: RunningCalls,
        default_model: str,
    ) -> None:
        clock, expectation = metering.clock, metering.expectation
        chooser = Chooser(catalogue, tariff, expectation, metering.health, default_model=default_model)
        self._calls = calls
        self.memory = ChatMemory(SideTurn(metering, tariff, chat_model), conversations, chooser, clock)
        self.kind = ChatKind(
            planner=Planner(chooser, tariff, conversations, preferences, expectation, clock),
            memory=self.memory,
            conversations=conversations,
            chat_model=chat_model,
            recovery=Recovery(metering.ledger, conversations),
            clock=clock,
        )
        self._turn = MeteredTurn(metering, self.kind)

    def run(self, request: TurnRequest) -> Generator[TurnEvent, None, None]:
        """Yield the answer piece by piece, then `TurnEnded`; see `MeteredTurn.run`.

        Before the first event, also raises ConversationNotFound, ModelNotFound, ModelUnpriced, NoModelFits,
        ContextTooLong, InvalidValue.
        """
        with self._calls.running(request.uid, request.principal, request.names, request.stop):
            yield from self._turn.run(request)

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
        return self.kind.planner.estimate(
            uid,
            content=content,
            model=model,
            conversation_id=conversation_id,
            system_prompt=system_prompt,
            max_output_tokens=max_output_tokens,
        )
