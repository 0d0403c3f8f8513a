"""Copy of a conversation's fields in `conversation_states/{id}`, so that a turn reads one document. Pure.

`settings` is a JSON text with the fields that a turn needs. A commit that changes `conversations/{id}` without knowing
all fields stores None instead, and the next turn reads `conversations/{id}` and stores the copy again.

The documents of one commit have one version. So as long as nobody changes `conversations/{id}` alone, that document has
the version of the state with the copy. A turn requires this version, so that no copy outlives a change by another
release.
"""

import json

from shared.ai.chat.conversation_documents import Conversation
from shared.ai.chat.tail import tail_of
from shared.kernel.documents import Data, Document
from shared.kernel.ids import Uid

SETTINGS_BYTES_MAX = 4_000
"""Most bytes of a copy. If the system prompt is longer, there is no copy, and a turn reads both documents."""
FIELDS = ("title", "model", "system_prompt", "created_at", "updated_at")
NO_COPY: Data = {"settings": None}
"""Change of `conversation_states/{id}` after a change of `conversations/{id}`."""


def settings_copy(conversation: Conversation) -> Data:
    """Return the field with the copy of the conversation's fields; None in the field if the copy would be too large."""
    copied = {name: getattr(conversation, name) for name in FIELDS}
    text = json.dumps(copied, ensure_ascii=False, separators=(",", ":"))
    return {"settings": text if len(text.encode()) <= SETTINGS_BYTES_MAX else None}


def conversation_in(state: Document) -> Conversation | None:
    """Return the conversation as the state alone tells it, without `title_cost`.

    None if the state has no copy, or if the conversation has to be moved first.
    """
    settings, tail = state.data.get("settings"), tail_of(state)
    if not isinstance(settings, str) or tail is None or tail.is_outdated:
        return None
    return Conversation(
        id=state.id,
        uid=Uid(str(state.data["uid"])),
        last=tail.last,
        version=state.version,
        state=state,
        tail=tail,
        **json.loads(settings),
    )
