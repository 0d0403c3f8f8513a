"""Answers as providers were seen to send them, through chat, the OpenAI routes and agents, each as its row says.

The rows are read from a folder beside the project, where it is there; `tests/streams` draws such forms at random.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from functions.http.problems import status_of
from shared.ai.agents.thinking import ThinkingMessage, ThinkRequest
from shared.kernel.errors import DomainError
from shared.platform.openai.chat import OpenAIChatModel
from shared.platform.openai.passthrough import OpenAIPassthrough
from shared.platform.openai.thinking import OpenAIThinkingModel
from shared.platform.openai.upstream import OpenAIUpstream
from tests.api.world import World

ROWS = Path(__file__).parents[3] / "shared" / "cases" / "upstreams" / "answers.json"
ANSWERS: Mapping[str, Any] = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
INPUT, OUTPUT = Decimal("0.000015"), Decimal("0.00006")
"""Credits for a token of the model that is asked."""
LIMIT = 1_024
WHOLE = {"max_tokens": LIMIT}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Recorded(BaseHTTPRequestHandler):
    """Answers with the row that the request names."""

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind, name = json.dumps(body).split("row=")[1].split('"')[0].split("/")
        row = ANSWERS[kind][name]
        self.send_response(row.get("status", 200))
        self.send_header("Content-Type", "text/event-stream" if kind == "stream" else "application/json")
        self.end_headers()
        told = row.get("body", row.get("json"))
        raw = told.encode() if isinstance(told, str) else json.dumps(told).encode()
        for at in range(0, len(raw), 7):
            self.wfile.write(raw[at : at + 7])


@pytest.fixture(scope="module")
def upstream() -> Iterator[OpenAIUpstream]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorded)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made = OpenAIUpstream(base_url=f"http://127.0.0.1:{server.server_port}", api_key="k")
    yield made
    made.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def ann(upstream: OpenAIUpstream) -> Any:
    world = World(chat_model=OpenAIChatModel(upstream), passthrough=OpenAIPassthrough(upstream))  # type: ignore[arg-type]
    return world.person(credits_=1_000)


def rows(*kinds: str) -> list[Any]:
    found = [(kind, name) for kind in kinds for name in ANSWERS.get(kind, ())]
    return [pytest.param(kind, name, id=f"{kind}-{name}") for kind, name in found] or [
        pytest.param("", "", marks=pytest.mark.skip(reason="no rows beside the project"))
    ]


def asked(kind: str, name: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"row={kind}/{name}"}]


def judge(right: Mapping[str, Any], told: Mapping[str, Any], cost: Decimal) -> None:
    """Hold what was told to what is right."""
    for name in ("text", "finish_reason", "tool_calls"):
        if name in right and name in told:
            assert told[name] == right[name]
    if "input_tokens" in right:
        tokens = (right["input_tokens"], right["output_tokens"])
        assert told.get("usage", tokens) == tokens
        assert cost == tokens[0] * INPUT + min(tokens[1], LIMIT) * OUTPUT


def called(calls: Any) -> list[dict[str, Any]]:
    told = [(call["id"], call["function"]) for call in calls or ()]
    return [{"id": own_id, "name": each["name"], "arguments": json.loads(each["arguments"])} for own_id, each in told]


def streamed(text: str) -> dict[str, Any]:
    """What a streaming client puts together; `error` if the stream tells one."""
    chunks = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    calls: dict[int, dict[str, Any]] = {}
    for call in (call for choice in choices for call in choice["delta"].get("tool_calls") or ()):
        known = calls.setdefault(call["index"], {"id": None, "function": {"name": "", "arguments": ""}})
        known["id"] = call.get("id") or known["id"]
        for name in ("name", "arguments"):
            known["function"][name] += call.get("function", {}).get(name) or ""
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    return {
        "error": next((chunk["error"] for chunk in chunks if chunk.get("error")), None),
        "text": "".join(choice["delta"].get("content") or "" for choice in choices),
        "finish_reason": next((c["finish_reason"] for c in choices if c.get("finish_reason")), None),
        "tool_calls": called(calls.values()),
        **({"usage": (usage["prompt_tokens"], usage["completion_tokens"])} if usage else {}),
    }


@pytest.mark.parametrize(("kind", "name"), rows("stream", "whole"))
def test_route_tells_a_plain_client_what_the_row_says(ann, kind, name):
    right = ANSWERS[kind][name]["right"]
    body = {"model": "gpt-4o-mini", "messages": asked(kind, name), **(WHOLE if kind == "whole" else {})}

    answer, before = ann.post("/openai/chat/completions", body), Decimal(1_000)
    cost = before - Decimal(ann.available)

    if right.get("outcome") == "error":
        assert (answer.status_code, cost) == (right.get("status", 502), Decimal(0))
        return
    choice, usage = answer.json["choices"][0], answer.json["usage"]
    judge(
        right,
        {
            "text": choice["message"]["content"] or "",
            "finish_reason": choice["finish_reason"],
            "tool_calls": called(choice["message"].get("tool_calls")),
            "usage": (usage["prompt_tokens"], usage["completion_tokens"]),
        },
        cost,
    )
    assert not answer.json["credits"]["estimated"]


@pytest.mark.parametrize(("kind", "name"), rows("stream"))
def test_route_tells_a_streaming_client_what_the_row_says(ann, kind, name):
    right = ANSWERS[kind][name]["right"]
    body = {"model": "gpt-4o-mini", "messages": asked(kind, name), **STREAMED}

    answer = ann.post("/openai/chat/completions", body)
    told = streamed(answer.get_data(as_text=True))

    if right.get("outcome") == "error":
        assert answer.status_code >= 400 or told["error"]
        return
    judge(right, told, Decimal(1_000) - Decimal(ann.available))


@pytest.mark.parametrize(("kind", "name"), rows("stream", "whole"))
def test_conversation_keeps_what_the_row_says(ann, kind, name):
    right = ANSWERS[kind][name]["right"]
    conversation = ann.post("/chat/conversations", {"title": "t"}).json["id"]
    limit = {"max_output_tokens": LIMIT} if kind == "whole" else {}

    answer = ann.post(
        f"/chat/conversations/{conversation}/messages", {"content": asked(kind, name)[0]["content"], **limit}
    )

    if right.get("outcome") == "error":
        assert (answer.status_code, ann.available) == (right.get("status", 502), "1000")
        return
    message, usage = answer.json["message"], answer.json["usage"]
    told = {
        "text": message["content"],
        "finish_reason": message["finish_reason"],
        "usage": (usage["input_tokens"], usage["output_tokens"]),
    }
    judge(right, told, Decimal(1_000) - Decimal(ann.available))


@pytest.mark.parametrize(("kind", "name"), rows("whole"))
def test_agent_thinks_what_the_row_says(upstream, kind, name):
    right = ANSWERS[kind][name]["right"]
    said = ThinkingMessage(role="user", content=asked(kind, name)[0]["content"])
    request = ThinkRequest(model="m", messages=(said,), tools=(), max_output_tokens=LIMIT)
    model = OpenAIThinkingModel(upstream)

    if right.get("outcome") == "error":
        with pytest.raises(DomainError):
            model.think(request)
        return
    thought = model.think(request)
    assert thought.usage is not None
    calls = [{"id": c.id, "name": c.name, "arguments": json.loads(c.arguments)} for c in thought.calls]
    told = {"text": thought.text, "finish_reason": thought.finish_reason, "tool_calls": calls}
    usage = (thought.usage.input_tokens, thought.usage.output_tokens)
    judge(right, {**told, "usage": usage}, usage[0] * INPUT + min(usage[1], LIMIT) * OUTPUT)


@pytest.mark.parametrize(("kind", "name"), rows("status"))
def test_refusal_has_the_status_that_the_row_says(ann, upstream, kind, name):
    row = ANSWERS[kind][name]
    said = ThinkingMessage(role="user", content=asked(kind, name)[0]["content"])
    request = ThinkRequest(model="m", messages=(said,), tools=(), max_output_tokens=9)

    answer = ann.post("/openai/chat/completions", {"model": "gpt-4o-mini", "messages": asked(kind, name)})
    with pytest.raises(DomainError) as failure:
        OpenAIThinkingModel(upstream).think(request)

    assert answer.status_code == status_of(type(failure.value)) == row["right"]["our_status"]
    if answer.status_code == 400:
        assert answer.json["error"]["message"] in json.dumps(row["json"])
