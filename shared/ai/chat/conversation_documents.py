"""Documents of a conversation: `conversations/{id}`, which its owner listens to, and `conversation_states/{id}`.

`conversations/{id}` has the names, units and times of `GET /v1/chat/conversations/{id}`, without the messages, and the
owner's uid. Only the server reads `conversation_states/{id}`: the request's fingerprint, the position of the last
message, and the tail (see `tail`). The commits that create, continue and delete a conversation write both.

A conversation of the old form has all fields in `conversations/{id}`, with times and amounts as integers. The next turn
or change moves the conversation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from shared.ai.chat.paths import conversation_path
from shared.ai.chat.tail import Tail, tail_of
from shared.kernel.clock import RFC3339, Millis, parse_rfc3339, rfc3339
from shared.kernel.documents import Data, Document, Value, Version
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid, is_safe_id
from shared.kernel.money import Micro, format_credits, parse_credits

OLD_TIME = re.compile(r"\d{15}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Stored conversation. `title`, `model` and `system_prompt` are None if not set."""

    id: str
    uid: Uid
    title: str | None
    model: str | None
    system_prompt: str | None
    created_at: Millis
    updated_at: Millis
    title_cost: Micro | None = None
    """Charge for the title (µcr); None if no charge of a model is recorded."""
    last: str | None = None
    """Position of the message that was appended last; None if none is recorded or the state was not read."""
    is_old: bool = False
    """True if the conversation is stored in the old form."""
    version: Version | None = field(default=None, compare=False, repr=False)
    """Version at the read: a precondition for writes that must follow on exactly this state."""
    state: Document | None = field(default=None, compare=False, repr=False)
    """The document `conversation_states/{id}` at the read; None if the state was not read."""
    tail: Tail | None = field(default=None, compare=False, repr=False)
    """Tail in the state; None if the state was not read, or has the form of an older release."""

    @property
    def state_version(self) -> Version | None:
        """The version of the state at the read; None if the state was not read or is missing."""
        return None if self.state is None else self.state.version

    @property
    def is_behind(self) -> bool:
        """Return True if `ConversationStore.move` has work to do: the form is an older one, or the tail is outdated."""
        return self.is_old or self.tail is None or self.tail.is_outdated


def shown_data(conversation: Conversation) -> dict[str, Value]:
    """Return the document `conversations/{id}`."""
    cost = conversation.title_cost
    return {
        "uid": conversation.uid,
        "id": conversation.id,
        "title": conversation.title,
        "title_cost": None if cost is None else format_credits(cost),
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "created_at": rfc3339(conversation.created_at),
        "updated_at": rfc3339(conversation.updated_at),
    }


def new_state(conversation: Conversation, fingerprint: str) -> Data:
    """Return the document `conversation_states/{id}` of a new conversation whose request had this fingerprint."""
    return state_data(Tail(uid=conversation.uid, conversation_id=conversation.id), fingerprint)


def state_data(tail: Tail, fingerprint: str) -> Data:
    """Return the document `conversation_states/{id}` with this tail."""
    return {"uid": tail.uid, "fingerprint": fingerprint, **tail.data()}


def conversation_of(document: Document, state: Document | None) -> Conversation:
    """Return the conversation that the documents hold; `state` is None if it was not read or is missing."""
    # Written by us alone: every field is there and of its type.
    data = cast("Mapping[str, Any]", document.data)
    cost = data.get("title_cost")
    return Conversation(
        id=document.id,
        uid=Uid(data["uid"]),
        title=data["title"],
        model=data["model"],
        system_prompt=data["system_prompt"],
        created_at=_millis(data["created_at"]),
        updated_at=_millis(data["updated_at"]),
        title_cost=_micro(cost) if isinstance(cost, str) else cost,
        last=_last(document, state),
        is_old=is_old(document),
        version=document.version,
        state=state,
        tail=tail_of(state),
    )


def fingerprint_of(document: Document, state: Document | None) -> str:
    """Return the fingerprint of the request that created the conversation; empty if none is stored."""
    known = [found.data["fingerprint"] for found in (state, document) if found and "fingerprint" in found.data]
    return str(known[0]) if known else ""


def cursor_of(conversation: Conversation) -> str:
    """Return the cursor of the page behind this conversation."""
    at = conversation.updated_at
    return f"{f'{at:015d}' if conversation.is_old else rfc3339(at)}:{conversation.id}"


def cursor_values(cursor: str) -> tuple[Value, ...]:
    """Return the values at which a query by `updated_at` continues. Raises InvalidValue for a wrong cursor.

    Times of the old form are integers, which Firestore sorts before all texts: conversations that were not used since
    are behind all others in a list of the last used.
    """
    at, _, conversation_id = cursor.rpartition(":")
    is_old = OLD_TIME.fullmatch(at) is not None
    if not is_safe_id(conversation_id) or not (is_old or RFC3339.fullmatch(at)):
        raise InvalidValue("cursor", "must be one that this list has answered")
    return (int(at) if is_old else at, conversation_path(conversation_id))


def is_old(document: Document) -> bool:
    """Return True for a conversation of the old form."""
    return "recency" in document.data


def _last(document: Document, state: Document | None) -> str | None:
    """Return the later of the two positions: positions sort by time."""
    known = [found.data.get("last") for found in (document, state) if found is not None]
    return max((position for position in known if isinstance(position, str)), default=None)


def _micro(cost: str) -> Micro:
    return Micro(0) if cost == "0" else parse_credits(cost)


def _millis(time: int | str) -> Millis:
    return parse_rfc3339(time) if isinstance(time, str) else time
