"""Worlds with an upstream, and calls of the OpenAI routes, as tests make them."""

import json

from shared.platform.memory.passthrough import ScriptedPassthrough
from tests.api.world import MODEL, World

CHAT = "/openai/chat/completions"
QUESTION = [{"role": "user", "content": "Hello"}]
COST = "0.00021"
"""10 × 0.15 $ + 1 × 0.6 $ per million tokens, at 100 credits for a dollar."""


EMBEDDER = {"kind": "embedding", "input_usd_per_mtok": "0.02", "context_window": 8_192}


def offered(**options) -> World:
    """A world that offers embeddings too."""
    world = World(**options)
    world.services.models.catalogue.put("embedder", EMBEDDER)
    world.services.models.catalogue.put(
        "seeing", {**MODEL, "capabilities": ["chat", "vision"], "upstream_model": "gpt-4o-mini"}
    )
    return world


def world_of(*scripts, path="/chat/completions") -> World:
    return offered(passthrough=ScriptedPassthrough(scripts={path: list(scripts)}))


def ask(person, *, path=CHAT, key=None, **body):
    return person.post(path, {"model": "gpt-4o-mini", "messages": QUESTION, **body}, key=key)


def sent(world) -> dict:
    """What the upstream was asked last."""
    return dict(world.passthrough.requests[-1][1])


def events(response_):
    """The data of each frame."""
    frames = response_.get_data(as_text=True).split("\n\n")[:-1]
    datas = [
        line.removeprefix("data: ") for frame in frames for line in frame.splitlines() if line.startswith("data: ")
    ]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


def failed(response_):
    """Status, code and message of a failure in OpenAI's form."""
    assert response_.mimetype == "application/json"
    error = response_.get_json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    return response_.status_code, error["code"]


def joined_calls(chunks):
    """The name and the arguments of each streamed tool call, by the call's index."""
    calls: dict[int, tuple[str, str]] = {}
    for piece in (each for c in chunks if c["choices"] for each in c["choices"][0]["delta"].get("tool_calls", ())):
        name, arguments = calls.get(piece["index"], ("", ""))
        function = piece["function"]
        calls[piece["index"]] = (name or function["name"], arguments + (function.get("arguments") or ""))
    return calls
