"""Tools of a Responses request in the form that any provider takes: functions, and custom tools. Pure.

Codex sends namespaces, which group functions. Codex also sends hosted tools, which the provider would run at a price of
the provider's own. A namespace is flattened: the functions' names get the namespace as a prefix. In the answer, calls
get their own names back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.ai.openai.passthrough import Json
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import fingerprint

NAMESPACE = "namespace"
OWN_TOOLS = frozenset({"function", "custom"})
TOOLS_MAX = 1_024
NAME_CHARACTERS_MAX = 64
"""Longest name of a function in characters, as OpenAI limits names."""
HASH_CHARACTERS = 8
CALLS = frozenset({"function_call", "custom_tool_call"})
OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
REFUSED = "is a hosted tool, which has no price here: leave it out, or have UPSTREAM_HOSTED_TOOLS=drop set"
FORCED = "asks for a hosted tool, which has no price here: leave the choice to the model"


@dataclass(frozen=True, slots=True)
class ToolNames:
    """Flat names of functions in namespaces: each with the namespace and the function's own name."""

    by_flat_name: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def flat(self, namespace: object, name: object) -> str | None:
        """Return the flat name of a function in a namespace; None if the request offers no such function."""
        return next((flat for flat, pair in self.by_flat_name.items() if pair == (namespace, name)), None)

    def named_back(self, raw: Json) -> Json:
        """Return an object of an answer with each call's own name, and the namespace in a separate member."""
        if not self.by_flat_name:
            return raw
        changed = dict[str, Any]()
        if isinstance(item := raw.get("item"), Mapping):
            changed["item"] = self._item(item)
        if isinstance(response := raw.get("response"), Mapping):
            changed["response"] = self.named_back(response)
        if isinstance(output := raw.get("output"), list):
            changed["output"] = [self._item(each) if isinstance(each, Mapping) else each for each in output]
        if (pair := self._pair(raw.get("name"))) is not None:
            changed |= {"name": pair[1]}
        return {**raw, **changed} if changed else raw

    def tools_back(self, tools: Sequence[Json]) -> list[Json]:
        """Return tools with the functions of a namespace in that namespace again."""
        listed = list[Json]()
        spaces: dict[str, list[Json]] = {}
        for tool in tools:
            if (pair := self._pair(tool.get("name"))) is None:
                listed.append(tool)
                continue
            if pair[0] not in spaces:
                spaces[pair[0]] = []
                space = {"type": NAMESPACE, "name": pair[0], "description": "", "tools": spaces[pair[0]]}
                listed.append(space)
            spaces[pair[0]].append({**tool, "name": pair[1]})
        return listed

    def choice_back(self, choice: Any) -> Any:
        """Return a choice of tools with the functions' own names."""
        if not isinstance(choice, Mapping):
            return choice
        named = {"tools": [self.choice_back(each) for each in choice["tools"]]} if "tools" in choice else {}
        pair = self._pair(choice.get("name"))
        return {**choice, **named} if pair is None else {**choice, "namespace": pair[0], "name": pair[1]}

    def _item(self, item: Json) -> Json:
        pair = self._pair(item.get("name")) if item.get("type") in CALLS else None
        return item if pair is None else {**item, "namespace": pair[0], "name": pair[1]}

    def _pair(self, name: object) -> tuple[str, str] | None:
        return self.by_flat_name.get(name) if isinstance(name, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedTools:
    """Request with functions and custom tools only. `left_out` names the hosted tools of the original request."""

    body: Json
    names: ToolNames = ToolNames()
    left_out: tuple[str, ...] = ()


def adapted_tools(body: Json, *, drops_hosted: bool) -> AdaptedTools:
    """Return the request without hosted tools and namespaces.

    Raises InvalidValue for a hosted tool if `drops_hosted` is False, or if the model must use one.
    """
    tools = body.get("tools")
    if not isinstance(tools, list) or all(_is_own(tool) for tool in tools):
        return AdaptedTools(body=_flat_calls(body, ToolNames()))
    listed = _Tools({str(tool.get("name")) for tool in tools if isinstance(tool, Mapping)})
    for at, tool in enumerate(tools):
        listed.take(tool, f"tools.{at}")
    if listed.left_out and not drops_hosted:
        raise InvalidValue(listed.left_out[0].rpartition(".")[0], REFUSED)
    names = ToolNames(listed.names)
    kept = {name: value for name, value in body.items() if name != "tools"}
    if listed.kept:
        kept["tools"] = listed.kept
    kept = _with_choice(kept, listed, names)
    return AdaptedTools(body=_flat_calls(kept, names), names=names, left_out=tuple(listed.left_out))


class _Tools:
    """Collector of a request's tools: kept tools, flat names, and tools that are left out."""

    def __init__(self, taken: set[str]) -> None:
        self.kept: list[Any] = []
        self.names: dict[str, tuple[str, str]] = {}
        self.left_out: list[str] = []
        self._taken = taken

    def take(self, tool: Any, place: str) -> None:
        """Take in a tool. If a tool has no type, the table of fields judges the tool. Raises InvalidValue."""
        if len(self.kept) > TOOLS_MAX:
            raise InvalidValue("tools", f"must have at most {TOOLS_MAX} tools")
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if not isinstance(kind, str) or not kind or kind in OWN_TOOLS:
            self.kept.append(tool)
        elif kind == NAMESPACE:
            self._take_namespace(tool, place)
        else:
            self.left_out.append(f"{place}.{kind}")

    def _take_namespace(self, tool: Json, place: str) -> None:
        namespace, inner = tool.get("name"), tool.get("tools")
        if not isinstance(namespace, str) or not isinstance(inner, list):
            raise InvalidValue(place, "must have a name and tools")
        for at, each in enumerate(inner):
            kind = each.get("type", "function") if isinstance(each, Mapping) else None
            if kind in OWN_TOOLS and isinstance(each.get("name"), str):
                flat = self._flat_name(namespace, each["name"])
                self.names[flat] = (namespace, each["name"])
                self.take({"type": kind, **each, "name": flat, "description": _described(tool, each)}, place)
            else:
                self.left_out.append(f"{place}.tools.{at}.{kind}")

    def _flat_name(self, namespace: str, name: str) -> str:
        """Return a short enough name that no other tool of the request has."""
        flat = f"{namespace}__{name}"
        if len(flat) > NAME_CHARACTERS_MAX or flat in self._taken:
            flat = f"{flat[: NAME_CHARACTERS_MAX - HASH_CHARACTERS - 1]}_{fingerprint(flat)[:HASH_CHARACTERS]}"
        self._taken.add(flat)
        return flat


def _is_own(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type", "function") in OWN_TOOLS


def _described(namespace: Json, tool: Json) -> str:
    """Return the function's description behind the namespace's description."""
    texts = [namespace.get("description"), tool.get("description")]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _with_choice(body: dict[str, Any], listed: _Tools, names: ToolNames) -> dict[str, Any]:
    """Return the body with the choice of a tool limited to the tools that are left. Raises InvalidValue."""
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        kind = choice.get("type")
        if isinstance(choice.get("tools"), list):
            allowed = [_chosen(each, names) for each in choice["tools"] if _is_choosable(each)]
            if not allowed:
                raise InvalidValue("tool_choice", FORCED)
            return {**body, "tool_choice": {**choice, "tools": allowed}}
        if kind not in OWN_TOOLS:
            raise InvalidValue("tool_choice", FORCED)
        return {**body, "tool_choice": _chosen(choice, names)}
    if listed.kept:
        return body
    if choice == "required":
        raise InvalidValue("tool_choice", FORCED)
    return {name: value for name, value in body.items() if name not in {"tool_choice", "parallel_tool_calls"}}


def _is_choosable(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") in OWN_TOOLS


def _chosen(tool: Json, names: ToolNames) -> Json:
    flat = names.flat(tool.get("namespace"), tool.get("name"))
    kept = {name: value for name, value in tool.items() if name != "namespace"}
    return kept if flat is None else {**kept, "name": flat}


def _flat_calls(body: Json, names: ToolNames) -> Json:
    """Return the body with the history's calls under flat names, which are the names that the provider knows."""
    given = body.get("input")
    if not isinstance(given, list) or not any(isinstance(item, Mapping) and item.get("namespace") for item in given):
        return body
    return {**body, "input": [_flat_call(item, names) if isinstance(item, Mapping) else item for item in given]}


def _flat_call(item: Json, names: ToolNames) -> Json:
    namespace = item.get("namespace")
    if not namespace or item.get("type") not in CALLS | OUTPUTS:
        return item
    kept = {name: value for name, value in item.items() if name != "namespace"}
    if item.get("type") in OUTPUTS:
        return kept
    flat = names.flat(namespace, item.get("name"))
    return {**kept, "name": flat or f"{namespace}__{item.get('name')}"[:NAME_CHARACTERS_MAX]}
