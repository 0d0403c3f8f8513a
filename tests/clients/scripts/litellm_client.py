"""LiteLLM's library through the cases, by `api`: chat completions or responses."""

import json
from typing import Any

import litellm
from pydantic import BaseModel

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": PARAMETERS}


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def options_of(told: Any) -> Any:
    return {"model": f"openai/{told['model']}", "api_base": told["base_url"], "api_key": told["api_key"]}


def asked(text: str) -> Any:
    return {"role": "user", "content": text}


def said(told: Any, messages: Any, **more: Any) -> Any:
    return litellm.completion(messages=messages, max_retries=0, **options_of(told), **more)


def responded(told: Any, items: Any, **more: Any) -> Any:
    return litellm.responses(input=items, **options_of(told), **more)


def plain(told: Any) -> Any:
    question = told["ask"]["plain"]
    if told["api"] == "responses":
        return responded(told, question).output_text
    return said(told, [asked(question)]).choices[0].message.content


def stream(told: Any) -> Any:
    question = told["ask"]["plain"]
    if told["api"] == "responses":
        events = responded(told, question, stream=True)
        return [event.delta for event in events if event.type == "response.output_text.delta"]
    chunks = said(told, [asked(question)], stream=True)
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


def tool_loop(told: Any) -> Any:
    return (_responses_loop if told["api"] == "responses" else _chat_loop)(told)


def _chat_loop(told: Any) -> Any:
    messages: list[Any] = [asked(told["ask"]["tool_loop"])]
    calls: list[Any] = []
    tools = [{"type": "function", "function": WEATHER}]
    while (answer := said(told, messages, tools=tools).choices[0]).finish_reason == "tool_calls":
        messages.append(answer.message)
        for call in answer.message.tool_calls:
            calls.append(json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    return {"calls": calls, "text": answer.message.content}


def _responses_loop(told: Any) -> Any:
    items: list[Any] = [asked(told["ask"]["tool_loop"])]
    calls: list[Any] = []
    tools = [{"type": "function", **WEATHER}]
    while True:
        answer = responded(told, items, tools=tools)
        made = [item for item in answer.output if item.type == "function_call"]
        if not made:
            return {"calls": calls, "text": answer.output_text}
        calls += [json.loads(call.arguments) for call in made]
        items += [item.model_dump(exclude_none=True) for item in made]
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in made]


def structured(told: Any) -> Any:
    question = told["ask"]["structured"]
    if told["api"] == "responses":
        return json.loads(responded(told, question, text_format=Trip).output_text)
    return json.loads(said(told, [asked(question)], response_format=Trip).choices[0].message.content)


def two_turns(told: Any) -> Any:
    ask = told["ask"]
    if told["api"] == "responses":
        first = responded(told, ask["first"])
        second = responded(told, ask["second"], previous_response_id=first.id)
        return [first.output_text, second.output_text]
    text = said(told, [asked(ask["first"])]).choices[0].message.content
    turns = [asked(ask["first"]), {"role": "assistant", "content": text}, asked(ask["second"])]
    return [text, said(told, turns).choices[0].message.content]


def embeddings(told: Any) -> Any:
    options = {**options_of(told), "model": "openai/text-embedding-3-small"}
    made = litellm.embedding(input=["one", "two"], dimensions=8, **options)
    return [len(row["embedding"]) for row in made.data]


def refused(told: Any) -> Any:
    """A wrong key and an answer too dear, as LiteLLM's users meet them: the error's class and status."""
    found = {}
    for name, api_key, more in (
        ("nobody", "ics_" + "0" * 48, {}),
        ("too_dear", told["api_key"], {"max_tokens": 16_000, "n": 16}),
    ):
        try:
            said({**told, "api_key": api_key}, [asked("Say something")], **more)
        except Exception as error:  # noqa: BLE001  # the class that LiteLLM chose is the answer
            found[name] = [type(error).__name__, getattr(error, "status_code", None)]
    return found
