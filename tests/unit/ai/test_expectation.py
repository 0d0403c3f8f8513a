from dataclasses import replace

import pytest

from shared.ai.models.catalogue import parse_model
from shared.ai.models.expectation import SHARED_FACTOR_MAX, Expectation
from shared.kernel.documents import Create
from shared.kernel.ids import Uid
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


ANN, BOB, MALLORY = Uid("ann"), Uid("bob"), Uid("mallory")


def known(documents=None):
    return Expectation(documents or MemoryDocuments(), ManualClock())


def stored(documents):
    found = documents.get("expectations/m")
    assert found is not None
    return found.data


def after(*lengths, uid=ANN):
    expectation = known()
    for length in lengths:
        expectation.learn(MODEL, uid, reported=length)
    return expectation.output_tokens(MODEL, uid)


def heard_from(lengths):
    """Each of these answers is another user's."""
    expectation = known()
    for number, length in enumerate(lengths):
        expectation.learn(MODEL, Uid(f"user {number}"), reported=length)
    return expectation


def test_an_answer_is_expected_as_the_model_says_at_first():
    assert after() == 400


def test_a_few_answers_outweigh_a_bad_guess_for_their_own_user():
    assert [after(*[35] * count) for count in range(1, 5)] == [400, 400, 35, 35]


def test_three_users_in_four_have_no_longer_answers():
    assert heard_from(range(110, 430, 10)).output_tokens(MODEL, ANN) == 370


def test_old_answers_are_forgotten():
    assert after(*[500] * 100, *[7] * 4) == 7


def test_an_expectation_is_between_one_and_what_the_model_can():
    assert (after(*[0] * 9), after(*[900] * 9)) == (1, 500)


def test_every_model_has_its_own_expectation():
    expectation = known()
    for _ in range(9):
        expectation.learn(MODEL, ANN, reported=35)

    assert expectation.output_tokens(replace(MODEL, id="other"), ANN) == 400


# Nobody steers another's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [0, 1, 33, 500, 100_000])
def test_one_users_answers_do_not_move_another_users_expectation(odd):
    expectation = known()
    for _ in range(33):
        expectation.learn(MODEL, MALLORY, reported=odd)

    assert expectation.output_tokens(MODEL, ANN) == expectation.known_output_tokens(MODEL) == 400
    assert expectation.is_guess(MODEL, ANN)


def test_one_user_among_others_is_one_vote_however_often_they_ask():
    calm, stirred = heard_from([100] * 20), heard_from([100] * 20)

    for _ in range(200):
        stirred.learn(MODEL, MALLORY, reported=500)

    assert stirred.output_tokens(MODEL, ANN) == calm.output_tokens(MODEL, ANN) == 100


@pytest.mark.parametrize("odd", [0, 100_000])
def test_many_users_move_an_expectation_within_a_factor_of_the_document(odd):
    small = replace(MODEL, expected_output_tokens=40)
    expectation = known()
    for number in range(40):
        expectation.learn(small, Uid(f"m{number}"), reported=odd)

    assert 40 / SHARED_FACTOR_MAX <= expectation.output_tokens(small, ANN) <= 40 * SHARED_FACTOR_MAX


def test_a_user_knows_their_own_model_while_another_floods_it():
    expectation = known()
    for _ in range(4):
        expectation.learn(MODEL, ANN, reported=35)
    for _ in range(100):
        expectation.learn(MODEL, MALLORY, reported=500)

    assert (expectation.output_tokens(MODEL, ANN), expectation.is_guess(MODEL, ANN)) == (35, False)


def test_what_is_stored_tells_another_instance_and_names_nobody():
    documents = MemoryDocuments()
    first, second = known(documents), known(documents)
    for uid in (ANN, ANN, ANN, BOB):
        first.learn(MODEL, uid, reported=35)

    assert [each.output_tokens(MODEL, ANN) for each in (first, second)] == [35, 35]
    assert second.output_tokens(MODEL, BOB) == 400
    assert "ann" not in str(stored(documents))


def test_answers_stored_without_users_are_one_vote():
    documents = MemoryDocuments()
    documents.commit([Create("expectations/m", {"v": 1, "lengths": [5, 5] * 32})])
    expectation = known(documents)

    assert (expectation.output_tokens(MODEL, ANN), expectation.is_guess(MODEL, ANN)) == (400, True)


def test_an_expectation_is_written_less_often_when_it_is_not_young():
    documents = MemoryDocuments()
    expectation = known(documents)
    for _ in range(40):
        expectation.learn(MODEL, ANN, reported=35)

    assert stored(documents)["count"] == 32
