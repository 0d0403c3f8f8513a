"""Charges noted in a conversation: the cost of a title, of a summary, and of a message after the provider's report."""

from collections.abc import Sequence
from dataclasses import replace

from shared.ai.chat.messages import Message
from shared.ai.chat.paths import conversation_path
from shared.ai.chat.stored_messages import StoredMessages
from shared.ai.tokens import Usage
from shared.kernel.documents import Documents, Patch, PreconditionFailed, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.money import Micro, format_credits


class ConversationCharges:
    """Writer of the costs of stored messages and titles. Safe to share between threads."""

    def __init__(self, documents: Documents, stored: StoredMessages) -> None:
        self._documents = documents
        self._stored = stored

    def commit_charge(self, conversation_id: str, cost: Micro, *, summary: str | None = None) -> None:
        """Record the charge (µcr) for the title, or for the summary with the id `summary`.

        A deleted conversation or summary stays deleted.
        """
        if summary is None:
            is_noted = self._is_committed(
                Patch(conversation_path(conversation_id), {"title_cost": format_credits(cost)})
            )
        else:
            is_noted = self._stored.commit_change(
                conversation_id, summary, lambda message: replace(message, cost=cost, is_settled=True)
            )
        if not is_noted:
            log("gone_before_it_was_noted", conversation_id=conversation_id)

    def commit_actual_cost(self, message: Message, cost: Micro) -> None:
        """Record a charge (µcr) below the price, where the account had no more credits.

        A deleted message stays deleted. The money has already moved, so a failed write is only logged.
        """
        try:
            self._stored.commit_change(message.conversation_id, message.id, lambda each: replace(each, cost=cost))
        except DomainError as error:
            log("cost_not_corrected", "WARNING", message_id=message.id, code=error.code)

    def writes_of_final_cost(
        self, message: Message, cost: Micro, usage: Usage, *, is_estimated: bool
    ) -> Sequence[Write]:
        """Build the writes of a message's final cost (µcr) and usage, after the provider's report.

        No writes if the message is gone. The commit fails if the document with the message has changed since.
        """

        def settled(each: Message) -> Message:
            return replace(each, cost=cost, usage=usage, is_estimated=is_estimated, settles_by=None)

        return self._stored.writes_to_change(message.conversation_id, message.id, settled)

    def _is_committed(self, write: Write) -> bool:
        try:
            self._documents.commit([write])
        except PreconditionFailed:
            return False
        return True
