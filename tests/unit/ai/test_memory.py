"""What of a conversation is told as it was said, and what is summarised first."""

from hypothesis import given
from hypothesis import strategies as st

from shared.ai.chat.memory import RECENT_MAX, REMEMBERED, clipped, due, recalled
from shared.ai.chat.messages import Message
from shared.ai.models.catalogue import parse_model
from shared.ai.ports import Role
from shared.ai.tokens import expected_tokens, message_expected
from shared.kernel.ids import Uid


def model(window):
    fields = {"kind": "chat", "input_usd_per_mtok": "1", "output_usd_per_mtok": "2", "max_output_tokens": window // 4}
    return parse_model("m", {**fields, "context_window": window, "expected_output_tokens": 50})


def message(number, content="word " * 20, *, covers=None):
    role: Role = "system" if covers is not None else "assistant" if number % 2 else "user"
    return Message(
        id=f"msg_{number}",
        uid=Uid("ann"),
        conversation_id="c",
        role=role,
        content=content,
        position=f"{number:015d}",
        created_at=number,
        covers=covers,
    )


def said(count, **more):
    return [message(number, **more) for number in range(count)][::-1]


def test_what_fits_is_told_as_it_was_said():
    memory = recalled(said(4))

    assert due(memory, model(8_000), needed=10) is None
    assert [prompt.role for prompt in memory.history()] == ["assistant", "user", "assistant", "user"]


def test_what_does_not_fit_is_summarised_oldest_first_and_the_newest_are_kept():
    memory = recalled(said(40))

    wanted = due(memory, model(800), needed=10)

    assert wanted is not None
    kept = [each for each in memory.recent if each.position > wanted.covers]
    assert wanted.content.startswith("[user]\nword")
    assert sum(message_expected(each.content) for each in kept) > 0
    assert wanted.tokens_max == 100


def test_a_summary_stands_for_what_it_covers_and_stays_when_more_is_said():
    summary = message(41, "They spoke of tea.", covers=f"{35:015d}")

    memory = recalled([message(42), summary, *said(41)])

    assert [each.position for each in memory.recent] == [f"{number:015d}" for number in (42, 40, 39, 38, 37, 36)]
    assert memory.history()[-1].content == f"{REMEMBERED}They spoke of tea."
    assert due(memory, model(800), needed=10) is None


def test_the_summary_before_is_part_of_the_next():
    summary = message(41, "They spoke of tea.", covers=f"{35:015d}")
    memory = recalled([message(n) for n in range(80, 41, -1)] + [summary])

    wanted = due(memory, model(800), needed=10)

    assert wanted is not None
    assert wanted.content.startswith("[summary of what came before]\nThey spoke of tea.")


def test_too_many_messages_are_summarised_however_short():
    memory = recalled(said(RECENT_MAX, content="hi"))

    wanted = due(memory, model(100_000), needed=10)

    assert wanted is not None
    assert wanted.covers == f"{RECENT_MAX // 2 - 1:015d}"


def test_one_message_larger_than_the_window_is_clipped_not_refused():
    memory = recalled([message(1, "b " * 10), message(0, "a" * 100_000)])

    wanted = due(memory, model(1_000), needed=10)

    assert wanted is not None
    assert wanted.covers == f"{0:015d}"
    assert expected_tokens(wanted.content) < 1_000


@given(text=st.text(max_size=200), tokens=st.integers(-5, 120))
def test_what_is_clipped_is_a_beginning_of_about_that_size(text, tokens):
    short = clipped(text, tokens)

    assert text.startswith(short)
    assert len(short.encode()) <= max(0, tokens) * 2


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=30), window=st.sampled_from([400, 1_000, 4_000]))
def test_each_summary_covers_more_until_nothing_is_due(sizes, window):
    conversation = [message(number, "w " * size) for number, size in enumerate(sizes)]
    covered = ""
    for number in range(60):
        memory = recalled(conversation[::-1])
        wanted = due(memory, model(window), needed=10)
        if wanted is None:
            break
        assert wanted.covers > covered
        assert expected_tokens(wanted.content) < window
        covered = wanted.covers
        conversation.append(message(1_000 + number, "s " * (wanted.tokens_max // 4), covers=wanted.covers))
    else:
        raise AssertionError("it never ends")
