"""Upstream with OpenAI's protocol that answers from a script: for tests, and for trials without an upstream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from shared.ai.openai.passthrough import Json
from shared.platform.memory.played import PlayedAnswer

Scripted: TypeAlias = Json | Exception | float
"""Step of a script: an object, a failure, or a silence in seconds."""

HEAD = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "upstream-model"}


def chunk(delta: Json, *, index: int = 0, finish_reason: str | None = None) -> dict[str, Any]:
    """Build one chunk of a streamed chat completion."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def usage_chunk(prompt: int, completion: int) -> dict[str, Any]:
    """Build the chunk that reports the usage: the tokens of the prompt and of the completion."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def completion(*words: str, usage: tuple[int, int] | None = None, finish_reason: str = "stop") -> list[Scripted]:
    """Return the script of a streamed chat completion in these pieces.

    Without `usage`, the answer reports no usage.
    """
    deltas = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in words)]
    return [*deltas, chunk({}, finish_reason=finish_reason), *([usage_chunk(*usage)] if usage else [])]


def embeddings(count: int = 1, *, tokens: int = 5) -> list[Scripted]:
    """Return the script of an answer with `count` embeddings."""
    rows = [{"object": "embedding", "index": at, "embedding": [0.25, -0.5]} for at in range(count)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return [{"object": "list", "data": rows, "model": "upstream-model", "usage": usage}]


def response(*words: str, usage: tuple[int, int] | None = (12, 4), response_id: str = "resp_1") -> list[Scripted]:
    """Return the script of a streamed response that says these words."""
    told = usage and {"input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage)}
    head = {"id": response_id, "object": "response", "created_at": 1_790_000_000, "model": "upstream-model"}
    part = {"type": "output_text", "text": "".join(words), "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    here = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        *({"type": "response.output_text.delta", **here, "delta": word} for word in words),
        {"type": "response.output_text.done", **here, "text": "".join(words)},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**head, "status": "completed", "output": [item], "usage": told}},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


DEFAULTS: dict[str, list[list[Scripted]]] = {
    "/chat/completions": [completion("Hel", "lo", " there", ".", usage=(12, 4))],
    "/responses": [response("Hel", "lo", " there", ".")],
    "/embeddings": [embeddings()],
}
"""Default scripts by path, for tests that give no script."""


@dataclass(slots=True)
class ScriptedPassthrough:
    """Upstream that plays each path's scripts in order, then repeats the last. `requests` records every request."""

    scripts: dict[str, Sequence[Sequence[Scripted]]] = field(default_factory=dict)
    requests: list[tuple[str, Json]] = field(default_factory=list)
    end_users: list[str] = field(default_factory=list)
    streams: list[PlayedAnswer[Json]] = field(default_factory=list)

    def ask(self, path: str, body: Json, end_user: str = "") -> PlayedAnswer[Json]:
        """Return the answer of the path's next script; see `Passthrough.ask`."""
        scripts = self.scripts.get(path) or DEFAULTS[path]
        asked = sum(seen == path for seen, _ in self.requests)
        self.requests.append((path, body))
        self.end_users.append(end_user)
        stream: PlayedAnswer[Json] = PlayedAnswer(scripts[min(asked, len(scripts) - 1)])
        self.streams.append(stream)
        return stream
