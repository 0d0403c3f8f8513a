from hypothesis import given
from hypothesis import strategies as st

from shared.ai.tokens import (
    RunningCount,
    at_most_tokens,
    expected_tokens,
    message_expected,
    prompt_at_most,
    prompt_expected,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def test_english_prose_is_about_one_token_per_word():
    text = "The quick brown fox jumps over the lazy dog, and then it rests."

    assert expected_tokens(text) == 16


def test_other_scripts_and_numbers_cost_more_than_prose():
    counts = [expected_tokens(text) for text in ("", "12345", "привет", "日本語", "🎈", "def f(x):\n    return x")]

    assert counts == [0, 2, 2, 3, 3, 8]


def test_the_bound_is_the_number_of_bytes():
    assert at_most_tokens("naïve 🎈") == len("naïve 🎈".encode()) == 11


@given(TEXT)
def test_the_expectation_never_exceeds_the_bound(text):
    assert expected_tokens(text) <= at_most_tokens(text)
    assert message_expected(text) < prompt_at_most([text])


@given(st.lists(TEXT))
def test_a_prompts_expectation_never_exceeds_its_bound(contents):
    assert prompt_expected(contents) <= prompt_at_most(contents)


@given(st.lists(TEXT, min_size=1))
def test_a_running_count_is_the_same_however_the_text_is_cut(pieces):
    running = RunningCount()

    counts = [running.add(piece) for piece in pieces]

    assert counts == [expected_tokens("".join(pieces[: end + 1])) for end in range(len(pieces))]


def test_a_running_count_stays_exact_in_very_long_words():
    running = RunningCount()

    for _ in range(100):
        running.add(" ab" * 3 + "c" * 77)

    assert running.add("") == expected_tokens((" ab" * 3 + "c" * 77) * 100)
