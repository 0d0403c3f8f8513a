"""The command-line tool `llm` through the five cases, with an extra model of OpenAI's kind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

RUN_SECONDS_MAX = 120
MODEL = """\
- model_id: ours
  model_name: {model}
  api_base: {base_url}
  api_key_name: ours
  supports_tools: true
  supports_schema: true
"""
WEATHER = '''\
import pathlib

def weather(city: str) -> str:
    """Tell the weather."""
    with pathlib.Path({calls!r}).open("a") as calls:
        calls.write(city + "\\n")
    return "sunny"
'''


def run(told: Any, *arguments: str) -> subprocess.Popen[str]:
    home = Path(told["home"])
    (home / "extra-openai-models.yaml").write_text(MODEL.format(**told))
    program = Path(sys.executable).with_name("llm")
    return subprocess.Popen(
        [str(program), "-m", "ours", "--key", told["api_key"], *arguments],
        env={**os.environ, "LLM_USER_PATH": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(told: Any, *arguments: str) -> str:
    program = run(told, *arguments)
    out, err = program.communicate(timeout=RUN_SECONDS_MAX)
    assert program.returncode == 0, err
    return out.strip()


def plain(told: Any) -> Any:
    return said(told, "--no-stream", told["ask"]["plain"])


def stream(told: Any) -> Any:
    """The pieces as they come out of the program, which writes each as it arrives."""
    program = run(told, told["ask"]["plain"])
    assert program.stdout is not None, "opened as a pipe"
    pieces = []
    while piece := os.read(program.stdout.fileno(), 4_096):
        pieces.append(piece.decode())
    assert program.wait(RUN_SECONDS_MAX) == 0
    return [*pieces[:-1], pieces[-1].removesuffix("\n")]


def tool_loop(told: Any) -> Any:
    calls = Path(told["home"], "calls.txt")
    text = said(told, "--functions", WEATHER.format(calls=str(calls)), told["ask"]["tool_loop"])
    return {"calls": [{"city": city} for city in calls.read_text().splitlines()], "text": text}


def structured(told: Any) -> Any:
    return json.loads(said(told, "--schema", "city, days int", told["ask"]["structured"]))


def two_turns(told: Any) -> Any:
    return [said(told, told["ask"]["first"]), said(told, "--continue", told["ask"]["second"])]
