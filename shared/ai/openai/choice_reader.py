"""Reader of one choice of a chat completion: returns each piece in OpenAI's shape with the added text. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.ai.openai.dialect import as_text
from shared.ai.openai.passthrough import Json
from shared.ai.openai.tool_pieces import ToolCalls, arguments_text
from shared.ai.openai.wire_texts import HalfCharacters, cleaned, content_of

TEXT_NAMES = ("content", "refusal")
THOUGHT_NAMES = ("reasoning_content", "reasoning")
THOUGHT_COPIES = frozenset({"reasoning_details", "thinking_blocks", "reasoning_items"})
"""Members that repeat the reasoning, part by part."""
KNOWN = frozenset({"role", "tool_calls", "function_call", *TEXT_NAMES, *THOUGHT_NAMES})
CALL_PARTS = ("tool_use", "tool_call", "function_call")
"""Parts of a content that are calls of tools."""
OTHER_PARTS = "content_parts"
"""Name of the member for content parts that are neither text nor thinking."""


class ChoiceAddition:
    """Addition of one piece to a choice.

    `delta` is the piece in OpenAI's shape. `shown` is delivered text, `metered` is all generated text, and `hidden` is
    the metered text that is not shown.
    """

    __slots__ = ("delta", "hidden", "metered", "shown")

    def __init__(self) -> None:
        self.delta: dict[str, Any] = {}
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.metered: list[str] = []

    def add(self, name: str, text: str, *, is_shown: bool) -> None:
        """Add a generated text to the member `name` of the delta."""
        self.delta[name] = self.delta.get(name) or ""
        self.delta[name] += text
        self.metered.append(text)
        (self.shown if is_shown else self.hidden).append(text)

    def meter(self, *texts: str) -> None:
        """Count texts that were generated or passed on, but are not shown."""
        self.metered += texts
        self.hidden += texts


class ChoiceReader:
    """Reader of the pieces of one choice. `is_ended`: the provider has said why the choice ended."""

    def __init__(self) -> None:
        self._halves = HalfCharacters()
        self._calls = ToolCalls()
        self._texts: dict[str, list[str]] = {}
        self._has_role = False
        self._legacy_name = ""
        self.is_begun = False
        self.is_ended = False

    @property
    def has_calls(self) -> bool:
        """True if the choice calls tools."""
        return len(self._calls) > 0

    @property
    def has_legacy_call(self) -> bool:
        """True if the choice calls a function by `function_call`, the way before tools."""
        return bool(self._legacy_name)

    def piece(self, delta: Json, made_up_id: str) -> ChoiceAddition:
        """Return the addition of a streamed delta."""
        said = ChoiceAddition()
        self._role(delta, said)
        self._take_texts(delta, said)
        if taken := self._calls.take(_calls_in(delta), made_up_id):
            self._take_calls(taken, said)
        self._take_legacy_call(delta, said)
        self._take_others(delta, said)
        return self._remembered(said)

    def whole(self, message: Json, made_up_id: str) -> tuple[ChoiceAddition, Json]:
        """Return the addition of a whole message to the pieces before, and the message in OpenAI's shape.

        A closing message repeats the pieces. Only the content beyond the pieces is added.
        """
        if not self.is_begun:
            said = self.first(message, made_up_id)
            return said, as_message(said.delta)
        again = ChoiceReader().first(message, made_up_id)
        said = ChoiceAddition()
        for name in (*TEXT_NAMES, *THOUGHT_NAMES):
            before, now = "".join(self._texts.get(name, ())), again.delta.get(name)
            if isinstance(now, str) and now.startswith(before) and len(now) > len(before):
                said.add(name, now[len(before) :], is_shown=name in TEXT_NAMES)
        if (calls := again.delta.get("tool_calls")) and not self._calls:
            self._take_calls(self._calls.take_whole(calls, made_up_id), said)
        return self._remembered(said), as_message(again.delta)

    def ending(self) -> ChoiceAddition:
        """Return the replacement texts for half characters whose other half never came."""
        said = ChoiceAddition()
        for name, text in self._halves.rest().items():
            said.add(name, text, is_shown=name in TEXT_NAMES)
        if left := self._calls.rest():
            self._take_calls(left, said)
        return self._remembered(said)

    def first(self, message: Json, made_up_id: str) -> ChoiceAddition:
        """Return the addition of a whole message that no piece precedes."""
        said = ChoiceAddition()
        self._role(message, said)
        self._take_texts(message, said)
        for name, text in self._halves.rest().items():
            said.add(name, text, is_shown=name in TEXT_NAMES)
        if taken := self._calls.take_whole(_calls_in(message), made_up_id):
            self._take_calls(taken, said)
        self._take_legacy_call(message, said)
        self._take_others(message, said)
        return self._remembered(said)

    def _role(self, delta: Json, said: ChoiceAddition) -> None:
        role = delta.get("role")
        if isinstance(role, str) and role and not self._has_role:
            self._has_role, said.delta["role"] = True, role

    def _take_texts(self, delta: Json, said: ChoiceAddition) -> None:
        """Add the content, refusal, thoughts and other parts of one delta to the addition `said`, cleaned and
        counted.
        """
        if "content" in delta and delta["content"] is None:
            said.delta["content"] = None
        content = content_of(delta.get("content"))
        if content.text or isinstance(delta.get("content"), str):
            said.add("content", self._halves.join("content", content.text), is_shown=True)
        refusal = delta.get("refusal")
        if "refusal" in delta and refusal is None:
            said.delta["refusal"] = None
        if content.refusal or isinstance(refusal, str):
            told = content.refusal + (refusal if isinstance(refusal, str) else "")
            said.add("refusal", self._halves.join("refusal", told), is_shown=True)
        self._take_thoughts(delta, content.thinking, said)
        others = [part for part in content.others if part.get("type") not in CALL_PARTS]
        if others:
            said.delta[OTHER_PARTS] = cleaned(others)
            said.meter(as_text(said.delta[OTHER_PARTS]))

    def _take_thoughts(self, delta: Json, thinking: str, said: ChoiceAddition) -> None:
        """Take in the reasoning. If a provider sends the same text under two names, meter the text once."""
        if thinking:
            said.add("reasoning_content", self._halves.join("reasoning_content", thinking), is_shown=False)
        heard = set[str]()
        for name in THOUGHT_NAMES:
            if name not in delta:
                continue
            value = delta[name]
            content = content_of(value)
            text = value if isinstance(value, str) else content.text + content.thinking
            if not text:
                said.delta.setdefault(name, "" if isinstance(value, str) else None)
                continue
            text, is_copy = self._halves.join(name, text), text in heard
            heard.add(text)
            if is_copy:
                said.delta[name] = text
            else:
                said.add(name, text, is_shown=False)

    def _take_calls(self, taken: list[Json], said: ChoiceAddition) -> None:
        said.delta["tool_calls"] = [self._whole_call(call) for call in taken]
        said.meter(*(_generated(call) for call in said.delta["tool_calls"]))

    def _whole_call(self, call: Json) -> Json:
        """Return the call without half characters in the arguments."""
        kind = "custom" if "custom" in call else "function"
        inner = call.get(kind)
        if not isinstance(inner, Mapping):
            return call
        name = "input" if kind == "custom" else "arguments"
        texts = {name: self._halves.join(f"call {call['index']}", inner[name])} if name in inner else {}
        return {**call, kind: {**cleaned({n: v for n, v in inner.items() if n != name}), **texts}}

    def _take_legacy_call(self, delta: Json, said: ChoiceAddition) -> None:
        call = delta.get("function_call")
        if not isinstance(call, Mapping):
            return
        told: dict[str, Any] = {}
        if not self._legacy_name and isinstance(name := call.get("name"), str) and name:
            self._legacy_name = told["name"] = name
        if (arguments := arguments_text(call.get("arguments"))) or "arguments" in call:
            told["arguments"] = self._halves.join("function_call", arguments)
        if told:
            said.delta["function_call"] = told
            said.meter(*told.values())

    def _take_others(self, delta: Json, said: ChoiceAddition) -> None:
        """Pass on the members that are unknown here, metered by size."""
        has_thoughts = any(said.delta.get(name) for name in THOUGHT_NAMES)
        for name, value in delta.items():
            if name in KNOWN or (value is None and name in said.delta):
                continue
            said.delta[name] = cleaned(value)
            if value not in (None, "", [], {}) and not (has_thoughts and name in THOUGHT_COPIES):
                said.meter(as_text(said.delta[name]))

    def _remembered(self, said: ChoiceAddition) -> ChoiceAddition:
        for name in (*TEXT_NAMES, *THOUGHT_NAMES):
            if isinstance(text := said.delta.get(name), str) and text:
                self._texts.setdefault(name, []).append(text)
        self.is_begun = self.is_begun or bool(said.delta)
        return said


def _calls_in(delta: Json) -> list[Any]:
    """Return the calls of a delta or message: listed, a single call, or parts of the content."""
    calls = delta.get("tool_calls")
    listed = calls if isinstance(calls, list) else [calls] if isinstance(calls, Mapping) else []
    parts = delta.get("content")
    in_parts = parts if isinstance(parts, list) else []
    return listed + [part for part in in_parts if isinstance(part, Mapping) and part.get("type") in CALL_PARTS]


def as_message(delta: Json) -> dict[str, Any]:
    """Return a whole message as OpenAI's plain answers have it: without an index in the calls."""
    calls = delta.get("tool_calls")
    if not calls:
        return {name: value for name, value in delta.items() if name != "tool_calls"}
    return {**delta, "tool_calls": [{n: v for n, v in call.items() if n != "index"} for call in calls]}


def _generated(call: Json) -> str:
    """Return all text of a call that the model has generated, or that is passed on with the call."""
    inner = call.get("custom") or call.get("function") or {}
    beside = {n: v for n, v in call.items() if n not in {"index", "id", "type", "function", "custom"}}
    told = [str(inner.get(name) or "") for name in ("name", "arguments", "input")]
    return "".join(told) + (as_text(beside) if beside else "")
