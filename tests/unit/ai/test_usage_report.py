"""Reports of usage as providers send them."""

import pytest

from shared.ai.models.usage_report import later_usage, read_usage, usage_in
from shared.ai.tokens import Usage

STANDARD = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def tokens(usage: Usage | None) -> tuple[int, int] | None:
    return None if usage is None else (usage.input_tokens, usage.output_tokens)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (STANDARD, (20, 5)),
        (STANDARD | {"completion_tokens_details": {"reasoning_tokens": 3}}, (20, 5)),
        ({"prompt_tokens": 20, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}, (20, 5)),
        ({"prompt_tokens": 20.0, "completion_tokens": 4.2, "total_tokens": 25.0}, (20, 5)),
        ({"prompt_tokens": "20", "completion_tokens": "5"}, (20, 5)),
        ({"input_tokens": 20, "output_tokens": 5}, (20, 5)),
        ({"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 32}, (20, 12)),
        ({"prompt_tokens": 20, "total_tokens": 25}, (20, 5)),
        ({"prompt_tokens": 20, "completion_tokens": None, "total_tokens": 25}, (20, 5)),
        ({"completion_tokens": 5, "total_tokens": 25}, (20, 5)),
        ({"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 20}, (20, 0)),
    ],
)
def test_report_says_its_tokens_under_many_names(report, expected):
    assert tokens(read_usage(report)) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 1025}, (20, 1005)),
        (
            {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 1025}
            | {"completion_tokens_details": {"reasoning_tokens": 1000}},
            (20, 1005),
        ),
        (STANDARD | {"completion_tokens_details": {"reasoning_tokens": 1000}}, (20, 1005)),
        (
            {"prompt_tokens": 20, "completion_tokens": 5}
            | {"completion_tokens_details": {"reasoning_tokens": 3, "text_tokens": 5}},
            (20, 8),
        ),
        ({"prompt_tokens": 20, "completion_tokens": 0, "total_tokens": 80, "reasoning_tokens": 60}, (20, 60)),
    ],
)
def test_report_counts_thinking_beside_the_output(report, expected):
    assert tokens(read_usage(report)) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            {"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 2005}
            | {"prompt_tokens_details": {"cached_tokens": 800}},
            Usage(input_tokens=1000, output_tokens=1005, cached_input_tokens=800, reasoning_tokens=1000),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 1025, "cache_read_input_tokens": 1000},
            Usage(input_tokens=1020, output_tokens=5, cached_input_tokens=1000),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 1055}
            | {"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 30},
            Usage(input_tokens=1050, output_tokens=5, cached_input_tokens=1000, cache_write_tokens=30),
        ),
        (
            {"promptTokenCount": 20, "candidatesTokenCount": 5, "toolUsePromptTokenCount": 40, "totalTokenCount": 65},
            Usage(input_tokens=60, output_tokens=5),
        ),
        (
            {"promptTokenCount": 20, "candidatesTokenCount": 5, "toolUsePromptTokenCount": 40, "totalTokenCount": 75}
            | {"thoughtsTokenCount": 10},
            Usage(input_tokens=60, output_tokens=15, reasoning_tokens=10),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "prompt_cache_hit_tokens": 60},
            Usage(input_tokens=100, output_tokens=5, cached_input_tokens=60),
        ),
    ],
)
def test_report_does_not_charge_named_input_as_output(report, expected):
    assert read_usage(report) == expected


@pytest.mark.parametrize(
    "report",
    [
        None,
        "x",
        {},
        {"prompt_tokens": 20},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": float("inf"), "completion_tokens": 5},
        {"prompt_tokens": 10**12, "completion_tokens": 5},
    ],
)
def test_report_says_nothing_if_it_is_nonsense(report):
    assert read_usage(report) is None


@pytest.mark.parametrize(
    "raw",
    [
        {"usage": STANDARD},
        {"usage": None, "x_groq": {"id": "r", "usage": {"queue_time": 0.1, **STANDARD}}},
        {"choices": [{"index": 0, "delta": {}, "usage": STANDARD}]},
        {"choices": [{"index": 0, "usage": STANDARD | {"completion_tokens": 2, "total_tokens": 22}},
                     {"index": 1, "usage": STANDARD | {"completion_tokens": 3, "total_tokens": 23}}]},
        {"usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5}},
        {"prompt_eval_count": 20, "eval_count": 5, "done": True},
    ],
)  # fmt: skip
def test_usage_is_found_wherever_the_provider_puts_it(raw):
    assert tokens(usage_in(raw)) == (20, 5)


def test_form_decides_where_the_numbers_do_not_tell():
    report = {"prompt_tokens": 20, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 10}}

    assert tokens(read_usage(report)) == (20, 50)
    assert tokens(read_usage(report, "beside")) == (20, 60)


def test_later_report_counts_but_zero_never_replaces_a_number():
    real, zero = Usage(input_tokens=20, output_tokens=5), Usage(input_tokens=0, output_tokens=0)

    assert later_usage(None, zero) == zero
    assert later_usage(zero, real) == real
    assert later_usage(real, zero) == real
    assert later_usage(real, Usage(input_tokens=0, output_tokens=9)) == Usage(input_tokens=20, output_tokens=9)
    assert later_usage(real, Usage(input_tokens=19, output_tokens=4)) == Usage(input_tokens=19, output_tokens=4)
