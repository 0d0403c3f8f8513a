"""Rebuilding of a conversation's tail from all that is stored. Pure.

A conversation of an older release has a document for each message and no tail. After two turns at once, a turn may have
stored a page of its own, and the tail is outdated. In both cases the newest messages move into the tail in one commit.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from shared.ai.chat.conversation_documents import Conversation, fingerprint_of, shown_data, state_data
from shared.ai.chat.message_pages import NewPage, bytes_of, entry_of, messages_of, packed, turns_of
from shared.ai.chat.messages import Message
from shared.ai.chat.paths import state_path
from shared.ai.chat.tail import TAIL_BYTES_KEPT, WINDOW_MESSAGES_MAX, PageRow, Tail, pruned, row_of
from shared.ai.tokens import COUNTED_CHARACTERS_MAX, SAMPLE_CHARACTERS_MIN, expected_tokens
from shared.kernel.documents import Delete, Document, Put, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltTail:
    """The rebuilt tail, the pages to create, and the documents to delete, since the tail now has their messages."""

    tail: Tail
    created: tuple[NewPage, ...]
    absorbed: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """Messages that are stored together, oldest first. `document` is None for a turn of the old tail."""

    messages: tuple[Message, ...]
    document: Document | None

    @property
    def last(self) -> str:
        return self.messages[-1].position


def enough(documents: Iterable[Document], conversation_id: str) -> Iterator[Document]:
    """Yield the newest documents with messages, until they have all messages that a model may get."""
    count = 0
    for document in documents:
        yield document
        count += len(messages_of(document, conversation_id))
        if count >= WINDOW_MESSAGES_MAX:
            return


def moving_writes(
    document: Document, conversation: Conversation, documents: Sequence[Document], *, is_all: bool
) -> Sequence[Write]:
    """Build the writes that give a conversation both documents and a tail; see `rebuilt`.

    `document` is `conversations/{id}`. The commit fails if the conversation or the tail has changed since. The state
    exists if an instance of an older release changed a conversation that had moved before.
    """
    tail = conversation.tail or Tail(uid=conversation.uid, conversation_id=conversation.id)
    now = rebuilt(tail, documents, is_all=is_all)
    data = state_data(now.tail, fingerprint_of(document, conversation.state))
    shown = [Put(document.path, shown_data(conversation), document.version)] if conversation.is_old else []
    return [
        *shown,
        Put(state_path(conversation.id), data, conversation.state_version),
        *(page.write for page in now.created),
        *(Delete(each.path, each.version) for each in now.absorbed),
    ]


def rebuilt(tail: Tail, documents: Sequence[Document], *, is_all: bool) -> RebuiltTail:
    """Return the tail with the newest messages of `tail` and of `documents`, which need no order.

    `is_all`: no other document has messages. The newest messages that fit are in the tail, without a gap. Older turns
    of the old tail become pages, between the pages that are stored already.
    """
    sources = _sources(tail, documents)
    inside = _fitting(sources)
    rows, created = _behind(sources[len(inside) :])
    kept = sorted((message for source in inside for message in source.messages), key=lambda each: each.position)
    older = max((row.last for row in rows), default=None)
    grown = replace(
        tail,
        is_outdated=False,
        entries=tuple(map(entry_of, kept)),
        covers=max((each.covers for source in sources for each in source.messages if each.covers), default=tail.covers),
        last=max((source.last for source in sources), default=None),
        older=older if older is not None or is_all else "",
    )
    kept_by = {source.document.path for source in sources[len(inside) :] if source.document is not None}
    return RebuiltTail(
        tail=replace(grown, pages=pruned(grown, rows)),
        created=tuple(created),
        absorbed=tuple(document for document in documents if document.path not in kept_by),
    )


def _sources(tail: Tail, documents: Sequence[Document]) -> list[_Source]:
    """Return the turns of the tail and the documents, the newest first. A message stored twice counts for the tail."""
    ours = tail.messages()
    known = {message.id for message in ours}
    paged = [(each, messages_of(each, tail.conversation_id)) for each in documents]
    counted = iter(all_counted([message for _, messages in paged for message in messages]))
    sources = [_Source(tuple(turn), None) for turn in turns_of(ours)]
    for document, messages in paged:
        unknown = tuple(each for each in islice(counted, len(messages)) if each.id not in known)
        sources += [_Source(unknown, document)] if unknown else []
    return sorted(sources, key=lambda source: source.last, reverse=True)


def _fitting(sources: Sequence[_Source]) -> list[_Source]:
    """Return the newest sources that fit into a tail, without a gap."""
    room = TAIL_BYTES_KEPT
    inside: list[_Source] = []
    for source in sources:
        room -= bytes_of(map(entry_of, source.messages))
        if room < 0:
            break
        inside.append(source)
    return inside


def _behind(sources: Sequence[_Source]) -> tuple[list[PageRow], list[NewPage]]:
    """Return the rows of the messages behind the tail, and the pages for those that have no document."""
    rows: list[PageRow] = []
    created: list[NewPage] = []
    loose: list[Message] = []
    for source in [*sources, None]:
        if source is not None and source.document is None:
            loose = [*source.messages, *loose]
            continue
        pages = packed(loose, "moved")
        created += pages
        rows += map(row_of, pages)
        loose = []
        if source is not None and source.document is not None:
            tokens = tuple(message.tokens or 0 for message in source.messages)
            rows.append(PageRow(source.document.id, source.last, tokens))
    return rows, created


def all_counted(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with their tokens.

    The texts that were stored without a number of tokens are counted together, by a sample of bounded size.
    """
    characters = sum(len(message.content) for message in messages if message.tokens is None)
    share = min(1.0, COUNTED_CHARACTERS_MAX / max(1, characters))
    return [message if message.tokens is not None else _counted(message, share) for message in messages]


def _counted(message: Message, share: float) -> Message:
    sample = max(SAMPLE_CHARACTERS_MIN, int(len(message.content) * share))
    return replace(message, tokens=expected_tokens(message.content, sample))
