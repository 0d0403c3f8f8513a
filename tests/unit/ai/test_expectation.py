from dataclasses import replace
from fractions import Fraction

from shared.ai.expectation import Expectation
from shared.ai.models import parse_model
from shared.platform.memory.clock import ManualClock
from shared.platform.memory.documents import MemoryDocuments

MODEL = parse_model(
    "m",
    {
        "kind": "chat",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
        "context_window": 1_000,
        "max_output_tokens": 500,
        "expected_output_tokens": 400,
    },
)


def known():
    return Expectation(MemoryDocuments(), ManualClock())


def after(*lengths):
    expectation = known()
    for length in lengths:
        expectation.learn(MODEL, reported=length, counted=length)
    return expectation.output_tokens(MODEL)


def test_at_first_it_is_what_the_model_says():
    assert after() == 400


def test_a_few_answers_outweigh_a_bad_guess():
    assert [after(*[35] * count) for count in range(1, 5)] == [400, 400, 35, 35]


def test_three_answers_in_four_are_no_longer():
    assert after(*range(10, 330, 10)) == 250


def test_old_answers_are_forgotten():
    assert after(*[500] * 100, *[7] * 32) == 7


def test_it_is_between_one_and_what_the_model_can():
    assert (after(*[0] * 9), after(*[900] * 9)) == (1, 500)


def test_every_model_has_its_own():
    expectation = known()
    for _ in range(9):
        expectation.learn(MODEL, reported=35, counted=70)

    other = replace(MODEL, id="other")
    assert (expectation.output_tokens(other), expectation.scale(other)) == (400, None)


def test_how_the_models_tokens_compare_with_ours_is_the_median_of_what_was_seen():
    expectation = known()
    for reported in (9, 10, 50):
        expectation.learn(MODEL, reported=reported, counted=20)

    assert expectation.scale(MODEL) == Fraction(1, 2)


def test_short_answers_and_hidden_tokens_say_nothing_about_that():
    expectation, reasoning = known(), replace(MODEL, id="o", capabilities=("reasoning",))
    expectation.learn(MODEL, reported=7, counted=7)
    expectation.learn(reasoning, reported=900, counted=20)

    assert (expectation.scale(MODEL), expectation.scale(reasoning)) == (None, None)
