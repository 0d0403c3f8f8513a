"""Bodies that cost a server more than their sender, made from the schemas of all routes; and what each has cost."""

import json
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from marshmallow import Schema, fields

from functions.http.fields import Items, Passing, Table
from functions.http.routes import Route
from functions.http.table import ROUTES

SIZES = (1, 10_000, 1_000_000)
WRONG: Any = 1
EMPTY: Any = {}
VALID: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": {"role": "user", "content": "a"},
    "input": "a",
    "documents": {"name": "a.md", "content": "a"},
    "tools": "calculator",
    "scopes": "chat",
    "roles": "support",
    "capabilities": "chat",
    "allowed_models": "gpt-4o-mini",
}
"""A valid element of each list, and of single fields what they need."""
FILLERS = {"goal": "g", "budget": "1", "name": "n", "kind": "chat", "prompt": "p"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """One body for one route: a list of so many elements of a kind in one of its fields, or another excess."""

    name: str
    route: Route
    made: Callable[[], bytes]

    @property
    def body(self) -> bytes:
        """Made when asked for: all bodies together are gigabytes."""
        return self.made()

    @property
    def path(self) -> str:
        return self.route.path.removeprefix("/v1").replace("{id}", "gpt-4o-mini").replace("{uid}", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What answering took."""

    status: int
    cpu_seconds: float
    memory_mb: int
    answer_kb: float


def lists() -> Iterator[Hostile]:
    """Each list of each schema, with each number of each kind of elements; an object's members as if it were one."""
    for route in ROUTES:
        for name, field in (route.body().fields if route.body else {}).items():
            if not isinstance(field, Items | Passing | Table):
                continue
            for size in SIZES:
                for kind, element in (("wrong", WRONG), ("empty", EMPTY), ("valid", VALID.get(name, "a"))):
                    value = partial(_many, field, element, size)
                    yield _hostile(route, f"{name} × {size:,} {kind}", name, value)


def excesses() -> Iterator[Hostile]:
    """Deep, huge and crowded bodies for each route that reads one."""
    for route in (route for route in ROUTES if route.body is not None):
        for name, made in EXCESSES.items():
            yield Hostile(name=f"{route.name}: {name}", route=route, made=partial(made, route.body_bytes_max))


EXCESSES: dict[str, Callable[[int], bytes]] = {
    "deep lists": lambda most: b"[" * most,
    "deep objects": lambda most: b'{"a":' * (most // 5),
    "closed deep": lambda most: b"[" * (most // 2) + b"]" * (most // 2),
    "a huge integer": lambda most: b'{"a":' + b"9" * (most - 6) + b"}",
    "a huge fraction": lambda most: b'{"a":0.' + b"1" * (most - 8) + b"}",
    "many large integers": lambda most: b"[" + b",".join([b"9" * 4_000] * (most // 4_001)) + b"]",
    "many exponents": lambda most: b"[" + b",".join([b"1e999"] * (most // 6)) + b"]",
    "many fields": lambda most: _json(dict.fromkeys(map(str, range(most // 16)), 1)),
    "one long name": lambda most: _json({"n" * (most - 10): 1}),
    "many long names": lambda most: _json({f"{n}" + "💰" * 3_000: 1 for n in range(most // 13_000)}),
    "only quotes": lambda most: b'"' * most,
    "quotes behind backslashes": lambda most: b'"' + b'\\"' * (most // 2 - 1),
    "closed after backslashes": lambda most: b"[" + b",".join([b'"\\\\"'] * (most // 5)) + b"]",
    "short strings": lambda most: b"[" + b",".join([b'"a"'] * (most // 4 - 1)) + b"]",
    "not Unicode": lambda most: b"\xff" * most,
}


def served() -> Iterator[Hostile]:
    """Bodies as large and as crowded as they may be, which are right, and so looked at to their end."""
    by_name = {route.name: route for route in ROUTES}
    chat, responses, embeddings = (
        by_name[f"openai_{name}"] for name in ("chat_completions", "responses", "embeddings")
    )
    room = chat.body_bytes_max - 1_000
    message = {"role": "user", "content": "a"}
    part = {"type": "text", "text": "a"}
    tool = {"type": "function", "function": {"name": "f"}}
    bodies: tuple[tuple[str, Route, dict[str, Any]], ...] = (
        ("messages", chat, {"messages": [message] * 4_096}),
        ("parts", chat, {"messages": [{"role": "user", "content": [part] * 20_000}]}),
        ("tools", chat, {"messages": [message], "tools": [tool] * 12_000}),
        ("stop words", chat, {"messages": [message], "stop": ["a"] * 90_000}),
        ("a long text", chat, {"messages": [{"role": "user", "content": "word " * (room // 5)}]}),
        ("white space", chat, {"messages": [{"role": "user", "content": " " * room}]}),
        ("emoji", chat, {"messages": [{"role": "user", "content": "💰" * (room // 4)}]}),
        ("one emoji", chat, {"messages": [{"role": "user", "content": "💰" + "a" * (room - 4)}]}),
        ("escapes", chat, {"messages": [{"role": "user", "content": "\n" * (room // 2)}]}),
        ("items", responses, {"input": [message] * 4_096}),
        ("a long input", responses, {"input": "word " * (room // 5)}),
        ("texts", embeddings, {"input": ["a"] * 2_048}),
        ("tokens", embeddings, {"input": [7] * 300_000}),
        ("lists of tokens", embeddings, {"input": [[7] * 145] * 2_048}),
    )
    for name, route, fields_ in bodies:
        model = "text-embedding" if route is embeddings else "gpt-4o-mini"
        yield Hostile(name=f"{route.name}: {name}", route=route, made=partial(_json, {"model": model, **fields_}))


def cost_of(client: Any, hostile: Hostile, headers: dict[str, str]) -> Cost:
    """Answer in a child of this process, so that its memory is its own."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        with os.fdopen(writes, "w") as told:
            json.dump(_cost(client, hostile, headers), told)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        text = told.read()
    os.waitpid(child, 0)
    return Cost(**json.loads(text))


def _cost(client: Any, hostile: Hostile, headers: dict[str, str]) -> dict[str, Any]:
    body = hostile.body
    before = resource.getrusage(resource.RUSAGE_SELF)
    answer = client.open(
        f"/v1{hostile.path}",
        method=hostile.route.method,
        data=body,
        headers=headers,
        content_type="application/json",
    )
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "status": answer.status_code,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory_mb": (after.ru_maxrss - before.ru_maxrss) // 1024,
        "answer_kb": len(answer.data) / 1024,
    }


def _many(field: fields.Field, element: Any, size: int) -> Any:
    if isinstance(field, Table):
        return {f"m{number}": element for number in range(size)}
    return [element] * size


def _hostile(route: Route, label: str, name: str, value: Callable[[], Any]) -> Hostile:
    schema: Schema = route.body()  # type: ignore[misc]  # only routes with a body are asked
    required = {
        each: VALID.get(each) or FILLERS.get(each, "a") for each in schema.fields if schema.fields[each].required
    }
    filled = {each: [given] if isinstance(schema.fields[each], Items) else given for each, given in required.items()}
    return Hostile(name=f"{route.name}: {label}", route=route, made=lambda: _json({**filled, name: value()}))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
