"""Answers of the stand-in provider in a demanded shape: an instance of a schema, or a tool call.

The answers are deterministic and small: the first of each choice, one item in each list, every property of each object.
"""

import json
from typing import Any

Json = dict[str, Any]

IMAGE_TOKENS = 85
LEAVES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def instance_of(schema: Json, root: Json | None = None) -> Any:
    """Return a value that this schema accepts. A `$ref` is looked up in `root`."""
    root = schema if root is None else root
    if reference := schema.get("$ref"):
        return instance_of(_found(root, reference), root)
    if "const" in schema or schema.get("enum"):
        return schema.get("const", (schema.get("enum") or [None])[0])
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return instance_of(schema[name][0], root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [instance_of(schema.get("items") or {"type": "string"}, root)]
    if kind == "object":
        return {name: instance_of(each, root) for name, each in (schema.get("properties") or {}).items()}
    return LEAVES[kind]


def shaped_reply(asked: Json) -> str | None:
    """Return the text that a response format demands, in chat's or in responses' spelling; None without a format."""
    kind = asked.get("type")
    if kind == "json_schema":
        return json.dumps(instance_of((asked.get("json_schema") or asked).get("schema") or {}))
    return json.dumps({"answer": "text"}) if kind == "json_object" else None


def demanded_call(body: Json) -> list[Json]:
    """Return the call that `tool_choice` demands, in the form of a script; None if the choice is free."""
    choice = body.get("tool_choice")
    tools = [tool.get("function") or tool for tool in body.get("tools") or ()]
    if isinstance(choice, dict):
        named = (choice.get("function") or choice).get("name")
        tools = [tool for tool in tools if tool.get("name") == named]
    elif choice not in {"required", "any"}:
        return []
    return [{"name": tool["name"], "arguments": instance_of(tool.get("parameters") or {})} for tool in tools[:1]]


def images_in(content: Any) -> int:
    """Return the number of images among the parts of a message."""
    parts = content if isinstance(content, list) else []
    return sum(part.get("type") in {"image_url", "input_image"} for part in parts)


def response_input(body: Json) -> list[Json]:
    """Return the input of a response as messages: instructions first, then items."""
    given = body.get("input") or []
    items = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else items
    first = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    return [*first, *(_as_message(item) for item in items)]


def _as_message(item: Json) -> Json:
    content = item.get("content") or item.get("arguments") or item.get("output") or ""
    return {"role": item.get("role", "tool"), "content": content}


def response_items(seen_id: int, text: str, calls: list[Json]) -> list[Json]:
    """Return the output of a response: its calls, or its message."""
    if calls:
        return [
            {
                "id": f"fc_{seen_id}_{at}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{seen_id}_{at}",
                "name": call["name"],
                "arguments": json.dumps(call.get("arguments", {})),
            }
            for at, call in enumerate(calls)
        ]
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": f"msg_{seen_id}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return [message]


def response_events(answer: Json, pieces: list[str]) -> list[Json]:
    """Return the events of a response without the last: each text in these pieces, each call whole."""
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    events.append({"type": "response.in_progress", "response": begun})
    for at, item in enumerate(answer["output"]):
        here = {"output_index": at, "item_id": item["id"]}
        empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
        added = {**item, **empty, "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": at, "item": added})
        events += _message_events(here, item, pieces) if item["type"] == "message" else _call_events(here, item)
        events.append({"type": "response.output_item.done", "output_index": at, "item": item})
    return events


def _message_events(here: Json, item: Json, pieces: list[str]) -> list[Json]:
    where, part = {**here, "content_index": 0}, item["content"][0]
    deltas = [{"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in pieces]
    return [
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        *deltas,
        {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
    ]


def _call_events(here: Json, item: Json) -> list[Json]:
    told, arguments = "response.function_call_arguments", item["arguments"]
    return [
        {"type": f"{told}.delta", **here, "delta": arguments},
        {"type": f"{told}.done", **here, "arguments": arguments, "name": item["name"]},
    ]


def _found(root: Json, reference: str) -> Json:
    found: Any = root
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)
