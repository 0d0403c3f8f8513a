"""Members of a chat completion beside the text, in OpenAI's published shape. Pure.

A member that holds another kind of value than OpenAI publishes stays out of the answer: clients made from OpenAI's
document would fail on the member. Members that OpenAI does not publish pass unchanged.
"""

from collections.abc import Mapping
from typing import Any

from shared.ai.openai.passthrough import Json
from shared.ai.openai.response_items import published_logprobs, text_or, whole_or

TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
COUNTS = ("audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens", "text_tokens", "image_tokens")
AUDIO = ("id", "expires_at", "data", "transcript")


def published_chunk(chunk: Json) -> Json:
    """Return a chunk, or a whole completion, with published members only in the published shape."""
    told = {name: value for name, value in chunk.items() if _is_published(name, value)}
    return {**told, "choices": [_choice(choice) for choice in chunk["choices"]]}


def published_counts(details: Json) -> dict[str, Any]:
    """Return the details of a usage without counts that are no whole numbers."""
    return {name: value for name, value in details.items() if name not in COUNTS or whole_or(value, -1) >= 0}


def _is_published(name: str, value: object) -> bool:
    if name in {"system_fingerprint", "obfuscation"}:
        return isinstance(value, str)
    if name == "moderation":
        return isinstance(value, Mapping) and all(isinstance(value.get(side), Mapping) for side in ("input", "output"))
    return name != "service_tier" or value is None or value in TIERS


def _choice(choice: Json) -> Json:
    told = dict(choice)
    if "logprobs" in told:
        told["logprobs"] = _logprobs(told["logprobs"])
    for name in ("delta", "message"):
        if isinstance(message := told.get(name), Mapping):
            told[name] = _message(message)
    return told


def _logprobs(value: object) -> dict[str, Any] | None:
    if not isinstance(value, Mapping) or not any(isinstance(value.get(name), list) for name in ("content", "refusal")):
        return None
    listed = {name: value.get(name) for name in ("content", "refusal")}
    told = {n: published_logprobs(tokens) if isinstance(tokens, list) else None for n, tokens in listed.items()}
    return {**value, **told}


def _message(message: Json) -> dict[str, Any]:
    told = dict(message)
    if "role" in told:
        told["role"] = "assistant"
    if "annotations" in told:
        listed = told["annotations"] if isinstance(told["annotations"], list) else []
        told["annotations"] = [cited for each in listed if (cited := _citation(each)) is not None]
    audio = told.get("audio")
    if audio is not None and not (isinstance(audio, Mapping) and all(audio.get(name) for name in AUDIO)):
        del told["audio"]
    return told


def _citation(annotation: object) -> dict[str, Any] | None:
    """Return a citation with all required members; None for another annotation."""
    if not isinstance(annotation, Mapping) or annotation.get("type") != "url_citation":
        return None
    inner = annotation.get("url_citation")
    cited: Json = inner if isinstance(inner, Mapping) else annotation
    told: dict[str, Any] = {name: text_or(cited.get(name)) for name in ("url", "title")}
    told |= {name: whole_or(cited.get(name), 0) for name in ("start_index", "end_index")}
    beside = dict(inner) if isinstance(inner, Mapping) else {}
    return {**annotation, "url_citation": {**beside, **told}}
