"""Values for the request and the answer of a turn."""

from dataclasses import dataclass
from typing import TypeAlias

from shared.ai.chat.messages import Message
from shared.ai.tokens import Usage
from shared.kernel.clock import rfc3339
from shared.kernel.money import Micro, format_credits
from shared.sagas.metering.plan import CallRequest
from shared.sagas.metering.reply import SETTLING


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest(CallRequest):
    """A user's message to a conversation. `model` is None unless the user names a model."""

    content: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life for the client while the model is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """The end of a turn: the model's message, its cost, and the balance at that time. Amounts are µcr."""

    message: Message
    usage: Usage
    is_estimated: bool
    cost: Micro
    available: int
    held: int
    at_most: Micro | None = None
    """The most that the answer may cost, while the provider has not reported yet; None if `cost` is final."""

    def as_wire(self) -> dict[str, object]:
        """Return the response body of a message. Equal answers have equal bodies, so that a replay is identical."""
        message = self.message
        settling = {} if self.at_most is None else {"status": SETTLING, "at_most": format_credits(self.at_most)}
        return {
            "message": {
                "id": message.id,
                "role": message.role,
                "content": message.content,
                "model": message.model,
                "model_reason": message.model_reason,
                "finish_reason": message.finish_reason,
                "created_at": rfc3339(message.created_at),
            },
            "usage": {
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
                "estimated": self.is_estimated,
            },
            "cost": format_credits(self.cost),
            "balance": {"available": format_credits(self.available), "held": format_credits(self.held)},
            **settling,
        }


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The end of the answer."""

    answer: ModelAnswer


TurnEvent: TypeAlias = Delta | Ping | TurnEnded
