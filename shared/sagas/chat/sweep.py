"""Periodic job of conversations: delete the messages that the request to delete a conversation has left."""

from shared.ai.chat.deletions import ConversationDeletions
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun


class ConversationJobs:
    """The periodic work for conversations."""

    def __init__(self, deletions: ConversationDeletions) -> None:
        self._deletions = deletions

    def delete(self, run: JobRun) -> None:
        """Delete messages of large conversations that were deleted, side by side, each until its deadline."""
        attempt_due(run, "conversation_deletions", [], self._deletions.resume, seldom=[self._deletions.due])
