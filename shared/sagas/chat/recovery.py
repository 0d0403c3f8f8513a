"""Recovery of a conversation's turns: the charge reads the stored message, and a replay yields the message again."""

from collections.abc import Iterator
from dataclasses import replace

from shared.ai.chat.conversations import ConversationNotFound, ConversationStore
from shared.ai.chat.messages import Message
from shared.ai.ports import UpstreamUnavailable
from shared.kernel.money import Micro
from shared.ledger.ledger import Ledger
from shared.sagas.chat.answer import Delta, ModelAnswer, TurnEnded, TurnEvent
from shared.sagas.metering.recovery import TurnRecovery
from shared.sagas.metering.reply import FAILED
from shared.sagas.metering.turn_record import Turn, TurnReceipt


class Recovery(TurnRecovery):
    """Recovery of conversation turns whose attempt has crashed.

    The turn's message is found by name, and gives the tokens.
    """

    def __init__(self, ledger: Ledger, conversations: ConversationStore) -> None:
        super().__init__(ledger)
        self._conversations = conversations

    def _counts(self, turn: Turn) -> tuple[tuple[str, int], ...]:
        """See `TurnRecovery._counts`: read the tokens from the turn's message."""
        try:
            message = self._conversations.message(turn.uid, turn.conversation_id, str(turn.message_id))
        except ConversationNotFound:
            return ()
        return message.usage.counts if message.usage else ()

    def replay(self, turn: Turn) -> Iterator[TurnEvent]:
        """Yield the same answer again, from the stored message.

        If the turn failed, raises UpstreamUnavailable again.
        """
        assert turn.message_id is not None, "a turn that is done has a message"
        assert turn.settled is not None, "a turn that is done was settled"
        message = self._conversations.message(turn.uid, turn.conversation_id, turn.message_id)
        if message.content:
            yield Delta(message.content)
        if message.finish_reason == FAILED:
            raise UpstreamUnavailable
        if turn.settled.at_most is None:
            message = self.costed(message, turn.settled.cost)
        yield TurnEnded(answered(message, turn.settled))

    def costed(self, message: Message, cost: Micro) -> Message:
        """Return the message with the charged amount `cost` (µcr).

        If the stored cost differs, correct the stored message, too.
        """
        if message.cost == cost:
            return message
        self._conversations.charges.commit_actual_cost(message, cost)
        return replace(message, cost=cost)


def answered(message: Message, settled: TurnReceipt) -> ModelAnswer:
    """Return the answer of a turn that ended with this message."""
    assert message.usage is not None, "a model's message says what it used"
    return ModelAnswer(
        message=message,
        usage=message.usage,
        is_estimated=message.is_estimated,
        cost=settled.cost,
        available=settled.available,
        held=settled.held,
        at_most=settled.at_most,
    )
