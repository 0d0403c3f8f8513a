import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ai.models.catalogue import parse_model
from shared.ai.models.prompt import ContextTooLong, build_prompt
from shared.ai.ports import PromptMessage
from shared.ai.tokens import prompt_expected

WORD = " word"


def model(window=200, most=50, expected=20):
    return parse_model(
        "m",
        {
            "kind": "chat",
            "input_usd_per_mtok": "1",
            "output_usd_per_mtok": "1",
            "context_window": window,
            "max_output_tokens": most,
            "expected_output_tokens": expected,
        },
    )


def said(*contents):
    """Newest first, as history comes."""
    return [PromptMessage(role="user", content=content) for content in contents]


def contents(prompt):
    return [message.content for message in prompt.messages]


def test_everything_is_told_in_order_when_it_fits():
    prompt = build_prompt(
        model(), system="Be kind.", history=said("second", "first"), content="third", max_output_tokens=None
    )

    assert [(message.role, message.content) for message in prompt.messages] == [
        ("system", "Be kind."),
        ("user", "first"),
        ("user", "second"),
        ("user", "third"),
    ]


def test_the_newest_messages_stay_and_no_gap_is_left():
    history = said("a" + WORD * 30, "b" + WORD * 60, "c" + WORD * 90, "d")

    prompt = build_prompt(model(), system="s", history=history, content="new", max_output_tokens=None)

    assert contents(prompt) == ["s", "b" + WORD * 60, "a" + WORD * 30, "new"]


def test_room_is_kept_for_the_answer():
    history = said(WORD * 100)

    short = build_prompt(model(), system=None, history=history, content="new", max_output_tokens=10)
    long = build_prompt(model(most=150), system=None, history=history, content="new", max_output_tokens=150)

    assert (contents(short), contents(long)) == ([WORD * 100, "new"], ["new"])


def test_a_message_that_does_not_fit_is_refused_with_its_size():
    with pytest.raises(ContextTooLong) as refusal:
        build_prompt(model(), system=WORD * 100, history=[], content=WORD * 100, max_output_tokens=None)

    assert refusal.value.params == {"tokens": 211, "limit": 200}


def test_the_output_is_what_is_asked_for_what_the_model_can_and_what_the_window_leaves():
    def output(limit, content="hi"):
        return build_prompt(model(), system=None, history=[], content=content, max_output_tokens=limit).output_at_most

    assert [output(None), output(7), output(999), output(None, WORD * 180)] == [50, 7, 50, 13]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(TEXTS, max_size=8), TEXTS, st.none() | TEXTS, st.none() | st.integers(1, 300), st.integers(60, 600))
def test_a_prompt_and_its_answer_always_fit_the_window(history, content, system, limit, window):
    chosen = model(window=window, most=min(50, window))
    try:
        prompt = build_prompt(chosen, system=system, history=said(*history), content=content, max_output_tokens=limit)
    except ContextTooLong:
        assert prompt_expected([system or "", content]) >= window
        return

    kept = contents(prompt)
    assert kept[-1] == content
    assert prompt.input_expected + prompt.output_at_most <= window
    assert 0 < prompt.input_expected <= prompt.input_at_most <= window
    assert kept[bool(system) : -1] == history[: len(kept) - 1 - bool(system)][::-1]
