"""The tail of a conversation is bounded, loses no message, and tells which pages a model needs."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ai.chat.message_pages import PAGE_BYTES_MAX, NewPage, bytes_of, entry_of, page_data
from shared.ai.chat.messages import CONTENT_BYTES_MAX, Message, position, put_behind, turn_name
from shared.ai.chat.settings_copy import SETTINGS_BYTES_MAX
from shared.ai.chat.tail import WINDOW_MESSAGES_MAX, Tail, appended, tail_of
from shared.kernel.documents import DOCUMENT_BYTES_MAX, Create, Document
from shared.kernel.ids import Uid
from shared.platform.memory.documents import MemoryDocuments

ANN = Uid("ann")
FIELDS = {"uid": "u" * 128, "fingerprint": "f" * 64, "settings": "s" * SETTINGS_BYTES_MAX}
EMPTY = Tail(uid=ANN, conversation_id="c")
TEXTS = ("a", "é", "語", "😀", "\n", "\x01", '"')
"""Characters of one to four bytes, and such as JSON escapes."""
SIZES = (1, 40, 3_000, 30_000, 90_000, 200_000, 400_000, CONTENT_BYTES_MAX)


def turn(number: int, *contents: str) -> list[Message]:
    return [
        Message(
            id=f"msg_{number}_{index}",
            uid=ANN,
            conversation_id="c",
            role="assistant" if index else "user",
            content=content,
            position=position(number, f"run{number}", index),
            created_at=number,
            tokens=1 + len(content) // 4,
        )
        for index, content in enumerate(contents)
    ]


def stored(tail: Tail) -> Document:
    """The document with the tail, accepted by the store's own limits."""
    documents = MemoryDocuments()
    documents.commit([Create("conversation_states/c", {**FIELDS, **tail.data()})])
    found = documents.get("conversation_states/c")
    assert found is not None
    return found


def bytes_stored(value: object) -> int:
    """The bytes that Firestore counts for a value."""
    match value:
        case str():
            return len(value.encode()) + 1
        case list() | tuple():
            return sum(map(bytes_stored, value))
        case dict():
            return sum(len(name) + 1 + bytes_stored(each) for name, each in value.items())
    return 8


def grown(*turns: list[Message]) -> tuple[Tail, list[NewPage]]:
    tail, pages = EMPTY, []
    for messages in turns:
        tail, created = appended(tail, messages)
        pages += created
    return tail, pages


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TEXTS), st.sampled_from(SIZES), st.sampled_from(SIZES)), max_size=12))
def test_tail_and_pages_hold_each_message_once_within_their_bounds(sizes):
    turns = [
        turn(number, *(letter * (size // len(letter.encode()) or 1) for size in pair))
        for number, (letter, *pair) in enumerate(sizes, 1)
    ]

    tail, pages = grown(*turns)

    found = [*(message for page in pages for message in page.messages), *tail.messages()]
    assert found == [message for each in turns for message in each]
    document = stored(tail)
    assert bytes_stored(dict(document.data)) <= 256_000
    assert replace(tail, uid=Uid(FIELDS["uid"])) == tail_of(document)
    for page in pages:
        assert bytes_stored(dict(page_data(page.messages))) <= DOCUMENT_BYTES_MAX


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SIZES), st.sampled_from(SIZES)), max_size=12))
def test_messages_of_a_turn_are_in_one_document_where_they_fit(sizes):
    turns = [turn(number, "a" * first, "b" * second) for number, (first, second) in enumerate(sizes, 1)]

    tail, pages = grown(*turns)

    places: dict[str, set[int]] = {}
    for place, messages in enumerate([tail.messages(), *(page.messages for page in pages)]):
        for message in messages:
            places.setdefault(turn_name(message.position), set()).add(place)
    for messages in turns:
        fits = bytes_of(map(entry_of, messages)) <= PAGE_BYTES_MAX
        assert len(places[turn_name(messages[0].position)]) == (1 if fits else 2)


def test_the_window_is_named_as_far_as_a_model_may_get_it():
    tail, pages = grown(*(turn(number, "a" * 5_000, "b" * 5_000) for number in range(1, 101)))

    named = sum(len(row.tokens) for row in tail.pages)

    assert len(pages) > len(tail.pages) > 0
    assert named + len(tail.entries) >= WINDOW_MESSAGES_MAX
    assert named + len(tail.entries) - len(tail.pages[0].tokens) < WINDOW_MESSAGES_MAX


def test_pages_that_a_summary_covers_are_named_no_more():
    tail, pages = grown(*(turn(number, "a" * 30_000, "b" * 30_000) for number in range(1, 11)))
    summary = replace(turn(99, "They spoke of tea.")[0], role="system", covers=pages[-1].last)

    now, _ = appended(tail, [summary])

    assert tail.pages != ()
    assert now.pages == ()
    assert [message.id for message in now.window()][:2] == ["msg_99_0", "msg_10_1"]
    assert all(message.position > pages[-1].last for message in now.window())


def test_messages_of_a_slow_clock_are_put_behind_the_last():
    first, late = turn(5, "five"), turn(3, "three", "three")

    put = put_behind(late, first[0].position)

    assert [message.position for message in put] == [position(6, "run3", 0), position(6, "run3", 1)]
    assert put_behind(put, first[0].position) == put
    assert put_behind(late, None) == late
