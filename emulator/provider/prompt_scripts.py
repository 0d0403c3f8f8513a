"""Scripts in a prompt: `<<stand-in {"fail_after": 3}>>` in the last user message, for clients outside this process.

Agents send the same user message again after each tool result, and other requests about the same message (a title for
the session). So `tool_calls` in a prompt are made once, in the requests that offer those tools. `recall` shows that the
conversation arrived: the reply is the first group of this regular expression in the last message that matches.
"""

import json
import re
from typing import Any

from emulator.provider.shapes import response_input
from emulator.provider.tokens import message_text

Json = dict[str, Any]

IN_THE_PROMPT = re.compile(r"<<stand-in (\{.*?\})>>", re.DOTALL)
NOTHING_RECALLED = "nothing"


def prompt_script(body: Json) -> Json:
    """Return the script in the last user message of this request, {} if there is none."""
    said = conversation(body)
    last = next((at for at in reversed(range(len(said))) if said[at].get("role") == "user"), None)
    found = None if last is None else IN_THE_PROMPT.search(message_text(said[last]))
    if found is None or last is None:
        return {}
    script: Json = json.loads(found.group(1))
    if "recall" in script:
        script["reply"] = _recalled(said, script["recall"])
    if not _can_call(script.get("tool_calls") or (), body, said[last + 1 :]):
        script.pop("tool_calls", None)
    return script


def conversation(body: Json) -> list[Json]:
    """Return the messages of a request: chat's, or a response's input as messages."""
    said: list[Json] = body.get("messages") or response_input(body)
    return said


def _recalled(said: list[Json], pattern: str) -> str:
    texts = (IN_THE_PROMPT.sub("", message_text(message)) for message in reversed(said))
    found = next((match for text in texts if (match := re.search(pattern, text))), None)
    return found.group(1) if found else NOTHING_RECALLED


def _can_call(calls: Any, body: Json, later: list[Json]) -> bool:
    """Return True if the request offers the tools and no message after the prompt is a tool's."""
    offered = {(tool.get("function") or tool).get("name") for tool in body.get("tools") or ()}
    is_answered = any(message.get("role") == "tool" for message in later)
    return not is_answered and all(call["name"] in offered for call in calls)
