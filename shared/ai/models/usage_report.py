"""Reports of usage as providers send them: the place of a report, and the tokens in a report. Pure.

OpenAI counts hidden reasoning inside `completion_tokens`. Gemini reports reasoning in `total_tokens` alone, and xAI
reports reasoning beside `completion_tokens`. So output is the largest of three numbers. The first is the reported
output. The second is the rest of the total behind all input. The third is output plus reasoning, if reasoning cannot be
inside the output.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from math import ceil, isfinite
from typing import Any, Literal

from shared.ai.models.catalogue import TOKENS_MAX
from shared.ai.tokens import Usage

UsageForm = Literal["auto", "beside"]
"""Place of hidden reasoning: as the numbers tell, or beside the output where the numbers do not tell."""

INPUT = (
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_token_count",
    "promptTokens",
    "inputTokens",
    "inputTokenCount",
    "input_token_count",
    "num_input_tokens",
    "prompt_eval_count",
)
OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "candidatesTokenCount",
    "candidates_token_count",
    "completionTokens",
    "outputTokens",
    "outputTokenCount",
    "completion_token_count",
    "output_token_count",
    "num_output_tokens",
    "generated_tokens",
    "eval_count",
)
TOTAL = ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens")
REASONING = ("reasoning_tokens", "thoughtsTokenCount", "thoughts_token_count", "thinking_tokens", "reasoningTokens")
TEXT_OUTPUT = ("text_tokens",)
CACHED = ("cached_tokens", "cachedContentTokenCount", "cached_content_token_count", "prompt_cache_hit_tokens")
CACHE_READ = ("cache_read_input_tokens", "cacheReadInputTokens", "cache_read_tokens")
"""Names of cached input at providers that count cached input beside the prompt."""
INPUT_OF_ANTHROPIC = "input_tokens"
CACHE_WRITE = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cache_write_tokens", "cache_creation_tokens")
TOOL_INPUT = ("toolUsePromptTokenCount", "tool_use_prompt_token_count", "tool_use_prompt_tokens", "tool_tokens")
INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
BEDROCK = "amazon-bedrock-invocationMetrics"
REPORTS = (
    *("usage", "usage_metadata", "usageMetadata", "token_usage", "x_groq", "x_usage", "metrics", "meta", BEDROCK),
)
"""Members that hold a report, or an object with a report, in an answer, a choice or a message."""
OWN_REPORT = ("prompt_eval_count", "eval_count", "completion_tokens", "output_tokens")
"""Names by which an object is a report of its own."""
REPORT_CHARACTERS_MAX = 10_000
NESTED = ("usage", "tokens", "billed_units")


def usage_in(raw: Mapping[str, Any], form: UsageForm = "auto") -> Usage | None:
    """Return the usage that an object of an answer reports, at any known place; None for no report.

    Reports of several choices add up: their outputs are summed, and their input is the same.
    """
    for report in _reports(raw):
        if (usage := read_usage(report, form)) is not None:
            return usage
    own = [usage for choice in _listed(raw.get("choices")) if (usage := _of_choice(choice, form)) is not None]
    return summed_usage(own) if own else None


def read_usage(report: object, form: UsageForm = "auto") -> Usage | None:
    """Return the usage in a report; None if the report has no valid numbers."""
    if not isinstance(report, Mapping) or any(_is_nonsense(report.get(name)) for name in INPUT + OUTPUT + TOTAL):
        return None
    prompt, completion, total = (_number(report, names) for names in (INPUT, OUTPUT, TOTAL))
    if prompt is None and total is not None and completion is not None:
        prompt = max(0, total - completion)
    if prompt is None or (completion is None and total is None):
        return None
    completion = completion or 0
    reasoning = _detail(report, OUTPUT_DETAILS, REASONING)
    output, beside = _output(report, prompt, completion, total, reasoning, form)
    usage = Usage(
        input_tokens=prompt + beside,
        output_tokens=output,
        cached_input_tokens=_detail(report, INPUT_DETAILS, CACHED + CACHE_READ),
        cache_write_tokens=_detail(report, INPUT_DETAILS, CACHE_WRITE),
        reasoning_tokens=min(output, max(reasoning, output - completion)),
    )
    return _bounded(usage)


def later_usage(before: Usage | None, now: Usage) -> Usage:
    """Return the combined usage of two reports of one answer: the later counts, but zero never replaces a number."""
    if before is None:
        return now
    known = now if now.input_tokens else before
    return replace(
        now,
        input_tokens=known.input_tokens,
        cached_input_tokens=known.cached_input_tokens,
        cache_write_tokens=known.cache_write_tokens,
        output_tokens=now.output_tokens or before.output_tokens,
        reasoning_tokens=now.reasoning_tokens if now.output_tokens else before.reasoning_tokens,
    )


def summed_usage(usages: Iterable[Usage]) -> Usage:
    """Return the usage of answers side by side: their outputs are summed, their input is the same."""
    found = list(usages)
    return replace(
        max(found, key=lambda usage: usage.input_tokens),
        output_tokens=sum(usage.output_tokens for usage in found),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in found),
    )


def _output(
    report: Mapping[str, Any], prompt: int, completion: int, total: int | None, reasoning: int, form: UsageForm
) -> tuple[int, int]:
    """Return the output, and the input that the report counts beside the prompt.

    The total may exceed prompt plus output. If reasoning or named inputs add up to the excess, the excess is reasoning
    or input. Otherwise the excess is output, less the input that cannot stand inside the prompt.
    """
    if total is None and INPUT_OF_ANTHROPIC in report and INPUT[0] not in report:
        # Anthropic counts cached and written input beside the input, and no total.
        cached = sum(_number(report, names) or 0 for names in (CACHE_READ, CACHE_WRITE))
        if cached:
            return completion, cached
    beyond = (prompt + completion if total is None else total) - prompt - completion
    is_apart = reasoning > completion or (total is None and _stands_apart(report, completion, reasoning, form))
    least = completion + reasoning if is_apart else completion
    if beyond <= 0:
        return least, 0
    inputs = _inputs_beside(report, prompt)
    for thought in (reasoning, 0):
        if _is_sum_of(inputs, beyond - thought):
            return max(least, completion + thought), beyond - thought
    beside = min(beyond, sum(size for size, is_surely_beside in inputs if is_surely_beside))
    return max(least, completion + beyond - beside), beside


def _stands_apart(report: Mapping[str, Any], completion: int, reasoning: int, form: UsageForm) -> bool:
    """Return True if a report without a total counts reasoning beside the output: the text alone is all the output."""
    return form == "beside" or (reasoning > 0 and 0 < completion == _detail(report, OUTPUT_DETAILS, TEXT_OUTPUT))


def _inputs_beside(report: Mapping[str, Any], prompt: int) -> list[tuple[int, bool]]:
    """Return the inputs that a total may count beside the prompt: their tokens, and whether they surely are beside."""
    cached = _detail(report, INPUT_DETAILS, CACHED)
    named = [(cached, cached > prompt)]
    named += [(_detail(report, INPUT_DETAILS, names), True) for names in (CACHE_READ, CACHE_WRITE, TOOL_INPUT)]
    return [(size, is_sure) for size, is_sure in named if size]


def _is_sum_of(inputs: list[tuple[int, bool]], wanted: int) -> bool:
    """Return True if some of these inputs, or none, add up to `wanted`."""
    sizes = [size for size, _ in inputs]
    return any(wanted == sum(some) for count in range(len(sizes) + 1) for some in combinations(sizes, count))


def _detail(report: Mapping[str, Any], details: Iterable[str], names: tuple[str, ...]) -> int:
    """Return a number from the details of a report, or from the report itself; 0 if neither has the number."""
    for each in (*(report.get(name) for name in details), report):
        if isinstance(each, Mapping) and (found := _number(each, names)) is not None:
            return found
    return 0


def _number(report: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first count of tokens under these names. Floats are rounded up. None if there is no valid number."""
    for name in names:
        value = report.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(TOKENS_MAX)) + 1:
            value = int(value)
        if isinstance(value, int | float) and not _is_nonsense(value):
            return ceil(value)
    return None


def _is_nonsense(value: object) -> bool:
    """Return True for a number that counts no tokens. Null, and a text, is no number."""
    if not isinstance(value, int | float):
        return False
    return isinstance(value, bool) or not isfinite(value) or not 0 <= value <= TOKENS_MAX


def _bounded(usage: Usage) -> Usage | None:
    if max(usage.input_tokens, usage.output_tokens) > TOKENS_MAX:
        return None
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    return replace(usage, cached_input_tokens=cached, cache_write_tokens=written)


def _reports(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each object that may be a report: under a known name, or one level deeper."""
    for name in REPORTS:
        found = _opened(raw.get(name))
        if isinstance(found, Mapping):
            yield found
            yield from (inner for inside in NESTED if isinstance(inner := found.get(inside), Mapping))
    if any(name in raw for name in OWN_REPORT):
        yield raw


def _opened(report: object) -> object:
    """Return a report that stands in a list, or that is JSON as text."""
    if isinstance(report, list) and report:
        return report[-1]
    if isinstance(report, str) and report.startswith("{") and len(report) <= REPORT_CHARACTERS_MAX:
        try:
            return json.loads(report)
        except ValueError:
            return None
    return report


def _of_choice(choice: Mapping[str, Any], form: UsageForm) -> Usage | None:
    for holder in (choice, choice.get("delta"), choice.get("message")):
        for report in _reports(holder) if isinstance(holder, Mapping) else ():
            if (usage := read_usage(report, form)) is not None:
                return usage
    return None


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
