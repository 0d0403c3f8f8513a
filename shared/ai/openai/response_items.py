"""Items of a response in OpenAI's published shape, with defaults for members that a provider left out. Pure.

Shapes: https://platform.openai.com/docs/api-reference/responses/object. Clients made from OpenAI's document fail on a
missing member. Members that OpenAI does not publish stay beside the published members.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared.ai.openai.passthrough import Json
from shared.ai.openai.tool_pieces import arguments_text
from shared.ai.openai.wire_texts import TEXT_PARTS, content_of

PHASES = ("commentary", "final_answer")
ID_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "reasoning": "rs",
}
"""Items that consist of generated text, with the prefix of a made-up id."""
MEMBERS: Mapping[str, frozenset[str]] = {
    "message": frozenset({"id", "type", "role", "status", "content", "phase"}),
    "function_call": frozenset({"id", "type", "status", "call_id", "name", "arguments", "namespace", "caller"}),
    "custom_tool_call": frozenset({"id", "type", "status", "call_id", "name", "input", "namespace", "caller"}),
    "reasoning": frozenset({"id", "type", "status", "summary", "content", "encrypted_content"}),
}
"""Published members of these items."""
OTHER_ITEMS: Mapping[str, tuple[str, ...]] = {
    "file_search_call": ("id", "status", "queries"),
    "web_search_call": ("id", "status", "action"),
    "computer_call": ("id", "call_id", "pending_safety_checks", "status"),
    "compaction": ("id", "encrypted_content"),
    "image_generation_call": ("id", "status", "result"),
    "code_interpreter_call": ("id", "status", "container_id", "code", "outputs"),
    "local_shell_call": ("id", "call_id", "action", "status"),
    "shell_call": ("id", "call_id", "action", "status", "environment"),
    "apply_patch_call": ("id", "call_id", "status", "operation"),
    "mcp_call": ("id", "server_label", "name", "arguments"),
    "mcp_list_tools": ("id", "server_label", "tools"),
    "mcp_approval_request": ("id", "server_label", "name", "arguments"),
}
"""OpenAI's items of hosted tools, with their required members. An item that lacks one is left out of the answer."""
ANNOTATIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "url_citation": (("url", "title"), ("start_index", "end_index")),
    "file_citation": (("file_id", "filename"), ("index",)),
    "container_file_citation": (("container_id", "file_id", "filename"), ("start_index", "end_index")),
    "file_path": (("file_id",), ("index",)),
}
"""Annotations of a text, with their required texts and their required whole numbers."""


def published_item(item: Json, answer_id: str, at: int, *, is_done: bool) -> dict[str, Any] | None:
    """Return an item of an answer in the published shape; None for an item that OpenAI does not publish.

    `at` is the item's place in the answer.
    """
    kind = str(item.get("type") or "message")
    if (required := OTHER_ITEMS.get(kind)) is not None:
        return dict(item) if all(item.get(name) is not None for name in required) else None
    if kind not in MEMBERS:
        return None
    item_id = text_or(item.get("id"), f"{ID_PREFIXES[kind]}_{answer_id}_{at}")
    head = {"id": item_id, "type": kind, "status": _status(item.get("status"), is_done=is_done)}
    return {**unknown_of(item), **head, **_OWN[kind]({**item, "id": item_id})}


def unknown_of(item: Json) -> dict[str, Any]:
    """Return the members that OpenAI does not publish for this item."""
    known = MEMBERS.get(str(item.get("type") or "message"), frozenset())
    return {name: value for name, value in item.items() if name not in known}


def published_part(part: object) -> dict[str, Any] | None:
    """Return a part of a message, or of reasoning; None for a part that is neither text, refusal nor reasoning."""
    if isinstance(part, str):
        part = {"type": "output_text", "text": part}
    if not isinstance(part, Mapping):
        return None
    kind = str(part.get("type") or "output_text")
    if kind in TEXT_PARTS:
        annotations, logprobs = _annotations(part.get("annotations")), published_logprobs(part.get("logprobs"))
        text = content_of([{**part, "type": "text", "text": part.get("text") or ""}]).text
        return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}
    if kind == "refusal":
        return {"type": kind, "refusal": content_of([part]).refusal}
    return _thought(part, "reasoning_text") if kind == "reasoning_text" else None


def published_annotation(annotation: object) -> dict[str, Any] | None:
    """Return an annotation with all required members; None if OpenAI publishes no such annotation."""
    if not isinstance(annotation, Mapping) or (required := ANNOTATIONS.get(str(annotation.get("type")))) is None:
        return None
    texts = {name: text_or(annotation.get(name)) for name in required[0]}
    return {**annotation, **texts, **{name: whole_or(annotation.get(name), 0) for name in required[1]}}


def published_logprobs(value: object) -> list[dict[str, Any]]:
    """Return log probabilities of tokens with all required members."""
    return [
        {**_token(each), "top_logprobs": [_token(other) for other in _tokens(each.get("top_logprobs"))]}
        for each in _tokens(value)
    ]


def published_tools(value: object) -> list[dict[str, Any]]:
    """Return the functions and custom tools of a list of tools, in the shape of the Responses API."""
    found = list[dict[str, Any]]()
    for tool in _listed(value):
        kind, inner = tool.get("type", "function"), tool.get(str(tool.get("type", "function")))
        told = {**tool, **inner} if isinstance(inner, Mapping) else tool
        if not isinstance(name := told.get("name"), str):
            continue
        described = {"description": text} if isinstance(text := told.get("description"), str) else {}
        if kind == "function":
            parameters, strict = told.get("parameters"), told.get("strict")
            schema = parameters if isinstance(parameters, Mapping) else None
            is_strict = strict if isinstance(strict, bool) else None
            found.append({"type": kind, "name": name, **described, "parameters": schema, "strict": is_strict})
        elif kind == "custom":
            shape = {"format": form} if _is_format(form := told.get("format")) else {}
            found.append({"type": kind, "name": name, **described, **shape})
    return found


def published_thoughts(value: object, kind: str) -> list[dict[str, Any]]:
    """Return parts of reasoning as parts of type `kind`; a text is one part."""
    parts = value if isinstance(value, list) else [value]
    told = [{"text": part} if isinstance(part, str) else part for part in parts]
    return [_thought(part, kind) for part in told if isinstance(part, Mapping)]


def text_or(value: object, default: str = "") -> str:
    """Return a text that is not empty, else the default."""
    return value if isinstance(value, str) and value else default


def whole_or(value: object, default: int) -> int:
    """Return a whole number, else the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _message(item: Json) -> dict[str, Any]:
    content = item.get("content")
    parts = content if isinstance(content, list) else [content]
    told = [part for each in parts if (part := published_part(each)) is not None]
    phase = {"phase": item["phase"]} if item.get("phase") in PHASES else {}
    return {"role": "assistant", "content": [part for part in told if part["type"] != "reasoning_text"], **phase}


def _function_call(item: Json) -> dict[str, Any]:
    return {**_call(item), "arguments": arguments_text(item.get("arguments"))}


def _custom_tool_call(item: Json) -> dict[str, Any]:
    return {**_call(item), "input": arguments_text(item.get("input"))}


def _call(item: Json) -> dict[str, Any]:
    namespace, caller = item.get("namespace"), item.get("caller")
    beside: dict[str, Any] = {"namespace": namespace} if isinstance(namespace, str) else {}
    if isinstance(caller, Mapping) and caller.get("type") == "direct":
        beside["caller"] = caller
    return {"call_id": text_or(item.get("call_id"), str(item["id"])), "name": text_or(item.get("name")), **beside}


def _reasoning(item: Json) -> dict[str, Any]:
    content, encrypted = item.get("content"), item.get("encrypted_content")
    told: dict[str, Any] = {"summary": published_thoughts(item.get("summary"), "summary_text")}
    if content:
        told["content"] = published_thoughts(content, "reasoning_text")
    if "encrypted_content" in item:
        told["encrypted_content"] = encrypted if isinstance(encrypted, str) else None
    return told


_OWN: Mapping[str, Callable[[Json], dict[str, Any]]] = {
    "message": _message,
    "function_call": _function_call,
    "custom_tool_call": _custom_tool_call,
    "reasoning": _reasoning,
}


def _status(status: object, *, is_done: bool) -> str:
    if not is_done:
        return "in_progress"
    return str(status) if status in ("completed", "incomplete") else "completed"


def _thought(part: Json, kind: str) -> dict[str, Any]:
    return {"type": kind, "text": content_of([{**part, "type": "thinking"}]).thinking}


def _annotations(value: object) -> list[dict[str, Any]]:
    return [told for each in _listed(value) if (told := published_annotation(each)) is not None]


def _tokens(value: object) -> list[Json]:
    """Return the tokens of a list that have a text and a log probability."""
    return [each for each in _listed(value) if isinstance(each.get("token"), str) and _is_number(each.get("logprob"))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _token(token: Json) -> dict[str, Any]:
    told = token.get("bytes")
    is_bytes = isinstance(told, list) and all(whole_or(each, -1) >= 0 for each in told)
    return {**token, "bytes": told if is_bytes else list(str(token["token"]).encode("utf-8", "replace"))}


def _is_format(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    is_grammar = value.get("syntax") in ("lark", "regex") and isinstance(value.get("definition"), str)
    return value.get("type") == "text" or (value.get("type") == "grammar" and is_grammar)


def _listed(value: object) -> Iterable[Json]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
