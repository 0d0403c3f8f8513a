"""Deletion of large conversations: the conversation goes at once, the messages page by page.

`conversation_deletions/{id}` is written in the commit that deletes a conversation with many messages. The request
deletes some of the messages; the periodic job deletes the rest, and this document last.
"""

from collections.abc import Sequence
from dataclasses import replace

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
        """Build the write that creates the deletion, for the commit that deletes the conversation."""
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
        turn = _DeletionTurn(self._documents, self._clock, deletion)
        try:
            turn.commit([])
            return turn.run(deadline)
        except PreconditionFailed:
            return False

    def delete_messages(self, conversation_id: str, deadline: Deadline) -> bool:
        """Delete messages of a conversation just deleted, until the deadline. Return True if nothing is left.

        Messages that are left are due at once, behind all deletions that are due now.
        """
        deletion = self._documents.get(deletion_path(conversation_id))
        try:
            return deletion is None or _DeletionTurn(self._documents, self._clock, deletion).run(deadline)
        except PreconditionFailed:
            return False


class _DeletionTurn:
    """One worker's turn on a deletion. Each commit requires the document that this worker has written last.

    So a worker that was paused and overtaken deletes nothing any more: a new conversation may have the same name.
    """

    def __init__(self, documents: Documents, clock: Clock, deletion: Document) -> None:
        self._documents = documents
        self._clock = clock
        self._deletion = deletion

    def run(self, deadline: Deadline) -> bool:
        """Delete messages until the deadline. Return True if nothing is left.

        Raises PreconditionFailed if another worker has taken over.
        """
        deletion = self._deletion
        query = Query(collection=messages_path(deletion.id), limit=ERASE_PAGE)
        if delete_matching(self._documents, query, deadline, commit=self.commit):
            self._documents.commit([Delete(deletion.path, self._deletion.version)])
            return True
        due_at = to_datetime(self._clock.now())
        self._documents.commit([Patch(deletion.path, {"due_at": due_at}, self._deletion.version)])
        return False

    def commit(self, writes: Sequence[Write]) -> None:
        """Commit the writes, and keep other workers away for LEASE. Raises PreconditionFailed, OutcomeUnknown."""
        deletion = self._deletion
        leased = Patch(deletion.path, {"due_at": to_datetime(self._clock.now() + LEASE)}, deletion.version)
        version = self._documents.commit([leased, *writes])[0]
        self._deletion = replace(deletion, version=version)


def deletion_path(conversation_id: str) -> str:
    """Return the path of the document of a conversation's deletion."""
    return f"{COLLECTION}/{conversation_id}"
