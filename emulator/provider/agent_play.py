"""Play of an agent's task without a script: the stand-in model plans, uses tools, writes and answers.

So on a laptop any goal shows steps, an artifact to download and an image. The goal names the values to compute, read,
paint and write.
"""

import re
from typing import Any

Json = dict[str, Any]

ARITHMETIC = re.compile(r"[\d(][\d.() ]*(?:[-+*/^][\d.() ]+)+")
ADDRESS = re.compile(r"https?://[^\s,;)\"']+")
FILE = re.compile(r"\b[\w-]+\.(?:md|txt|csv|json)\b", re.ASCII)
PICTURE = re.compile(r"\b(?:paint|draw|image|picture|illustrat)", re.IGNORECASE)
PROMPT_CHARACTERS_MAX = 200
SOMETHING, SOMEWHERE = "2^10", "notes.md"
TITLES = ("find out", "write it down")


def agent_move(body: Json) -> Json | None:
    """Return a script for the next answer, if the request belongs to a task that may plan; else None."""
    tools = {(tool.get("function") or tool).get("name") for tool in body.get("tools") or ()}
    if "plan" not in tools:
        return None
    messages = body.get("messages") or []
    goal = next((str(message.get("content") or "") for message in messages if message.get("role") == "user"), "")
    heard = [str(message.get("content") or "") for message in messages if message.get("role") == "tool"]
    rounds = [[call for call in each if call["name"] in tools] for each in _rounds(goal, heard)]
    rounds = [each for each in rounds if each]
    done = sum(bool(message.get("tool_calls")) for message in messages)
    return (
        {"tool_calls": rounds[done]}
        if done < len(rounds)
        else {"reply": _answer(goal, heard[1] if "calculator" in tools else None)}
    )


def _rounds(goal: str, heard: list[str]) -> list[list[Json]]:
    """Return the tool calls of each round, in order."""
    found = [_call("calculator", expression=_sum_in(goal))]
    if address := ADDRESS.search(goal):
        found.append(_call("web_fetch", url=address.group()))
    if PICTURE.search(goal):
        found.append(_call("generate_image", prompt=goal[:PROMPT_CHARACTERS_MAX]))
    text = "\n\n".join([f"# {goal}", *heard[1:]])
    return [
        [_plan("doing", "open")],
        found,
        [_plan("done", "done"), _call("write_artifact", name=_file_in(goal), content=text)],
    ]


def _sum_in(goal: str) -> str:
    found = ARITHMETIC.search(ADDRESS.sub("", goal))
    return found.group().strip() if found else SOMETHING


def _file_in(goal: str) -> str:
    found = FILE.search(ADDRESS.sub("", goal))
    return found.group() if found else SOMEWHERE


def _plan(*statuses: str) -> Json:
    steps = [{"title": title, "status": status} for title, status in zip(TITLES, statuses, strict=True)]
    return _call("plan", steps=steps)


def _call(tool: str, /, **arguments: Any) -> Json:
    return {"name": tool, "arguments": arguments}


def _answer(goal: str, value: str | None) -> str:
    first = f"{_sum_in(goal)} is {value}. " if value else ""
    return f"{first}What I found is in {_file_in(goal)}. I am a stand-in model, and only play an agent."
