"""Ends of answers in providers' words: finish reasons, reasons that mean a failure, and errors sent with status 200."""

from collections.abc import Mapping
from typing import Any

from shared.ai.openai.passthrough import Json, RequestRefused
from shared.ai.ports import UpstreamBusy, UpstreamMisconfigured, UpstreamUnavailable
from shared.kernel.errors import DomainError

STOP, LENGTH, FILTER, CALLS = "stop", "length", "content_filter", "tool_calls"
REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "finished", "complete", "completed", "done"),
        STOP,
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit", "limit"),
        LENGTH,
    ),
    **dict.fromkeys(
        (
            *("content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
            *("image_safety", "sensitive", "refusal", "guardrail_intervened", "language", "moderation"),
        ),
        FILTER,
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use"), CALLS),
    "function_call": "function_call",
}
"""OpenAI's finish reason for each provider's reason, spelled in lower case. Any other reason is a failure."""
REFUSED = frozenset({400, 413, 415, 422})
OURS = frozenset({401, 402, 403, 404})
BUSY = 429
WORDS_MAX = 2_000


def end_of(reason: object, *, has_calls: bool) -> str | None:
    """Return OpenAI's finish reason; None if the provider has given none yet. Raises UpstreamUnavailable for a failure.

    If an answer calls tools, the reason is `tool_calls`, even if the provider says stop.
    """
    if not isinstance(reason, str) or not reason:
        return None
    ended = REASONS.get(reason.lower().removeprefix("finish_reason_"))
    if ended is None:
        raise UpstreamUnavailable(has_begun=True)
    return CALLS if ended == STOP and has_calls else ended


def failure_in(raw: Json, *, is_first: bool) -> DomainError | None:
    """Return the failure that an object of an answer reports in any place; None if there is no failure.

    If the provider fails before the first word, the status in the error can mean a busy provider or a refused request.
    """
    told = _error_in(raw)
    if told is None:
        return None
    status = _status_of(told) if is_first else 0
    if status == BUSY:
        return UpstreamBusy(has_begun=True)
    if status in OURS:
        return UpstreamMisconfigured()
    return RequestRefused(told_words(told)) if status in REFUSED else UpstreamUnavailable(has_begun=True)


def told_words(body: object) -> dict[str, Any]:
    """Return `message`, `code`, `param` and `type` of a refusal in any server's shape.

    OpenAI and Azure nest these members under `error`, vLLM does not, Gemini answers a list, FastAPI says `detail`.
    """
    if isinstance(body, list) and body:
        return told_words(body[0])
    if isinstance(body, str):
        return {"message": body[:WORDS_MAX]} if body else {}
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error")
    if isinstance(error, Mapping):
        return told_words(error)
    message = next((body[name] for name in ("message", "detail", "error", "msg", "error_msg") if body.get(name)), None)
    words = _as_words(message)
    return {**{name: body.get(name) for name in ("code", "param", "type")}, **({"message": words} if words else {})}


def _as_words(message: object) -> str:
    """Return a message as text. For a list of problems, name the field of each entry before the words of the entry."""
    if isinstance(message, str):
        return message[:WORDS_MAX]
    if isinstance(message, Mapping):
        inner = next((message[name] for name in ("detail", "message", "msg", "error") if message.get(name)), None)
        place = ".".join(str(each) for each in message.get("loc") or ()) if isinstance(message.get("loc"), list) else ""
        words = _as_words(inner)
        return f"{place}: {words}" if place and words else words
    if isinstance(message, list):
        return "; ".join(words for each in message if (words := _as_words(each)))[:WORDS_MAX]
    return ""


def _error_in(raw: Json) -> Any:
    """Return the error in an object: beside the choices, in a choice, or the object as a whole. None if there is no
    error.
    """
    if raw.get("error"):
        return raw["error"]
    if raw.get("object") == "error" or raw.get("type") == "error":
        return raw
    base = raw.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return {"message": base.get("status_msg")}
    choices = raw.get("choices")
    listed = choices if isinstance(choices, list) else []
    return next((each["error"] for each in listed if isinstance(each, Mapping) and each.get("error")), None)


def _status_of(told: object) -> int:
    """Return the HTTP status that an error names or implies by type; 0 if there is none."""
    if not isinstance(told, Mapping):
        return 0
    for name in ("code", "status", "status_code", "http_code"):
        value = told.get(name)
        if str(value).isascii() and str(value).isdigit():
            return int(str(value)[:3])
    return BUSY if "rate_limit" in f"{told.get('type')} {told.get('code')}" else 0
