"""Requests for chat completions that have Anthropic's parts and tools in them, rewritten in OpenAI's shapes. Pure.

Cursor and other editors send tool calls and tool results in Anthropic's parts to endpoints of OpenAI's protocol.
Shapes: https://docs.anthropic.com/en/api/messages.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shared.ai.openai.passthrough import Json

FOREIGN_PARTS = frozenset({"tool_use", "tool_result"})
CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}
"""OpenAI's word for each of Anthropic's words for the choice of tools."""


def in_openais_shapes(body: Json) -> Json:
    """Return the body with tool calls, tool results and tools in OpenAI's shapes.

    A body without Anthropic's parts and tools is returned unchanged.
    """
    changed = dict[str, Any]()
    messages, tools, choice = body.get("messages"), body.get("tools"), body.get("tool_choice")
    if isinstance(messages, list) and any(map(_has_foreign_parts, messages)):
        changed["messages"] = [told for message in messages for told in _messages(message)]
    if isinstance(tools, list) and any(map(_is_foreign_tool, tools)):
        changed["tools"] = [_tool(tool) if _is_foreign_tool(tool) else tool for tool in tools]
    if isinstance(choice, Mapping) and (told := _choice(choice)) is not None:
        changed["tool_choice"] = told
    return {**body, **changed} if changed else body


def _has_foreign_parts(message: Any) -> bool:
    return any(part.get("type") in FOREIGN_PARTS or _is_foreign_image(part) for part in _parts(message))


def _parts(message: Any) -> list[Json]:
    content = message.get("content") if isinstance(message, Mapping) else None
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _messages(message: Any) -> Iterator[Json]:
    """Yield the messages that replace `message`: first each tool result, then the other content with the tool calls."""
    if not _has_foreign_parts(message):
        yield message
        return
    rest, calls = list[Json](), list[Json]()
    for part in message["content"]:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "tool_result":
            yield {"role": "tool", "tool_call_id": part.get("tool_use_id"), "content": _result(part.get("content"))}
        elif kind == "tool_use":
            calls.append(_call(part))
        else:
            rest.append(_image(part) if isinstance(part, Mapping) and _is_foreign_image(part) else part)
    if calls:
        before = message.get("tool_calls")
        together = [*(before if isinstance(before, list) else []), *calls]
        yield {**message, "content": rest or None, "tool_calls": together}
    elif rest:
        yield {**message, "content": rest}


def _call(part: Json) -> Json:
    given = part.get("input")
    arguments = given if isinstance(given, str) else json.dumps(given if given is not None else {}, ensure_ascii=False)
    return {"id": part.get("id"), "type": "function", "function": {"name": part.get("name"), "arguments": arguments}}


def _result(content: Any) -> Any:
    """Return the content of a tool result, with the images in OpenAI's shape."""
    if not isinstance(content, list):
        return "" if content is None else content
    return [_image(part) if isinstance(part, Mapping) and _is_foreign_image(part) else part for part in content]


def _is_foreign_image(part: Json) -> bool:
    return part.get("type") == "image" and isinstance(part.get("source"), Mapping)


def _image(part: Json) -> Json:
    source = part["source"]
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    else:
        url = source.get("url")
    return {"type": "image_url", "image_url": {"url": url}}


def _is_foreign_tool(tool: Any) -> bool:
    return isinstance(tool, Mapping) and "input_schema" in tool and tool.get("type") in {None, "custom"}


def _tool(tool: Json) -> Json:
    told = {name: tool[name] for name in ("name", "description") if tool.get(name) is not None}
    beside = {name: value for name, value in tool.items() if name not in {"name", "description", "input_schema"}}
    function = {**told, "parameters": tool["input_schema"]}
    return {**beside, "type": "function", "function": function}


def _choice(choice: Json) -> Any:
    """Return OpenAI's tool choice for Anthropic's; None if the choice is OpenAI's already."""
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return CHOICES.get(kind) if isinstance(kind, str) and choice.keys() <= {"type"} else None
