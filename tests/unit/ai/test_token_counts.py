"""The corpus: for each kind of text what is expected, the bound, and what `o200k_base` really makes of it."""

import json
import sys
from pathlib import Path

import pytest

from shared.ai.tokens import RunningCount, at_most_tokens, expected_tokens

CORPUS = json.loads((Path(__file__).parents[2] / "data" / "token_counts.json").read_text(encoding="utf-8"))
KINDS = [each["kind"] for each in CORPUS]
OFF_AT_MOST = 0.25


def off(text, tokens):
    return abs(expected_tokens(text) - tokens) / tokens


def test_the_corpus_prints_its_table_and_has_22_kinds(capsys):
    rows = [
        (each["kind"], expected_tokens(each["text"]), at_most_tokens(each["text"]), each["tokens"]) for each in CORPUS
    ]

    with capsys.disabled():
        sys.stdout.write(f"\n\n{'kind of text':20}{'expected':>9}{'bound':>7}{'real':>6}{'off':>7}\n")
        for kind, expected, bound, real in rows:
            sys.stdout.write(f"{kind:20}{expected:9}{bound:7}{real:6}{expected / real - 1:+7.0%}\n")

    assert len(set(KINDS)) == len(KINDS) >= 22
    assert all(abs(expected - real) <= OFF_AT_MOST * real for _, expected, _, real in rows)


@pytest.mark.parametrize("each", CORPUS, ids=KINDS)
def test_a_text_is_expected_within_a_quarter_of_its_real_count(each):
    assert off(each["text"], each["tokens"]) <= OFF_AT_MOST
    assert each["tokens"] <= at_most_tokens(each["text"])


@pytest.mark.parametrize("each", CORPUS, ids=KINDS)
def test_a_running_count_ends_at_the_same_number_letter_by_letter(each):
    running = RunningCount()

    for letter in each["text"]:
        running.add(letter)

    assert running.add("") == expected_tokens(each["text"])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [(" " * 3_000, 24), ("\n" * 1_000, 63), ("\t" * 1_000, 63), ("-" * 640, 10), ("1234567890" * 60, 200)],
)
def test_long_runs_of_one_sign_are_few_tokens(text, tokens):
    assert tokens * 0.75 <= expected_tokens(text) <= tokens * 2


@pytest.mark.parametrize(
    "unit", ["aB", "é", " (", "\n ", "я ", "漢", "\U0001f389", "\u0301", "A" * 64 + "b", "1", "'s "]
)
def test_counting_is_linear_in_the_length(unit):
    few, many = expected_tokens(unit * 1_000), expected_tokens(unit * 10_000)

    assert 9 * few <= many <= 11 * few


def test_one_formal_sentence_many_times_is_within_a_quarter():
    sentence = (
        "Вчера вечером мы долго обсуждали результаты исследования и пришли к выводу, что необходимо провести "
        "дополнительный анализ. "
    )

    assert off(sentence * 200, 4_601) <= OFF_AT_MOST
