"""Members of a response beside the items, in OpenAI's published shape. Pure.

A member comes from the provider, else from the request, else there is a default.

Shape: https://platform.openai.com/docs/api-reference/responses/object.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared.ai.models.usage_report import INPUT, INPUT_DETAILS, OUTPUT, OUTPUT_DETAILS, TOTAL
from shared.ai.openai.dialect import as_text
from shared.ai.openai.ends import FILTER, reason_of
from shared.ai.openai.passthrough import Json
from shared.ai.openai.response_items import published_tools, text_or
from shared.ai.openai.response_tools import ToolNames
from shared.ai.tokens import Usage

UNNAMED = "resp_unnamed"
IDENTIFIER_CHARACTERS_MAX = 64
TOP_LOGPROBS_MAX = 20
TEMPERATURE_MAX, TOP_P_MAX = 2, 1
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
NOT_BESIDE = frozenset({*INPUT, *OUTPUT, *TOTAL, *INPUT_DETAILS, *OUTPUT_DETAILS})
Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _up_to(most: int) -> Check:
    return lambda value: _is_number(value) and 0 <= value <= most


def _one_of(*words: str) -> Check:
    return lambda value: value in words


def _is_told(value: Any) -> bool:
    return value is not None


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _is_pairs(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())


def _is_choice(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return value in ("none", "auto", "required")
    if value.get("type") == "allowed_tools":
        tools = value.get("tools")
        is_listed = isinstance(tools, list) and all(isinstance(each, Mapping) for each in tools)
        return value.get("mode") in ("auto", "required") and is_listed
    return value.get("type") in ("function", "custom") and isinstance(value.get("name"), str)


REQUIRED: Mapping[str, tuple[Check, Any]] = {
    "instructions": (_is_text, None),
    "metadata": (_is_pairs, {}),
    "parallel_tool_calls": (_is_flag, True),
    "temperature": (_up_to(TEMPERATURE_MAX), None),
    "tool_choice": (_is_choice, "auto"),
    "top_p": (_up_to(TOP_P_MAX), None),
}
"""Members that repeat the request, with their defaults."""
OPTIONAL: Mapping[str, Check] = {
    "background": _or_none(_is_flag),
    "completed_at": _or_none(_is_number),
    "max_output_tokens": _or_none(_is_whole),
    "max_tool_calls": _or_none(_is_whole),
    "prompt_cache_key": _or_none(_is_text),
    "prompt_cache_retention": _or_none(_one_of("in_memory", "24h")),
    "safety_identifier": _or_none(lambda value: _is_text(value) and len(value) <= IDENTIFIER_CHARACTERS_MAX),
    "service_tier": _or_none(_one_of(*TIERS)),
    "top_logprobs": _or_none(lambda value: _is_whole(value) and 0 <= value <= TOP_LOGPROBS_MAX),
    "truncation": _or_none(_one_of("auto", "disabled")),
    "user": _is_text,
}
"""Members that stay out of the answer if the provider sends another kind of value."""
REASONING: Mapping[str, Check] = {
    "mode": _one_of("standard", "pro"),
    "effort": _or_none(_one_of(*EFFORTS)),
    "summary": _or_none(_one_of("auto", "concise", "detailed")),
    "context": _or_none(_one_of("auto", "current_turn", "all_turns")),
    "generate_summary": _or_none(_one_of("auto", "concise", "detailed")),
}
FORMAT: Mapping[str, Check] = {"strict": _is_flag, "description": _is_text}
MADE_HERE = frozenset(
    {
        *("id", "object", "created_at", "created", "model", "status", "error", "incomplete_details", "output", "usage"),
        *("output_text", "tools", "text", "reasoning", "store", "previous_response_id", "conversation", "prompt"),
        *("moderation", "prompt_cache_options", "credits"),
    }
)
KNOWN = MADE_HERE | REQUIRED.keys() | OPTIONAL.keys()


class ResponseHead:
    """Members of one response. The first id, time and model of the answer count.

    `names` are the names of functions in namespaces. `fallback_id` is the id of an answer without one. `is_kept`: the
    response is stored here for the user. `previous_id` is the response that the request continues, None if there is
    none.
    """

    def __init__(
        self,
        body: Json,
        names: ToolNames | None = None,
        *,
        fallback_id: str = UNNAMED,
        is_kept: bool = False,
        previous_id: str | None = None,
    ) -> None:
        self._body = body
        self._names = names or ToolNames()
        self._fallback_id = fallback_id
        self._kept = {"store": is_kept, "previous_response_id": previous_id}
        self._first: dict[str, Any] = {}
        self._unknown: dict[str, str] = {}

    @property
    def answer_id(self) -> str:
        """Id of the answer so far."""
        return str(self._first.get("id") or self._fallback_id)

    def published(self, raw: Json, status: str) -> dict[str, Any]:
        """Return the head of an answer in the published shape, without output and usage."""
        self._remember(raw)
        unknown = {name: value for name, value in raw.items() if name not in KNOWN}
        optional = {name: raw[name] for name, check in OPTIONAL.items() if name in raw and check(raw[name])}
        required = {name: self._repeated(raw, name, check, default) for name, (check, default) in REQUIRED.items()}
        tools = published_tools(raw.get("tools")) or published_tools(self._body.get("tools"))
        return {
            **unknown,
            "id": self.answer_id,
            "object": "response",
            "created_at": self._first.get("created_at", 0),
            "model": self._first.get("model") or text_or(self._body.get("model")),
            "status": status,
            "error": None,
            "incomplete_details": _details(raw) if status == "incomplete" else None,
            **optional,
            **required,
            "tool_choice": self._names.choice_back(required["tool_choice"]),
            "tools": self._names.tools_back(tools),
            "output": [],
            **_of_format(raw),
            **_of_objects(raw),
            **self._kept,
        }

    def newly_unknown(self, raw: Json) -> str:
        """Return the members that OpenAI does not publish as text, unless an earlier head had the same value."""
        told = {name: as_text(value) for name, value in raw.items() if name not in KNOWN and value not in (None, "")}
        fresh = {name: text for name, text in told.items() if self._unknown.get(name) != text}
        self._unknown |= fresh
        return "".join(fresh.values())

    def _remember(self, raw: Json) -> None:
        time = next((raw[name] for name in ("created_at", "created") if _is_number(raw.get(name))), None)
        found = {"id": text_or(raw.get("id")), "created_at": time, "model": text_or(raw.get("model"))}
        for name, value in found.items():
            if value not in (None, ""):
                self._first.setdefault(name, value)

    def _repeated(self, raw: Json, name: str, check: Check, default: Any) -> Any:
        """Return a member as the provider repeats it, else as the request has it, else the default."""
        return next((each[name] for each in (raw, self._body) if check(each.get(name))), default)


def published_usage(usage: Usage, report: object = None) -> dict[str, Any]:
    """Return a usage with all published members, beside the other members of the provider's report."""
    told: Json = report if isinstance(report, Mapping) else {}
    inputs = {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {
        **{name: value for name, value in told.items() if name not in NOT_BESIDE},
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {**_numbers(told.get("input_tokens_details")), **inputs},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {
            **_numbers(told.get("output_tokens_details")),
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _numbers(details: object) -> dict[str, Any]:
    return dict(details) if isinstance(details, Mapping) else {}


def _details(raw: Json) -> dict[str, str]:
    """Return OpenAI's reason for an incomplete answer."""
    details = raw.get("incomplete_details")
    reason = str(details.get("reason")).lower() if isinstance(details, Mapping) else ""
    return {"reason": "content_filter" if reason_of(reason) == FILTER else "max_output_tokens"}


def _of_format(raw: Json) -> dict[str, Any]:
    """Return the description of the text's format, as far as it is as published."""
    text = raw.get("text")
    if not isinstance(text, Mapping):
        return {}
    told: dict[str, Any] = {}
    if _is_format(text.get("format")):
        told["format"] = {n: value for n, value in text["format"].items() if FORMAT.get(n, _is_told)(value)}
    if text.get("verbosity") in ("low", "medium", "high"):
        told["verbosity"] = text["verbosity"]
    return {"text": told} if told else {}


def _is_format(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    is_schema = isinstance(value.get("name"), str) and isinstance(value.get("schema"), Mapping)
    is_plain = value.get("type") in ("text", "json_object")
    return is_plain or (value.get("type") == "json_schema" and is_schema)


def _of_objects(raw: Json) -> dict[str, Any]:
    """Return the objects that describe reasoning and caching, as far as they are as published."""
    told: dict[str, Any] = {}
    if isinstance(reasoning := raw.get("reasoning"), Mapping):
        known = ((name, reasoning.get(name)) for name in REASONING if name in reasoning)
        told["reasoning"] = {name: value for name, value in known if REASONING[name](value)}
    options = raw.get("prompt_cache_options")
    if isinstance(options, Mapping) and options.get("ttl") and options.get("mode"):
        told["prompt_cache_options"] = options
    return told
