"""instructor through the cases: objects made of answers, in each of its modes, over OpenAI's SDK."""

import json
from typing import Any

import instructor
from instructor import Mode
from openai import OpenAI
from pydantic import BaseModel

BY_SCHEMA = (Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON_SCHEMA)
TRIP = json.dumps({"city": "text", "days": 1})
BY_WORDS = {Mode.JSON: TRIP, Mode.MD_JSON: f"```json\n{TRIP}\n```"}
"""Modes in which the model writes JSON because the prompt says so, each with a model's answer."""


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def client_of(told: Any, mode: Mode = Mode.TOOLS) -> Any:
    raw = OpenAI(base_url=told["base_url"], api_key=told["api_key"], max_retries=0)
    return instructor.from_openai(raw, mode=mode)


def asked(text: str) -> Any:
    return {"role": "user", "content": text}


def said(told: Any, *messages: Any, **more: Any) -> Any:
    """Ask without a shape: instructor passes the call through."""
    return client_of(told).create(model=told["model"], messages=list(messages), response_model=None, **more)


def plain(told: Any) -> Any:
    return said(told, asked(told["ask"]["plain"])).choices[0].message.content


def stream(told: Any) -> Any:
    chunks = said(told, asked(told["ask"]["plain"]), stream=True)
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


def structured(told: Any) -> Any:
    return shaped(told, Mode.TOOLS, told["ask"]["structured"])


def shaped(told: Any, mode: Mode, question: str) -> Any:
    client = client_of(told, mode)
    if mode == Mode.RESPONSES_TOOLS:
        made = client.responses.create(model=told["model"], input=question, response_model=Trip, max_retries=0)
    else:
        messages = [asked(question)]
        made = client.create(model=told["model"], messages=messages, response_model=Trip, max_retries=0)
    return made.model_dump()


def two_turns(told: Any) -> Any:
    ask = told["ask"]
    first = plain({**told, "ask": {"plain": ask["first"]}})
    answer = said(told, asked(ask["first"]), {"role": "assistant", "content": first}, asked(ask["second"]))
    return [first, answer.choices[0].message.content]


def modes(told: Any) -> Any:
    """The trip in each mode, by the mode's name."""
    question = told["ask"]["structured"]
    asked_in: dict[Mode, str] = dict.fromkeys((*BY_SCHEMA, Mode.RESPONSES_TOOLS), question)
    for mode, reply in BY_WORDS.items():
        asked_in[mode] = f"{question} <<stand-in {json.dumps({'reply': reply})}>>"
    return {mode.name: shaped(told, mode, text) for mode, text in asked_in.items()}


def partial(told: Any) -> Any:
    """The last of the growing objects of a streamed call."""
    messages = [asked(told["ask"]["structured"])]
    *_, last = client_of(told).create_partial(model=told["model"], messages=messages, response_model=Trip)
    return last.model_dump()
