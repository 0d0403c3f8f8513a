"""Message of a conversation, and the stored fields of a message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from shared.ai.ports import Role
from shared.ai.tokens import Usage
from shared.kernel.clock import Millis
from shared.kernel.documents import Document, Value
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
    tokens: int | None = field(default=None, compare=False)
    """Expected tokens of the content, counted when the message was stored; None for a message of an older release."""

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


def put_behind(messages: Sequence[Message], last: str | None) -> list[Message]:
    """Return the messages with positions behind `last`: a faster turn may have ended at the same or a later time."""
    if last is None or messages[0].position > last:
        return list(messages)
    at = int(last.partition(":")[0]) + 1
    return [replace(each, position=f"{at:015d}:{each.position.partition(':')[2]}") for each in messages]


def turn_name(message_position: str) -> str:
    """Return the part of a position that the messages of one turn share."""
    return message_position.rpartition(":")[0]


def message_fields(message: Message) -> dict[str, Value]:
    """Return the stored fields of a message, without owner, content and id.

    Usage, cost and model stand in answers only.
    """
    data: dict[str, Value] = {
        "role": message.role,
        "position": message.position,
        "created_at": message.created_at,
        **({} if message.tokens is None else {"tokens": message.tokens}),
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
    """Return the message that a document of the older form stores: one document for each message."""
    uid, content = str(document.data["uid"]), str(document.data["content"])
    return message_from(document.data, Uid(uid), conversation_id, document.id, content)


def message_from(fields: Mapping[str, Any], uid: Uid, conversation_id: str, message_id: str, content: str) -> Message:
    """Return the message that has these stored fields."""
    message = Message(
        id=message_id,
        uid=uid,
        conversation_id=conversation_id,
        role=cast("Role", fields["role"]),
        content=content,
        position=fields["position"],
        created_at=fields["created_at"],
        tokens=fields.get("tokens"),
    )
    return _answered(message, fields) if "cost" in fields else message


def _answered(message: Message, fields: Mapping[str, Any]) -> Message:
    return replace(
        message,
        model=fields["model"],
        model_reason=fields.get("model_reason"),
        finish_reason=fields["finish_reason"],
        usage=Usage(input_tokens=fields["input_tokens"], output_tokens=fields["output_tokens"]),
        is_estimated=bool(fields["estimated"]),
        cost=Micro(fields["cost"]),
        price=fields["price"],
        settles_by=fields.get("settles_by"),
        covers=fields.get("covers"),
        is_settled=bool(fields.get("settled", True)),
    )
