"""Replays requests that a client sent, with the words of our cases in them, and reads answers as that client does.

For clients that cannot be installed here. A recording in `recorded/` holds the client's version, its headers and, by
case, the bodies that it sent one after the other. In a body stand for what was not known before: `$plain` and so on for
the question of that case, `$reply` for the text answered before and `$call` for the id of the tool call made before.

JSON in on stdin, JSON out on stdout, as `play.py`. Standard library only.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REQUEST_SECONDS_MAX = 120
DONE = "[DONE]"


def main() -> None:
    told = json.load(sys.stdin)
    recording = json.loads(Path(told["script"]).read_text())
    cases = {case: replayed(case, recording, told) for case in told["cases"]}
    sys.stdout.write(json.dumps({"version": recording["version"], "cases": cases}))


def replayed(case: str, recording: Any, told: Any) -> dict[str, Any]:
    """Return what one case gave, or how it failed."""
    answers: list[Any] = []
    try:
        for body in recording["cases"][case]:
            answers.append(asked(filled(body, told, answers), recording, told))
        return {"got": GOT[case](answers)}
    except (OSError, ValueError, KeyError) as error:
        words = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
        return {"error": f"{type(error).__name__}: {error} {words}"}


def filled(body: Any, told: Any, answers: list[Any]) -> bytes:
    """Return the body with the questions, and what the last answer said, in their places."""
    known = {f"${name}": question for name, question in told["ask"].items()}
    if answers:
        known["$reply"] = answers[-1]["text"]
        known["$call"] = (answers[-1]["calls"] or [{"id": ""}])[0]["id"]
    return json.dumps(_put({**body, "model": told["model"]}, known), ensure_ascii=False).encode()


def _put(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _put(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [_put(each, known) for each in value]
    return known.get(value, value) if isinstance(value, str) else value


def asked(body: bytes, recording: Any, told: Any) -> Any:
    """Return the text, the pieces and the tool calls of one answer."""
    headers = {**recording["headers"], "Authorization": f"Bearer {told['api_key']}"}
    request = urllib.request.Request(f"{told['base_url']}{recording['path']}", body, headers)
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as answer:
        if json.loads(body).get("stream"):
            return assembled(list(deltas(answer)))
        message = json.load(answer)["choices"][0]["message"]
    return {"text": message.get("content"), "pieces": [], "calls": message.get("tool_calls") or []}


def deltas(lines: Any) -> Iterator[Any]:
    """Yield the deltas of a stream. Every blank line ends an event, as openai-go before 3.43 reads: one without data
    is no JSON, and ends the stream with an error.
    """
    data: list[str] = []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").strip())
        elif not line:
            if data == [DONE]:
                return
            for choice in json.loads("\n".join(data))["choices"]:
                yield choice["delta"]
            data = []


def assembled(parts: list[Any]) -> Any:
    pieces = [part["content"] for part in parts if part.get("content")]
    calls: dict[int, Any] = {}
    for call in (call for part in parts for call in part.get("tool_calls") or ()):
        kept = calls.setdefault(call["index"], {"id": call.get("id"), "function": {"arguments": ""}})
        kept["function"]["arguments"] += call["function"].get("arguments") or ""
    return {"text": "".join(pieces), "pieces": pieces, "calls": list(calls.values())}


def called(answers: list[Any]) -> Any:
    calls = [json.loads(call["function"]["arguments"]) for answer in answers for call in answer["calls"]]
    return {"calls": calls, "text": answers[-1]["text"]}


GOT = {
    "plain": lambda answers: answers[-1]["text"],
    "stream": lambda answers: answers[-1]["pieces"],
    "silence": lambda answers: answers[-1]["text"],
    "tool_loop": called,
    "anthropic_parts": called,
    "structured": lambda answers: json.loads(answers[-1]["text"]),
    "two_turns": lambda answers: [answer["text"] for answer in answers],
}

if __name__ == "__main__":
    main()
