"""Deletion of large conversations: the conversation goes at once, the messages page by page.

`conversation_deletions/{id}` is written in the commit that deletes a conversation with many messages. The request
deletes some of the messages; the periodic job deletes the rest, and this document last.
"""

from shared.ai.chat.paths import messages_path
from shared.kernel.clock import MINUTE, Clock, Millis, to_datetime
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Data, Delete, Document, Documents, Patch, PreconditionFailed, Query, Write
from shared.kernel.due import DueList, DuePlace
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.errors import Unavailable
from shared.kernel.ids import Uid

COLLECTION = "conversation_deletions"
DUE_DELETIONS = DueList(collection=COLLECTION)
LEASE: Millis = 2 * MINUTE
"""Time for which other workers leave a deletion alone, once a worker has begun."""


class ConversationBeingDeleted(Unavailable):
    """Refusal: the conversation of this idempotency key was deleted, and some messages are still to be deleted."""

    code = "conversation_being_deleted"

    def __init__(self) -> None:
        super().__init__("The conversation of this idempotency key is being deleted; try again in a few minutes.")


class ConversationDeletions:
    """Deletions of conversations whose messages do not fit into one commit. Safe to share between threads."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def write_to_begin(self, uid: Uid, conversation_id: str) -> Write:
        """Build the write that lets the messages be deleted. It joins the commit that deletes the conversation."""
        now = self._clock.now()
        data: Data = {"uid": uid, "asked_at": to_datetime(now), "due_at": to_datetime(now + LEASE)}
        return Create(deletion_path(conversation_id), data)

    def due(self, limit: int, after: DuePlace | None = None) -> list[Document]:
        """Return the deletions that no worker has, behind `after`, the longest waiting first."""
        return DUE_DELETIONS.page(self._documents, self._clock.now(), limit, after)

    def resume(self, deletion: Document, deadline: Deadline) -> bool:
        """Continue a deletion that is due, unless another worker does. Return True if nothing is left.

        A repeated call, also one after a crash, deletes the rest.
        """
        leased = {"due_at": to_datetime(self._clock.now() + LEASE)}
        try:
            self._documents.commit([Patch(deletion.path, leased, deletion.version)])
        except PreconditionFailed:
            return False
        return self.delete_messages(deletion.id, deadline)

    def delete_messages(self, conversation_id: str, deadline: Deadline) -> bool:
        """Delete messages of a deleted conversation until the deadline. Return True if nothing is left.

        What is left is due at once, behind all deletions that are due now.
        """
        query = Query(collection=messages_path(conversation_id), limit=ERASE_PAGE)
        path = deletion_path(conversation_id)
        if delete_matching(self._documents, query, deadline):
            self._documents.commit([Delete(path)])
            return True
        if self._documents.get(path) is not None:
            self._documents.commit([Patch(path, {"due_at": to_datetime(self._clock.now())})])
        return False


def deletion_path(conversation_id: str) -> str:
    """Return the path of the document of a conversation's deletion."""
    return f"{COLLECTION}/{conversation_id}"
