"""Messages of a conversation as stored: the tail, the pages behind the tail, and documents of the older form.

Every message of the tail is newer than every page, except after two turns at once: then a turn may have stored a page
of its own. Reads sort the found messages, and return a message once that is stored twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from shared.ai.chat.message_pages import changed_page, is_page, messages_of
from shared.ai.chat.messages import Message
from shared.ai.chat.paths import message_path, messages_path, state_path
from shared.ai.chat.settings_copy import NO_COPY
from shared.ai.chat.tail import WINDOW_MESSAGES_MAX, PageRow, Tail, tail_of
from shared.kernel.documents import Document, Documents, Order, PreconditionFailed, Put, Query, Where, Write
from shared.kernel.meanwhile import Meanwhile

DOCUMENTS_FIRST = 2
"""Documents in the first read of a list. A page has many messages, so that two documents mostly suffice."""
PAGES_MAX, SINGLES_MAX = 16, 100
"""Most documents in one read: pages, and documents of the older form, which have one message each."""
TOGETHER_MAX, READS_MAX = 4, 8
"""Pages that one read of the window takes, and reads at the same time; a window of more pages has larger reads."""
STRADDLING_MAX = 2
"""Pages that may hold messages on both sides of a position."""
CHANGE_ATTEMPTS_MAX = 8
LOOKS_MAX = 4
"""Most searches for messages that move between documents while the documents are read."""

Change = Callable[[Message], Message]


class StoredMessages:
    """Reader of stored messages. Corrects single messages; see `ConversationStore` for appending."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def tail(self, conversation_id: str) -> Tail | None:
        """Return the tail as stored now; None if the conversation has none."""
        return tail_of(self._documents.get(state_path(conversation_id)))

    def window(self, tail: Tail) -> list[Message]:
        """Return the messages that a model may get, newest first: the messages of the tail, then of the pages."""
        found = tail.window()
        for row, document in self._pages(tail):
            messages = [] if document is None else messages_of(document, tail.conversation_id)
            counted = [replace(message, tokens=tokens) for message, tokens in zip(messages, row.tokens, strict=False)]
            found.extend(each for each in reversed(counted) if tail.covers is None or each.position > tail.covers)
        return found[:WINDOW_MESSAGES_MAX]

    def newest(self, conversation_id: str, tail: Tail | None, before: str | None, limit: int) -> list[Message]:
        """Return the last `limit` messages before the position `before`, newest first."""
        if tail is not None and not tail.is_outdated:
            found = tail.newest(limit, before)
            sure = [message for message in found if tail.older is None or message.position > tail.older]
            if tail.older is None or len(sure) == limit:
                return sure
        return self._merged(conversation_id, tail, before, limit)

    def oldest_first(self, conversation_id: str, tail: Tail | None) -> Iterator[Message]:
        """Yield all messages, oldest first, with messages that move into the tail while the pages are read."""
        ours = [] if tail is None else tail.messages()
        if tail is not None and tail.older is None and not tail.is_outdated:
            yield from ours
            return
        told: set[str] = set()
        late = list(ours)
        for message in self._paged(conversation_id):
            if ours and message.position >= ours[0].position:
                late.append(message)
            elif message.id not in told:
                told.add(message.id)
                yield message
        now = self.tail(conversation_id)
        known = {message.id: message for message in (*late, *(() if now is None else now.messages()))}
        rest = (message for message in known.values() if message.id not in told)
        yield from sorted(rest, key=lambda message: message.position)

    def documents_newest_first(self, conversation_id: str, before: str | None = None) -> Iterator[Document]:
        """Yield the documents with messages behind the tail, the newest first, from the position `before` on."""
        yield from self._walk(conversation_id, Order("position", descending=True), before)

    def find(self, conversation_id: str, message_id: str) -> Message | None:
        """Return the message of this id; None if there is none."""
        place = self._place(conversation_id, message_id)
        return None if place is None else _named(messages_at(place, conversation_id), message_id)

    def writes_to_change(self, conversation_id: str, message_id: str, change: Change) -> Sequence[Write]:
        """Build the writes that change one message; none if the message is gone.

        The commit fails if the document with the message has changed since.
        """
        place = self._place(conversation_id, message_id)
        if place is None:
            return []
        messages = messages_at(place, conversation_id)
        tail = tail_of(place)
        if tail is not None:
            [found] = (each for each in messages if each.id == message_id)
            changed = {**place.data, **tail.with_changed(change(found)).data(), "last": place.data["last"], **NO_COPY}
            return [Put(place.path, changed, place.version)]
        return [changed_page(place, [change(each) if each.id == message_id else each for each in messages])]

    def commit_change(self, conversation_id: str, message_id: str, change: Change) -> bool:
        """Change one message. Return False if the message is gone. Raises PreconditionFailed after many attempts."""
        for attempt in range(1, CHANGE_ATTEMPTS_MAX + 1):
            writes = self.writes_to_change(conversation_id, message_id, change)
            if not writes:
                return False
            try:
                self._documents.commit(writes)
                return True
            except PreconditionFailed:
                if attempt == CHANGE_ATTEMPTS_MAX:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _place(self, conversation_id: str, message_id: str) -> Document | None:
        """Return the document that holds the message: the state, a page, or a document of the older form; None if none.

        If the state has changed since it was read, the message may have moved from the one to the other: look again.
        """
        paths = [state_path(conversation_id), message_path(conversation_id, message_id)]
        state, single = self._documents.get_all(paths)
        for _ in range(LOOKS_MAX):
            tail = tail_of(state)
            if tail is not None and _named(tail.messages(), message_id) is not None:
                return state
            if single is not None:
                return single
            # Pages of a conversation that is being deleted may still be there, but the conversation has no state.
            page = None if tail is None else self._page_with(conversation_id, message_id)
            if page is not None:
                return page
            before = None if state is None else state.version
            state, single = self._documents.get_all(paths)
            if before == (None if state is None else state.version):
                return None
        return None

    def _merged(self, conversation_id: str, tail: Tail | None, before: str | None, limit: int) -> list[Message]:
        """Return messages of the tail and of pages, as they are once the pages of an outdated tail are read."""
        found = self._found(conversation_id, tail, before, limit)
        for _ in range(LOOKS_MAX):
            if tail is not None and not tail.is_outdated:
                break
            now = self.tail(conversation_id)
            if now == tail:
                break
            tail = now
            found = self._found(conversation_id, tail, before, limit)
        return found

    def _found(self, conversation_id: str, tail: Tail | None, before: str | None, limit: int) -> list[Message]:
        """Return messages of the tail and of pages. Pages are read until no unread page can hold one of the result."""
        known: dict[str, Message] = {}
        complete_from = ""
        for document in self._documents_around(conversation_id, before):
            page = messages_of(document, conversation_id)
            known |= {message.id: message for message in page}
            complete_from = page[0].position
            if sum(complete_from <= each.position and _is_before(each, before) for each in known.values()) >= limit:
                break
        else:
            complete_from = ""
        if tail is not None:
            known |= {message.id: message for message in tail.messages()}
        found = [each for each in known.values() if each.position >= complete_from and _is_before(each, before)]
        return sorted(found, key=lambda message: message.position, reverse=True)[:limit]

    def _documents_around(self, conversation_id: str, before: str | None) -> Iterator[Document]:
        """Yield the documents with messages before a position, the newest first."""
        if before is not None:
            query = Query(
                collection=messages_path(conversation_id),
                where=(Where("position", ">=", before),),
                order_by=(Order("position"),),
                limit=STRADDLING_MAX,
            )
            yield from reversed(self._documents.query(query))
        yield from self.documents_newest_first(conversation_id, before)

    def _paged(self, conversation_id: str) -> Iterator[Message]:
        for document in self._walk(conversation_id, Order("position"), None):
            yield from messages_of(document, conversation_id)

    def _walk(self, conversation_id: str, order: Order, after: str | None) -> Iterator[Document]:
        """Yield the documents in this order, a few at first, then more with every read."""
        limit = DOCUMENTS_FIRST
        while True:
            query = Query(
                collection=messages_path(conversation_id),
                order_by=(order,),
                after=None if after is None else (after,),
                limit=limit,
            )
            found = self._documents.query(query)
            yield from found
            if len(found) < limit:
                return
            after = str(found[-1].data["position"])
            limit = min(limit * 8, PAGES_MAX if any(map(is_page, found)) else SINGLES_MAX)

    def _pages(self, tail: Tail) -> list[tuple[PageRow, Document | None]]:
        """Return the rows of the window with their documents, the newest first.

        A large window is read in several parts at the same time.
        """
        rows = tail.pages[::-1]
        size = max(TOGETHER_MAX, -(-len(rows) // READS_MAX))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        reads = [Meanwhile(partial(self._read, tail.conversation_id, part)) for part in parts[1:]]
        found = self._read(tail.conversation_id, parts[0]) if parts else []
        return [*found, *(each for read in reads for each in read.result())]

    def _read(self, conversation_id: str, rows: Sequence[PageRow]) -> list[tuple[PageRow, Document | None]]:
        found = self._documents.get_all([message_path(conversation_id, row.id) for row in rows])
        return list(zip(rows, found, strict=True))

    def _page_with(self, conversation_id: str, message_id: str) -> Document | None:
        query = Query(
            collection=messages_path(conversation_id), where=(Where("ids", "array_contains", message_id),), limit=1
        )
        found = self._documents.query(query)
        return found[0] if found else None


def messages_at(place: Document, conversation_id: str) -> list[Message]:
    """Return the messages in the state of a conversation, in a page, or in a document of the older form."""
    tail = tail_of(place)
    return messages_of(place, conversation_id) if tail is None else tail.messages()


def _named(messages: Sequence[Message], message_id: str) -> Message | None:
    return next((message for message in messages if message.id == message_id), None)


def _is_before(message: Message, position: str | None) -> bool:
    return position is None or message.position < position
