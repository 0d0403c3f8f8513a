"""The stock `openai` SDK for Python through the five cases, by `options.api`: chat completions or responses."""

import json
from typing import Any

import openai
from pydantic import BaseModel

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": PARAMETERS, "strict": True}


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def client_of(told: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=told["base_url"], api_key=told["api_key"], max_retries=0)


def asked(text: str) -> Any:
    return {"role": "user", "content": text}


def plain(told: Any) -> Any:
    client, question = client_of(told), told["ask"]["plain"]
    if told["api"] == "responses":
        return client.responses.create(model=told["model"], input=question).output_text
    return client.chat.completions.create(model=told["model"], messages=[asked(question)]).choices[0].message.content


def stream(told: Any) -> Any:
    client, question = client_of(told), told["ask"]["plain"]
    if told["api"] == "responses":
        with client.responses.stream(model=told["model"], input=question) as events:
            return [event.delta for event in events if event.type == "response.output_text.delta"]
    with client.chat.completions.stream(model=told["model"], messages=[asked(question)]) as events:
        return [event.delta for event in events if event.type == "content.delta"]


def tool_loop(told: Any) -> Any:
    return (_responses_loop if told["api"] == "responses" else _chat_loop)(told)


def _chat_loop(told: Any) -> Any:
    messages = [asked(told["ask"]["tool_loop"])]
    calls: list[Any] = []
    tools: Any = [{"type": "function", "function": WEATHER}]
    while True:
        answer = client_of(told).chat.completions.create(model=told["model"], messages=messages, tools=tools)
        message: Any = answer.choices[0].message
        if answer.choices[0].finish_reason != "tool_calls":
            return {"calls": calls, "text": message.content}
        messages.append(message)
        for call in message.tool_calls:
            calls.append(json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})


def _responses_loop(told: Any) -> Any:
    items = [asked(told["ask"]["tool_loop"])]
    calls: list[Any] = []
    tools: Any = [{"type": "function", **WEATHER}]
    while True:
        answer = client_of(told).responses.create(model=told["model"], input=items, tools=tools)
        made: Any = [item for item in answer.output if item.type == "function_call"]
        if not made:
            return {"calls": calls, "text": answer.output_text}
        items += answer.output
        calls += [json.loads(call.arguments) for call in made]
        items += [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in made]


def structured(told: Any) -> Any:
    client, question = client_of(told), told["ask"]["structured"]
    if told["api"] == "responses":
        parsed = client.responses.parse(model=told["model"], input=question, text_format=Trip).output_parsed
    else:
        answer = client.chat.completions.parse(model=told["model"], messages=[asked(question)], response_format=Trip)
        parsed = answer.choices[0].message.parsed
    return parsed and parsed.model_dump()


def two_turns(told: Any) -> Any:
    client, model, ask = client_of(told), told["model"], told["ask"]
    if told["api"] == "responses":
        first = client.responses.create(model=model, input=ask["first"])
        second = client.responses.create(model=model, input=ask["second"], previous_response_id=first.id)
        return [first.output_text, second.output_text]
    messages = [asked(ask["first"])]
    said = client.chat.completions.create(model=model, messages=messages).choices[0].message
    answer: Any = {"role": "assistant", "content": said.content}
    again = client.chat.completions.create(model=model, messages=[*messages, answer, asked(ask["second"])])
    return [said.content, again.choices[0].message.content]
