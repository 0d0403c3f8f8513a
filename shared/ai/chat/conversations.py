"""Repository of conversations and of their messages.

See `conversation_documents` for the documents of a conversation, and `stored_messages` for where the messages are. Each
document carries the owner's `uid`.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from shared.ai.chat.appending import has_messages, is_whole, page_writes, tail_writes
from shared.ai.chat.charges import ConversationCharges
from shared.ai.chat.conversation_documents import (
    Conversation,
    conversation_of,
    cursor_of,
    cursor_values,
    fingerprint_of,
    is_old,
    new_state,
    shown_data,
)
from shared.ai.chat.deletions import COLLECTION as DELETIONS
from shared.ai.chat.deletions import ConversationBeingDeleted, ConversationDeletions, deletion_path
from shared.ai.chat.keeping import StorageCount, StorageFull, conversation_size, kept_in, storage_path
from shared.ai.chat.messages import Message, put_behind
from shared.ai.chat.moving import all_counted, enough, moving_writes
from shared.ai.chat.paths import COLLECTION, MESSAGES, STATES, messages_path, state_path
from shared.ai.chat.paths import conversation_path as _path
from shared.ai.chat.recollection import RecentIds, Recollection
from shared.ai.chat.settings_copy import NO_COPY, conversation_in, settings_copy
from shared.ai.chat.stored_messages import StoredMessages
from shared.ai.chat.tail import WINDOW_MESSAGES_MAX, SystemCount
from shared.kernel.clock import Clock, rfc3339
from shared.kernel.creation import create_or_find
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import (
    Create,
    Delete,
    Document,
    Documents,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    Where,
    Write,
)
from shared.kernel.erasing import ERASE_PAGE, delete_matching
from shared.kernel.errors import IdempotencyMismatch, InvalidValue, NotFound
from shared.kernel.ids import OperationId, Uid, derived_id, is_safe_id
from shared.kernel.pages import Page, owner_query, page_of

DELETE_BATCH = 50
FIRST_MESSAGES = 2
DELETE_SECONDS = 5.0
"""Seconds in which a request deletes messages of a large conversation. The periodic job deletes the rest."""
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
        self._stored = StoredMessages(documents)
        self._recollection = Recollection[Message]()
        self._read_whole = RecentIds()
        self.deletions = ConversationDeletions(documents, clock)
        self.charges = ConversationCharges(documents, self._stored)

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

        Raises IdempotencyMismatch, StorageFull, ConversationBeingDeleted.
        """
        conversation = self._new(uid, operation, title=title, model=model, system_prompt=system_prompt)
        creates = [
            Create(_path(conversation.id), shown_data(conversation)),
            Create(
                state_path(conversation.id), {**new_state(conversation, fingerprint), **settings_copy(conversation)}
            ),
        ]
        size = conversation_size(system_prompt)

        def create() -> Conversation:
            kept = self._kept_unless_deleted(uid, conversation.id).with_conversation(size, is_paying)
            self._documents.commit([*creates, kept.write])
            return conversation

        return create_or_find(
            create,
            lambda: self._found(conversation.id, uid, fingerprint),
            pause=lambda: self._clock.wait(CREATE_PAUSE_SECONDS * random.uniform(0.2, 1.8)),  # noqa: S311  # spreads
            attempts_max=CREATE_ATTEMPTS_MAX,
            final=(StorageFull, ConversationBeingDeleted),
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

    def _kept_unless_deleted(self, uid: Uid, conversation_id: str) -> StorageCount:
        """Return the user's storage count. Its next write fails if a conversation is deleted meanwhile.

        Raises ConversationBeingDeleted if messages of an earlier conversation of this id are still being deleted.
        """
        storage, deletion = self._documents.get_all([storage_path(uid), deletion_path(conversation_id)])
        if deletion is not None:
            raise ConversationBeingDeleted
        return kept_in(uid, storage)

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

    def get_to_continue(
        self, uid: Uid, conversation_id: str, paths: Sequence[str]
    ) -> tuple[Conversation, Sequence[Document | None]]:
        """Return the user's conversation for a turn, and the documents at `paths`, mostly in one round trip.

        The state tells all that a turn needs. `conversations/{id}` is read only if the state has no copy of the fields,
        or if the instance remembers that the copy would be too large or was out of date. Raises ConversationNotFound.
        """
        if not is_safe_id(conversation_id) or conversation_id in self._read_whole:
            return self.get_beside(uid, conversation_id, paths)
        state, *beside = self._documents.get_all([state_path(conversation_id), *paths])
        known = None if state is None else conversation_in(state)
        if known is not None:
            if known.uid != uid:
                raise ConversationNotFound
            return known, beside
        conversation, _ = self.get_beside(uid, conversation_id, ())
        if settings_copy(conversation) == NO_COPY:
            self._read_whole.add(conversation_id)
        return conversation, beside

    def list(self, uid: Uid, *, cursor: str | None = None, limit: int = 20) -> Page[Conversation]:
        """Return a page of the user's conversations, the last used first. Raises InvalidValue for a wrong cursor."""
        query = owner_query(COLLECTION, uid, "updated_at", cursor=None, limit=limit)
        found = self._documents.query(replace(query, after=cursor_values(cursor) if cursor else None))
        return page_of([conversation_of(document, None) for document in found], limit, cursor_of)

    def move(self, uid: Uid, conversation_id: str) -> None:
        """Give a conversation of an older form, or with an outdated tail, the present form; do nothing to any other.

        Raises ConversationNotFound, PreconditionFailed.
        """
        for attempt in range(1, CREATE_ATTEMPTS_MAX + 1):
            found, state = self._documents.get_all([_path(conversation_id), state_path(conversation_id)])
            document = _owned(found, uid)
            conversation = conversation_of(document, state)
            if not conversation.is_behind:
                return
            try:
                self._documents.commit(self._moving_writes(document, conversation))
                return
            except PreconditionFailed:
                if attempt == CREATE_ATTEMPTS_MAX:
                    raise

    def move_tail(self, uid: Uid, state: Document) -> None:
        """Give the conversation of this state a tail. Delete the state of a conversation that is gone.

        Raises PreconditionFailed.
        """
        try:
            self.move(uid, state.id)
        except ConversationNotFound:
            self._documents.commit([Delete(state.path, state.version)])

    def _moving_writes(self, document: Document, conversation: Conversation) -> Sequence[Write]:
        """Build the writes that give a conversation its two documents and its tail.

        The commit fails if the conversation or the tail has changed since. The state exists if an instance of an older
        release changed a conversation that had moved before.
        """
        behind = self._stored.documents_newest_first(conversation.id)
        documents = list(enough(behind, conversation.id))
        is_all = next(behind, None) is None
        return moving_writes(document, conversation, documents, is_all=is_all)

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
            copied = Patch(state_path(conversation_id), NO_COPY)
            try:
                self._documents.commit([changed, copied, *self._resized(conversation, changes, is_paying)])
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
        """Delete the conversation with all messages: in one commit if there are fewer than DELETE_BATCH documents.

        If there are more, the conversation goes at once and the messages in pages, some of them after this call: see
        `ConversationDeletions`. A running turn cannot restore messages, since the turn's commit needs the conversation.
        Raises ConversationNotFound.
        """
        self.get(uid, conversation_id)
        self._recollection.forget_conversation(conversation_id)
        if not self._delete_at_once(uid, conversation_id):
            self.deletions.delete_messages(conversation_id, Deadline.within(self._clock, DELETE_SECONDS))

    def discard_empty(self, uid: Uid, conversation_id: str) -> None:
        """Delete the conversation if no messages exist. A missing conversation is ignored."""
        with suppress(ConversationNotFound, PreconditionFailed):
            self._delete_at_once(uid, conversation_id, is_kept_with_messages=True)

    def _delete_at_once(self, uid: Uid, conversation_id: str, *, is_kept_with_messages: bool = False) -> bool:
        """Delete the conversation with its messages and reduce the user's storage count, in one commit.

        If there are DELETE_BATCH documents or more, begin their deletion instead, and return False.
        The messages are listed after the conversation was read. A turn that ends later, or a move, makes the commit
        fail, and the messages are listed again. If `is_kept_with_messages`, a conversation with messages stays. A
        repeated deletion does not reduce the count again.
        """
        for attempt in range(1, CREATE_ATTEMPTS_MAX + 1):
            conversation, storage = self.get_beside(uid, conversation_id, [storage_path(uid)])
            messages = self._message_paths(conversation_id)
            if is_kept_with_messages and (messages or conversation.last is not None):
                return True
            is_whole = len(messages) < DELETE_BATCH
            size = conversation_size(conversation.system_prompt)
            writes: list[Write] = [Delete(_path(conversation_id), conversation.version)]
            writes.append(Delete(state_path(conversation_id), conversation.state_version))
            writes += map(Delete, messages) if is_whole else [self.deletions.write_to_begin(uid, conversation_id)]
            if storage[0] is not None:
                writes.append(kept_in(uid, storage[0]).without_conversation(size).write)
            try:
                self._documents.commit(writes)
                return is_whole
            except PreconditionFailed:
                if attempt == CREATE_ATTEMPTS_MAX:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def messages(self, uid: Uid, conversation_id: str, *, cursor: str | None = None, limit: int = 20) -> Page[Message]:
        """Return a page of the conversation's messages, newest first. Raises ConversationNotFound."""
        conversation, _ = self.get_beside(uid, conversation_id, [])
        found = self._stored.newest(conversation_id, conversation.tail, cursor, limit + 1)
        return page_of(found, limit, lambda each: each.position)

    def message(self, uid: Uid, conversation_id: str, message_id: str) -> Message:
        """Return one message. Raises ConversationNotFound if the message or the conversation is gone."""
        found = self._stored.find(conversation_id, message_id)
        if found is None or found.uid != uid:
            raise ConversationNotFound
        return found

    def history(self, conversation_id: str) -> Sequence[Message]:
        """Return the last messages, newest first. The owner is not checked here, but by `get`."""
        if not is_safe_id(conversation_id):
            return ()
        tail = self._stored.tail(conversation_id)
        return self._stored.newest(conversation_id, tail, None, WINDOW_MESSAGES_MAX)

    def remembered(self, conversation: Conversation) -> Sequence[Message] | None:
        """Return the messages that a model may get if this instance wrote the last message, else None."""
        return self._recollection.of(conversation.id, conversation.last)

    def recall(self, conversation: Conversation) -> Sequence[Message]:
        """Return the messages that a model may get, newest first: from memory if this instance wrote the last message.

        Else the messages come from the conversation's tail, and from pages if the window is larger than the tail.
        Costs may differ: a correction or a note of a charge is not noticed here.
        """
        if (known := self.remembered(conversation)) is not None:
            return known
        if conversation.tail is None or conversation.is_behind:
            return all_counted(self._stored.newest(conversation.id, conversation.tail, None, WINDOW_MESSAGES_MAX))
        return self._stored.window(conversation.tail)

    def writes_to_continue(
        self,
        conversation: Conversation,
        said: Sequence[Message],
        messages: Sequence[Message],
        system: SystemCount | None = None,
    ) -> Sequence[Write]:
        """Build the writes that append `messages` behind `said`, in the tail of the conversation.

        If `said` is the whole history, remember the newest messages. The commit fails after any other append or
        deletion, and the caller uses `writes_to_append_anyway`. `system` is the count of the system prompt to store.
        """
        if conversation.is_behind:
            return self.writes_to_append(conversation, messages)
        messages = put_behind(messages, conversation.last)
        if is_whole(conversation, said):
            newest = sorted([*messages, *said], key=lambda message: message.position, reverse=True)
            self._recollection.keep(conversation.id, messages[-1].position, newest[:WINDOW_MESSAGES_MAX])
        return tail_writes(conversation, messages, system)

    def writes_to_append_anyway(
        self, conversation: Conversation, messages: Sequence[Message], refused: Sequence[Write]
    ) -> Sequence[Write]:
        """Build the writes for another attempt after the store refused the writes `refused`.

        The second attempt appends to the tail as stored now, every later attempt creates a page. A stored title stays.
        No writes if the conversation is gone, or has the messages already.
        """
        self._recollection.forget_conversation(conversation.id)
        found, state = self._documents.get_all([_path(conversation.id), state_path(conversation.id)])
        if found is None or state is None:
            return ()
        now = conversation_of(found, state)
        if now.version != now.state_version:
            self._read_whole.add(conversation.id)
        if has_messages(now, messages):
            return ()
        is_first = conversation.state is not None and any(
            isinstance(write, Put) and write.version == conversation.state.version for write in refused
        )
        return self.writes_to_continue(now, (), messages) if is_first else self.writes_to_append(now, messages)

    def writes_to_append(self, conversation: Conversation, messages: Sequence[Message]) -> Sequence[Write]:
        """Build the writes that append these messages as a page, all or none, regardless of other writers.

        The commit fails if the conversation is gone. The next turn moves the messages into the tail.
        """
        return page_writes(conversation, put_behind(messages, conversation.last))

    def first_messages(self, conversation_id: str) -> Sequence[Message]:
        """Return the first message and the answer to that message."""
        said = self._stored.oldest_first(conversation_id, self._stored.tail(conversation_id))
        return list(islice(said, FIRST_MESSAGES))

    def writes_to_title(self, conversation_id: str, title: str) -> Sequence[Write]:
        """Build the writes that set the title. The commit fails if the conversation is gone or of the old form."""
        return [Patch(_path(conversation_id), {"title": title}), Patch(state_path(conversation_id), NO_COPY)]

    def export(self, uid: Uid, conversation_id: str) -> Iterator[Message]:
        """Return all messages, oldest first. Raises ConversationNotFound before the first message."""
        conversation, _ = self.get_beside(uid, conversation_id, [])
        return self._stored.oldest_first(conversation_id, conversation.tail)

    def exists(self, conversation_id: str) -> bool:
        """Return True if the conversation was not deleted."""
        return self._documents.get(_path(conversation_id)) is not None

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Delete all conversations, turns and the storage count of a user who leaves; see `Erasable.erase`.

        The conversations go first. Then no running turn can write a message.
        """
        where = (Where("uid", "==", uid),)
        shown = Query(collection=COLLECTION, where=where, limit=ERASE_PAGE)
        rest = (
            Query(collection=STATES, where=where, limit=ERASE_PAGE),
            Query(collection=MESSAGES, group=True, where=where, limit=ERASE_PAGE),
            Query(collection=DELETIONS, where=where, limit=ERASE_PAGE),
            Query(collection="turns", where=where, limit=ERASE_PAGE),
        )
        is_done = delete_matching(self._documents, shown, deadline, _paths_at_once) and all(
            delete_matching(self._documents, query, deadline) for query in rest
        )
        if is_done:
            self._documents.commit([Delete(storage_path(uid))])
        return is_done

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

    def _message_paths(self, conversation_id: str) -> Sequence[str]:
        query = Query(collection=messages_path(conversation_id), limit=DELETE_BATCH, is_paths_only=True)
        return [document.path for document in self._documents.query(query)]


def _owned(found: Document | None, uid: Uid) -> Document:
    """Return the document if the user owns it. Raises ConversationNotFound."""
    if found is None or found.data["uid"] != uid:
        raise ConversationNotFound
    return found


def _paths_at_once(document: Document) -> Sequence[str]:
    return (document.path, state_path(document.id))
