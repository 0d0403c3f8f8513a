"""Long texts are counted by samples: as close as when counted whole, in bounded work."""

from random import Random

import pytest

from shared.ai import tokens
from shared.ai.tokens import COUNTED_CHARACTERS_MAX, at_most_tokens, expected_tokens, prompt_expected

KINDS = {
    "prose": "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "russian": "Быстрая лиса прыгает через ленивую собаку. ",
    "emoji": "\U0001f600\U0001f680 ",
    "code": "def add(left: int, right: int) -> int:\n    return left + right\n\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_long_text_counts_close_to_its_parts(kind):
    part = KINDS[kind] * (90_000 // len(KINDS[kind]))

    counted = expected_tokens(part * 10)

    assert abs(counted - 10 * expected_tokens(part)) <= counted // 20


@pytest.mark.parametrize("kind", KINDS)
def test_long_prompt_counts_close_to_its_messages(kind):
    part = KINDS[kind] * (2_000 // len(KINDS[kind]))

    counted = prompt_expected([part] * 500)

    assert abs(counted - 500 * prompt_expected([part])) <= counted // 5


def test_text_that_is_dense_between_even_distances_is_not_counted_low():
    """Cheap at each place where evenly spaced samples would lie, dense everywhere else."""
    part = "the quick brown fox " * 100 + "\u1234\u4e5f\u0b83" * 6_000
    text = part * 10

    counted = expected_tokens(text)

    assert counted >= 0.75 * 10 * expected_tokens(part)


@pytest.mark.parametrize("seed", [18, 38, 42, 60, 78])
def test_long_text_of_two_kinds_counts_close_to_the_whole(seed):
    random, size = Random(seed), 1_500
    dense, plain = "\u1234\u4e5f\u0b83" * (size // 3), KINDS["prose"] * (size // len(KINDS["prose"]))
    parts = [dense if random.random() < 0.1 else plain for _ in range(400)]

    counted = expected_tokens("".join(parts))

    assert abs(counted / sum(map(expected_tokens, parts)) - 1) <= 0.15


def test_long_text_never_counts_above_its_bytes():
    text = "a1" * 400_000

    assert expected_tokens(text) <= at_most_tokens(text)


@pytest.mark.parametrize("messages", [1, 20, 2_000])
def test_work_for_a_long_prompt_is_bounded(monkeypatch, messages):
    looked_at = 0
    cost = tokens._cost

    def counting(text):
        nonlocal looked_at
        looked_at += len(text)
        return cost(text)

    monkeypatch.setattr(tokens, "_cost", counting)

    prompt_expected(["\U0001f600" * (1_000_000 // messages)] * messages)

    assert looked_at <= 2 * COUNTED_CHARACTERS_MAX
