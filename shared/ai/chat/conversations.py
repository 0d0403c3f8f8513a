"""Repository of conversations and of their messages.

See `conversation_documents` for the documents of a conversation, and `messages` for those of a message. Each document
carries the owner's `uid`.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from shared.ai.chat.conversation_documents import (
    COLLECTION,
    STATES,
    Conversation,
    appended_data,
    conversation_of,
    cursor_of,
    cursor_values,
    fingerprint_of,
    is_old,
    moved,
    new_state,
    shown_data,
    state_path,
)
from shared.ai.chat.conversation_documents import conversation_path as _path
from shared.ai.chat.keeping import StorageCount, StorageFull, conversation_size, kept_in, storage_path
from shared.ai.chat.messages import Message, message_data, message_of, message_path, title_of
from shared.ai.chat.recollection import Recollection
from shared.ai.tokens import Usage
from shared.kernel.clock import Clock, rfc3339
from shared.kernel.creation import create_or_find
from shared.kernel.documents import (
    Create,
    Data,
    Delete,
    Document,
    Documents,
    Order,
    Patch,
    PreconditionFailed,
    Query,
    Value,
    Where,
    Write,
)
from shared.kernel.errors import DomainError, IdempotencyMismatch, InvalidValue, NotFound
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, derived_id, is_safe_id
from shared.kernel.money import Micro, format_credits
from shared.kernel.pages import Page, owner_query, page_of

HISTORY_MESSAGES_MAX = 100
"""Most earlier messages in a prompt, even if the model's window is larger."""
DELETE_BATCH = 200
EXPORT_PAGE = 100
FIRST_MESSAGES = 2
ERASE_BATCH = 50
CREATE_ATTEMPTS_MAX = 12
CREATE_PAUSE_SECONDS = 0.05
EDITABLE = frozenset({"title", "model", "system_prompt"})


class ConversationNotFound(NotFound):
    """Refusal: the conversation does not exist or belongs to another user."""

    code = "conversation_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such conversation.")


class ConversationStore:
    """Repository of conversations and messages."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._recollection = Recollection[Message]()

    def create(
        self,
        uid: Uid,
        *,
        operation: OperationId,
        fingerprint: str,
        title: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        is_paying: Callable[[], bool] = lambda: True,
    ) -> Conversation:
        """Create a conversation. If the operation already made a conversation, return that conversation.

        `is_paying` says whether the user has credits: without credits, a user may keep only a few conversations.

        Raises IdempotencyMismatch, StorageFull.
        """
        conversation = self._new(uid, operation, title=title, model=model, system_prompt=system_prompt)
        creates = [
            Create(_path(conversation.id), shown_data(conversation)),
            Create(state_path(conversation.id), new_state(conversation, fingerprint)),
        ]
        size = conversation_size(system_prompt)

        def create() -> Conversation:
            kept = self._kept(uid).with_conversation(size, is_paying)
            self._documents.commit([*creates, kept.write])
            return conversation

        return create_or_find(
            create,
            lambda: self._found(conversation.id, uid, fingerprint),
            pause=lambda: self._clock.wait(CREATE_PAUSE_SECONDS * random.uniform(0.2, 1.8)),  # noqa: S311  # spreads
            attempts_max=CREATE_ATTEMPTS_MAX,
            final=(StorageFull,),
        )

    def _found(self, conversation_id: str, uid: Uid, fingerprint: str) -> Conversation | None:
        """Return the conversation of this id; None if there is none. Raises IdempotencyMismatch for another request.

        None also if the commit that creates both documents falls between their reads: then the caller asks again.
        """
        found, state = self._documents.get_all([_path(conversation_id), state_path(conversation_id)])
        if found is None or (state is None and not is_old(found)):
            return None
        if fingerprint_of(found, state) != fingerprint or found.data["uid"] != uid:
            raise IdempotencyMismatch
        return conversation_of(found, state)

    def _kept(self, uid: Uid) -> StorageCount:
        return kept_in(uid, self._documents.get(storage_path(uid)))

    def get(self, uid: Uid, conversation_id: str) -> Conversation:
        """Return the user's conversation as GET tells it: without `last`, which only `get_beside` reads.

        Raises ConversationNotFound, also for another user's conversation.
        """
        found = self._documents.get(_path(conversation_id)) if is_safe_id(conversation_id) else None
        return conversation_of(_owned(found, uid), None)

    def get_beside(
        self, uid: Uid, conversation_id: str, paths: Sequence[str]
    ) -> tuple[Conversation, Sequence[Document | None]]:
        """Return the user's conversation and the documents at `paths`, read in one round trip; None for a missing
        document.

        Raises ConversationNotFound.
        """
        if not is_safe_id(conversation_id):
            raise ConversationNotFound
        asked = [_path(conversation_id), state_path(conversation_id), *paths]
        found, state, *beside = self._documents.get_all(asked)
        return conversation_of(_owned(found, uid), state), beside

    def list(self, uid: Uid, *, cursor: str | None = None, limit: int = 20) -> Page[Conversation]:
        """Return a page of the user's conversations, the last used first. Raises InvalidValue for a wrong cursor."""
        query = owner_query(COLLECTION, uid, "updated_at", cursor=None, limit=limit)
        found = self._documents.query(replace(query, after=cursor_values(cursor) if cursor else None))
        return page_of([conversation_of(document, None) for document in found], limit, cursor_of)

    def move(self, uid: Uid, conversation_id: str) -> None:
        """Give a conversation of the old form its two documents; do nothing to any other.

        Raises ConversationNotFound, PreconditionFailed.
        """
        for attempt in range(1, CREATE_ATTEMPTS_MAX + 1):
            found, state = self._documents.get_all([_path(conversation_id), state_path(conversation_id)])
            conversation = conversation_of(_owned(found, uid), state)
            if found is None or not conversation.is_old:
                return
            try:
                self._documents.commit(moved(found, state))
                return
            except PreconditionFailed:
                if attempt == CREATE_ATTEMPTS_MAX:
                    raise

    def patch(
        self,
        uid: Uid,
        conversation_id: str,
        changes: Mapping[str, str | None],
        is_paying: Callable[[], bool] = lambda: True,
    ) -> Conversation:
        """Change title, model or system prompt, and return the changed conversation.

        `is_paying` says whether the user has credits. Raises ConversationNotFound, InvalidValue, StorageFull,
        PreconditionFailed.
        """
        if unknown := sorted(changes.keys() - EDITABLE):
            raise InvalidValue(unknown[0], "cannot be changed")
        for _ in range(CREATE_ATTEMPTS_MAX):
            conversation = self.get(uid, conversation_id)
            if conversation.is_old:
                self.move(uid, conversation_id)
                continue
            at = max(self._clock.now(), conversation.updated_at)
            changed = Patch(_path(conversation_id), {**changes, "updated_at": rfc3339(at)}, conversation.version)
            try:
                self._documents.commit([changed, *self._resized(conversation, changes, is_paying)])
            except PreconditionFailed:
                continue
            return self.get(uid, conversation_id)
        self.get(uid, conversation_id)
        raise PreconditionFailed

    def _resized(
        self, conversation: Conversation, changes: Mapping[str, str | None], is_paying: Callable[[], bool]
    ) -> Sequence[Write]:
        """Build the write that counts a change of the system prompt; none if the size stays. Raises StorageFull."""
        before = conversation.system_prompt
        more = conversation_size(changes.get("system_prompt", before)) - conversation_size(before)
        return [self._kept(conversation.uid).with_bytes(more, is_paying).write] if more else []

    def delete(self, uid: Uid, conversation_id: str) -> None:
        """Delete the conversation with all messages: in one commit if there are fewer than DELETE_BATCH messages.

        If there are more, the messages go first, so that the deletion can be repeated after a crash. A running turn
        cannot restore messages, since the turn's commit needs the conversation. Raises ConversationNotFound.
        """
        self.get(uid, conversation_id)
        self._recollection.forget_conversation(conversation_id)
        while len(messages := self._message_paths(conversation_id)) == DELETE_BATCH:
            self._documents.commit([Delete(path) for path in messages])
        self._delete_at_once(uid, conversation_id)

    def discard_empty(self, uid: Uid, conversation_id: str) -> None:
        """Delete the conversation if no messages exist. A missing conversation is ignored."""
        with suppress(ConversationNotFound, PreconditionFailed):
            self._delete_at_once(uid, conversation_id, is_kept_with_messages=True)

    def _delete_at_once(self, uid: Uid, conversation_id: str, *, is_kept_with_messages: bool = False) -> None:
        """Delete the conversation with its messages and reduce the user's storage count, in one commit.

        The messages are listed after the conversation was read. A turn that ends later makes the commit fail, and the
        messages are listed again. If `is_kept_with_messages`, a conversation with messages stays. A repeated deletion
        does not reduce the count again.
        """
        for attempt in range(1, CREATE_ATTEMPTS_MAX + 1):
            conversation, storage = self.get_beside(uid, conversation_id, [storage_path(uid)])
            messages = self._message_paths(conversation_id)
            if messages and is_kept_with_messages:
                return
            size = conversation_size(conversation.system_prompt)
            writes: list[Write] = [Delete(_path(conversation_id), conversation.version)]
            writes += map(Delete, [state_path(conversation_id), *messages])
            if storage[0] is not None:
                writes.append(kept_in(uid, storage[0]).without_conversation(size).write)
            try:
                self._documents.commit(writes)
                return
            except PreconditionFailed:
                if attempt == CREATE_ATTEMPTS_MAX:
                    raise

    def messages(self, uid: Uid, conversation_id: str, *, cursor: str | None = None, limit: int = 20) -> Page[Message]:
        """Return a page of the conversation's messages, newest first. Raises ConversationNotFound."""
        self.get(uid, conversation_id)
        return page_of(self._newest(conversation_id, cursor, limit + 1), limit, lambda each: each.position)

    def message(self, uid: Uid, conversation_id: str, message_id: str) -> Message:
        """Return one message. Raises ConversationNotFound if the message or the conversation is gone."""
        found = self._documents.get(message_path(conversation_id, message_id))
        if found is None or found.data["uid"] != uid:
            raise ConversationNotFound
        return message_of(found, conversation_id)

    def history(self, conversation_id: str) -> Sequence[Message]:
        """Return the last messages, newest first. The owner is not checked here, but by `get`."""
        return self._newest(conversation_id, None, HISTORY_MESSAGES_MAX) if is_safe_id(conversation_id) else ()

    def may_recall(self, conversation_id: str) -> bool:
        """Return True if this instance may remember the last messages. `recall` checks the memory."""
        return conversation_id in self._recollection

    def recall(self, conversation: Conversation) -> Sequence[Message]:
        """Return the same messages as `history`, but from memory if this instance wrote the last message.

        Costs may differ: a correction or a note of a charge is not noticed here.
        """
        known = self._recollection.of(conversation.id, conversation.last)
        return self.history(conversation.id) if known is None else known

    def writes_to_continue(
        self, conversation: Conversation, said: Sequence[Message], messages: Sequence[Message]
    ) -> Sequence[Write]:
        """Build the writes that append `messages` behind `said`.

        If `said` is the whole history, remember the newest messages. Then the commit fails after any change of the
        conversation, and the caller uses `writes_to_append_anyway`.
        """
        if not _is_whole(conversation, said):
            return self.writes_to_append(conversation, messages)
        newest = sorted([*messages, *said], key=lambda message: message.position, reverse=True)
        self._recollection.keep(conversation.id, messages[-1].position, newest[:HISTORY_MESSAGES_MAX])
        touch, note, *creates = self.writes_to_append(conversation, messages)
        assert isinstance(touch, Patch), "first the conversation is touched"
        assert isinstance(note, Patch), "then the last message is noted"
        touch = Patch(touch.path, touch.data, conversation.version)
        return [touch, Patch(note.path, note.data, conversation.state_version), *creates]

    def writes_to_append_anyway(self, conversation: Conversation, writes: Sequence[Write]) -> Sequence[Write]:
        """Build the writes of `writes_to_continue` without the precondition. A stored title is kept.

        The result is empty if the conversation is gone.
        """
        self._recollection.forget_conversation(conversation.id)
        found = self._documents.get(_path(conversation.id))
        if found is None:
            return ()
        kept = frozenset({"title"} if found.data["title"] is not None else ())
        return [_unconditional(write, kept) if isinstance(write, Patch) else write for write in writes]

    def writes_to_append(self, conversation: Conversation, messages: Sequence[Message]) -> Sequence[Write]:
        """Build the writes that append these messages, all or none. The commit fails if the conversation is gone."""
        changes: dict[str, Value] = {"updated_at": rfc3339(messages[-1].created_at)}
        said = next((message.content for message in messages if message.role == "user"), None)
        if conversation.title is None and said is not None:
            changes["title"] = title_of(said)
        creates = [Create(message_path(conversation.id, message.id), message_data(message)) for message in messages]
        note = Patch(state_path(conversation.id), appended_data(messages[-1].position))
        return [Patch(_path(conversation.id), changes), note, *creates]

    def first_messages(self, conversation_id: str) -> Sequence[Message]:
        """Return the first message and the answer to that message."""
        return self._oldest(conversation_id, None, FIRST_MESSAGES)

    def writes_to_title(self, conversation_id: str, title: str) -> Sequence[Write]:
        """Build the write that sets the title. The commit fails if the conversation is gone."""
        return [Patch(_path(conversation_id), {"title": title})]

    def commit_charge(self, conversation_id: str, cost: Micro, *, summary: str | None = None) -> None:
        """Record the charge (µcr) for the title, or for the summary with the id `summary`.

        A deleted conversation or summary stays deleted.
        """
        write = (
            Patch(_path(conversation_id), {"title_cost": format_credits(cost)})
            if summary is None
            else Patch(message_path(conversation_id, summary), {"cost": cost, "settled": True})
        )
        try:
            self._documents.commit([write])
        except PreconditionFailed:
            log("gone_before_it_was_noted", conversation_id=conversation_id)

    def export(self, uid: Uid, conversation_id: str) -> Iterator[Message]:
        """Return all messages, oldest first. Raises ConversationNotFound before the first message."""
        self.get(uid, conversation_id)
        return self._all(conversation_id)

    def _all(self, conversation_id: str) -> Iterator[Message]:
        after: str | None = None
        while found := self._oldest(conversation_id, after, EXPORT_PAGE):
            yield from found
            after = found[-1].position

    def exists(self, conversation_id: str) -> bool:
        """Return True if the conversation was not deleted."""
        return self._documents.get(_path(conversation_id)) is not None

    def commit_actual_cost(self, message: Message, cost: Micro) -> None:
        """Record a charge (µcr) below the price, where the account had no more credits.

        A deleted message stays deleted.

        The money has already moved, so a failed write is only logged.
        """
        try:
            self._documents.commit([Patch(message_path(message.conversation_id, message.id), {"cost": cost})])
        except DomainError as error:
            log("cost_not_corrected", "WARNING", message_id=message.id, code=error.code)

    def write_of_final_cost(self, message: Message, cost: Micro, usage: Usage, *, is_estimated: bool) -> Write:
        """Build the write of a message's final cost (µcr) and usage, after the provider's report."""
        settled: Data = {
            "cost": cost,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "estimated": is_estimated,
            "settles_by": None,
        }
        return Patch(message_path(message.conversation_id, message.id), settled)

    def erase(self, uid: Uid) -> None:
        """Delete all conversations, turns and the storage count of a user who leaves."""
        for document in self._owned(COLLECTION, uid):
            try:
                self.delete(uid, document.id)
            except ConversationNotFound:
                continue
        for document in self._owned(STATES, uid):
            self._documents.commit([Delete(document.path)])
        for document in self._owned("turns", uid):
            self._documents.commit([Delete(document.path)])
        self._documents.commit([Delete(storage_path(uid))])

    def _owned(self, collection: str, uid: Uid) -> Iterator[Document]:
        query = Query(collection=collection, where=(Where("uid", "==", uid),), limit=ERASE_BATCH)
        while found := self._documents.query(query):
            yield from found

    def _new(
        self, uid: Uid, operation: OperationId, *, title: str | None, model: str | None, system_prompt: str | None
    ) -> Conversation:
        conversation_id = derived_id("conv", operation)
        at = self._clock.now()
        return Conversation(
            id=conversation_id,
            uid=uid,
            title=title,
            model=model,
            system_prompt=system_prompt,
            created_at=at,
            updated_at=at,
        )

    def _newest(self, conversation_id: str, cursor: str | None, limit: int) -> Sequence[Message]:
        query = Query(
            collection=f"{_path(conversation_id)}/messages",
            order_by=(Order("position", descending=True),),
            after=(cursor,) if cursor else None,
            limit=limit,
        )
        return [message_of(document, conversation_id) for document in self._documents.query(query)]

    def _oldest(self, conversation_id: str, after: str | None, limit: int) -> Sequence[Message]:
        query = Query(
            collection=f"{_path(conversation_id)}/messages",
            order_by=(Order("position"),),
            after=(after,) if after else None,
            limit=limit,
        )
        return [message_of(document, conversation_id) for document in self._documents.query(query)]

    def _message_paths(self, conversation_id: str) -> Sequence[str]:
        query = Query(collection=f"{_path(conversation_id)}/messages", limit=DELETE_BATCH)
        return [document.path for document in self._documents.query(query)]


def _unconditional(write: Patch, kept: frozenset[str]) -> Patch:
    return Patch(write.path, {name: value for name, value in write.data.items() if name not in kept})


def _is_whole(conversation: Conversation, said: Sequence[Message]) -> bool:
    """Return True if `said` is all that was appended to the conversation when the conversation was read.

    `said` may have been read before the conversation. If a summary in `said` is not known to be paid, return False: the
    payment may be noted at any time, so a new read is better.
    """
    if conversation.last is None:
        return not said
    return any(each.position == conversation.last for each in said) and all(each.is_settled for each in said)


def _owned(found: Document | None, uid: Uid) -> Document:
    """Return the document if the user owns it. Raises ConversationNotFound."""
    if found is None or found.data["uid"] != uid:
        raise ConversationNotFound
    return found
