"""Parts for turns of conversations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.metering import MeteringServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.chat.conversations import ConversationStore
    from shared.sagas.chat.turn import ChatTurn


@dataclass(eq=False)
class ChatServices:
    """Parts for turns of conversations."""

    settings: Settings
    clock: Clock
    ports: Ports
    models: ModelServices
    metering: MeteringServices

    @part
    def conversations(self) -> "ConversationStore":
        """Build the store of conversations and their messages."""
        from shared.ai.chat.conversations import ConversationStore

        return ConversationStore(self.ports.documents(), self.clock)

    @part
    def turn(self) -> "ChatTurn":
        """Build the saga that sends one message to a model and charges the cost."""
        from shared.sagas.chat.turn import ChatTurn

        return ChatTurn(
            self.metering.parts,
            catalogue=self.models.catalogue,
            tariff=self.models.tariff,
            conversations=self.conversations,
            preferences=self.models.preferences,
            chat_model=self.ports.chat_model(),
            calls=self.metering.running_calls,
            default_model=self.settings.default_model,
        )
