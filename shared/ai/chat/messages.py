"""Message of a conversation, and its document `conversations/{id}/messages/{id}`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from shared.ai.chat.conversation_documents import conversation_path
from shared.ai.ports import Role
from shared.ai.tokens import Usage
from shared.kernel.clock import Millis
from shared.kernel.documents import Data, Document, Value
from shared.kernel.ids import Uid
from shared.kernel.money import Micro

TITLE_CHARACTERS_MAX = 80
CONTENT_BYTES_MAX = 800_000
"""Most bytes of a message's content, so that the message fits into a document with the other fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Stored message. `position` is a text by which the messages of a conversation are sorted.

    Fields after `created_at` are set in the model's messages only, else None. `cost` is in µcr.
    """

    id: str
    uid: Uid
    conversation_id: str
    role: Role
    content: str
    position: str
    created_at: Millis
    model: str | None = None
    model_reason: str | None = None
    """Reason for the model if this system chose the model, else None."""
    finish_reason: str | None = None
    usage: Usage | None = None
    is_estimated: bool = False
    cost: Micro | None = None
    settles_by: Millis | None = None
    """Time until which `cost` is the most that the provider may still report; None if `cost` is final."""
    price: Mapping[str, str] | None = None
    """Price snapshot behind `cost`: version, and credits per million tokens."""
    covers: str | None = None
    """Position up to which a summary stands for the messages before; None if the message is no summary."""
    is_settled: bool = True
    """False for a summary that is not known to be paid."""

    def is_settling(self, now: Millis) -> bool:
        """Return True while the provider may still report the message's cost. Later the recorded cost is final."""
        return self.settles_by is not None and self.settles_by > now


def title_of(content: str) -> str:
    """Return a title for an untitled conversation: the first line of the first message, trimmed."""
    line = next((line.strip() for line in content.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_CHARACTERS_MAX else line[: TITLE_CHARACTERS_MAX - 1].rstrip() + "…"


def position(at: Millis, turn: str, index: int) -> str:
    """Return the text by which message `index` is sorted, of a turn that ended at `at` (ms) and is named `turn`."""
    return f"{at:015d}:{turn}:{index}"


def message_path(conversation_id: str, message_id: str) -> str:
    """Return the path of a message's document."""
    return f"{conversation_path(conversation_id)}/messages/{message_id}"


def message_data(message: Message) -> Data:
    """Return the stored fields of a message. Usage, cost and model stand in answers only."""
    data: dict[str, Value] = {
        "uid": message.uid,
        "role": message.role,
        "content": message.content,
        "position": message.position,
        "created_at": message.created_at,
    }
    if message.usage is None:
        return data
    return {
        **data,
        "model": message.model,
        "model_reason": message.model_reason,
        "finish_reason": message.finish_reason,
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
        "estimated": message.is_estimated,
        "cost": message.cost,
        "price": message.price,
        **({} if message.settles_by is None else {"settles_by": message.settles_by}),
        **({"covers": message.covers, "settled": message.is_settled} if message.covers is not None else {}),
    }


def message_of(document: Document, conversation_id: str) -> Message:
    """Return the message that a document of this conversation stores."""
    # Written by us alone: every field is there and of its type.
    data = cast("Mapping[str, str]", document.data)
    counts = cast("Mapping[str, int]", document.data)
    message = Message(
        id=document.id,
        uid=Uid(data["uid"]),
        conversation_id=conversation_id,
        role=cast("Role", data["role"]),
        content=data["content"],
        position=data["position"],
        created_at=counts["created_at"],
    )
    return _answered(message, data, counts) if "cost" in data else message


def _answered(message: Message, data: Mapping[str, str], counts: Mapping[str, int]) -> Message:
    return replace(
        message,
        model=data["model"],
        model_reason=data.get("model_reason"),
        finish_reason=data["finish_reason"],
        usage=Usage(input_tokens=counts["input_tokens"], output_tokens=counts["output_tokens"]),
        is_estimated=bool(counts["estimated"]),
        cost=Micro(counts["cost"]),
        price=cast("Mapping[str, str]", data["price"]),
        settles_by=counts.get("settles_by"),
        covers=data.get("covers"),
        is_settled=bool(data.get("settled", True)),
    )
