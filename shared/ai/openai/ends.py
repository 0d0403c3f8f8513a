"""Ends of answers in providers' words: finish reasons, reasons that mean a failure, and errors sent with status 200."""

from collections.abc import Mapping
from typing import Any

from shared.ai.openai.passthrough import Json, RequestRefused
from shared.ai.ports import UpstreamBusy, UpstreamMisconfigured, UpstreamUnavailable
from shared.kernel.errors import DomainError

STOP, LENGTH, FILTER, CALLS = "stop", "length", "content_filter", "tool_calls"
WORDS_BY_REASON: Mapping[str, tuple[str, ...]] = {
    STOP: (
        *("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "finished", "complete", "completed", "done"),
        *("finish", "end_of_turn", "end_of_text", "end_of_sequence", "eot", "im_end", "stop_token", "stop_word"),
        *("stop_words", "natural"),
    ),
    LENGTH: (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "token_limit", "limit"),
        *("max_length", "max_new_tokens", "length_limit", "context_length", "context_length_exceeded"),
        *("model_context_window_exceeded", "context_window_exceeded", "truncated"),
    ),
    FILTER: (
        *("content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
        *("image_safety", "sensitive", "refusal", "guardrail_intervened", "language", "moderation", "filtered"),
        *("content_policy", "content_policy_violation", "blocked", "sensitive_content"),
    ),
    CALLS: ("tool_calls", "tool_call", "tool_use", "tools", "function_calls"),
    "function_call": ("function_call",),
}
REASONS: Mapping[str, str] = {
    word.replace("_", ""): reason for reason, words in WORDS_BY_REASON.items() for word in words
}
"""OpenAI's finish reason for each provider's reason, in small letters alone. Any other reason is a failure."""
REFUSED = frozenset({400, 413, 415, 422})
OURS = frozenset({401, 402, 403, 404})
BUSY = 429
LEAST_ERROR_STATUS = 400
NO_REASON = frozenset({"", "null", "none"})
FAILED_STATUSES = frozenset({"error", "failed", "failure"})
LIVE_STATUSES = frozenset({"queued", "pending", "processing", "in_progress", "ok", "success"})
PINGS = ("ping", "keepalive", "heartbeat")
TOLD = ("detail", "message", "msg", "errors", "error_msg", "error_message", "exception")
"""Members in which servers tell of a failure, if an object has neither choices nor data."""
WORDS_MAX = 2_000


def end_of(reason: object, *, has_calls: bool) -> str | None:
    """Return OpenAI's finish reason; None if the provider has given none yet. Raises UpstreamUnavailable for a failure.

    If an answer calls tools, the reason is `tool_calls`, even if the provider says stop.
    """
    if not isinstance(reason, str) or reason.lower() in NO_REASON:
        return None
    ended = reason_of(reason)
    if ended is None:
        raise UpstreamUnavailable(has_begun=True)
    return CALLS if ended == STOP and has_calls else ended


def reason_of(word: str) -> str | None:
    """Return OpenAI's finish reason for a provider's reason, in any spelling; None for an unknown reason."""
    letters = "".join(letter for letter in word.lower() if letter.isalpha())
    return REASONS.get(letters.removeprefix("finishreason"))


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
    """Return the `message`, `code`, `param` and `type` that a server's refusal states; absent ones are left out or
    None.

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
    """Return the error in an object: beside the choices, in a choice, or the object as a whole. None for no error."""
    for name in ("error", "Error"):
        if raw.get(name):
            return raw[name]
    if raw.get("object") == "error" or raw.get("type") == "error":
        return raw
    base = raw.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return {"message": base.get("status_msg")}
    choices = raw.get("choices")
    listed = choices if isinstance(choices, list) else []
    holders = [each for each in listed if isinstance(each, Mapping)]
    holders += [
        inner for each in holders for name in ("delta", "message") if isinstance(inner := each.get(name), Mapping)
    ]
    found = next((each["error"] for each in holders if each.get("error")), None)
    return found if found is not None else raw if _is_error(raw) else None


def _is_error(raw: Json) -> bool:
    """Return True for an object that tells of a failure without an `error`: FastAPI's `detail`, `success: false`, …"""
    if raw.get("success") is False or str(raw.get("status")).lower() in FAILED_STATUSES:
        return True
    is_answer = any(isinstance(raw.get(name), list) for name in ("choices", "data")) or raw.get("type") in PINGS
    if is_answer or str(raw.get("status")).lower() in LIVE_STATUSES:
        return False
    status = _status_of(raw)
    is_told = any(isinstance(raw.get(name), str | list) and raw[name] for name in TOLD)
    return is_told or bool(raw.get("fault")) or status >= LEAST_ERROR_STATUS


def _status_of(told: object) -> int:
    """Return the HTTP status that an error names or implies by type; 0 if there is none."""
    if not isinstance(told, Mapping):
        return 0
    for name in ("code", "status", "status_code", "http_code"):
        value = told.get(name)
        if str(value).isascii() and str(value).isdigit():
            return int(str(value)[:3])
    return BUSY if "rate_limit" in f"{told.get('type')} {told.get('code')}" else 0
