"""The stock `openai` SDK for Python, unchanged: what it gets from the OpenAI routes. A program, JSON in and out."""

import json
import sys
from typing import Any

import openai

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "look_up", "description": "Looks it up.", "parameters": SCHEMA}}
]
QUESTION: Any = [{"role": "user", "content": "Say something"}]
SHAPED: Any = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA, "strict": True}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
MODEL = "gpt-4o-mini"
EMBEDDER = "text-embedding-3-small"


def main() -> None:
    told = json.load(sys.stdin)
    with openai.OpenAI(base_url=told["base_url"], api_key=told["api_key"], max_retries=0) as client:
        answers = {
            "plain": plain(client),
            "streamed": streamed(client),
            "tools": tools(client),
            "streamed_tools": streamed_tools(client),
            "schema": schema(client),
            "vision": vision(client),
            "embeddings": embeddings(client),
            "response": response(client),
            "streamed_response": streamed_response(client),
            "models": [model.id for model in client.models.list()],
            "errors": errors(client, told["base_url"]),
            "version": openai.__version__,
        }
    sys.stdout.write(json.dumps(answers))


def plain(client: openai.OpenAI) -> Any:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)
    answer = raw.parse()
    return {
        "text": answer.choices[0].message.content,
        "finish": answer.choices[0].finish_reason,
        "usage": answer.usage and answer.usage.total_tokens,
        "cost": raw.headers["x-credits-cost"],
        "credits": (answer.model_extra or {})["credits"],
    }


def streamed(client: openai.OpenAI) -> Any:
    options: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, stream_options=options))
    last = chunks[-1]
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "finish": [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1],
        "usage": last.usage and last.usage.total_tokens,
        "chunks": len(chunks),
        "credits": (last.model_extra or {})["credits"],
    }


def tools(client: openai.OpenAI) -> Any:
    first = client.chat.completions.create(model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required")
    message = first.choices[0].message
    call = (message.tool_calls or [])[0]
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "It is so."}
    called: Any = message.model_dump(exclude_none=True)
    second = client.chat.completions.create(model=MODEL, messages=[*QUESTION, called, result], tools=TOOLS)
    function = getattr(call, "function")  # noqa: B009  # calls of other kinds have none
    return {
        "finish": first.choices[0].finish_reason,
        "name": function.name,
        "arguments": json.loads(function.arguments),
        "text": second.choices[0].message.content,
    }


def streamed_tools(client: openai.OpenAI) -> Any:
    chunks = client.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=TOOLS, tool_choice="required", stream=True
    )
    calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    return json.loads("".join((call.function and call.function.arguments) or "" for call in calls))


def schema(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, response_format=SHAPED)
    return json.loads(answer.choices[0].message.content or "")


def vision(client: openai.OpenAI) -> Any:
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=5)
    return {"finish": answer.choices[0].finish_reason, "text": answer.choices[0].message.content}


def embeddings(client: openai.OpenAI) -> Any:
    answer = client.embeddings.create(model=EMBEDDER, input=["one", "two"], dimensions=8)
    return {"sizes": [len(row.embedding) for row in answer.data], "usage": answer.usage.prompt_tokens}


def response(client: openai.OpenAI) -> Any:
    answer = client.responses.create(model=MODEL, input="Say something", instructions="Be kind.")
    return {"text": answer.output_text, "status": answer.status, "credits": (answer.model_extra or {})["credits"]}


def streamed_response(client: openai.OpenAI) -> Any:
    tool: Any = [{"type": "function", "name": "look_up", "parameters": SCHEMA, "strict": True}]
    with client.responses.stream(model=MODEL, input="Say something") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    called = client.responses.create(model=MODEL, input="Say something", tools=tool, tool_choice="required")
    (call,) = called.output
    arguments = getattr(call, "arguments")  # noqa: B009  # a message has none
    return {"text": "".join(deltas), "final": final.output_text, "arguments": json.loads(arguments)}


def errors(client: openai.OpenAI, base_url: str) -> Any:
    found = {}
    for name, key, body in (
        ("nobody", "ics_" + "0" * 48, {"model": MODEL}),
        ("no_model", client.api_key, {"model": "none"}),
        ("no_sense", client.api_key, {"model": MODEL, "max_tokens": 0}),
        ("too_dear", client.api_key, {"model": MODEL, "max_tokens": 16_000, "n": 16}),
    ):
        with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as other:
            try:
                fields: Any = {"messages": QUESTION, **body}
                other.chat.completions.create(**fields)
            except openai.APIStatusError as error:
                found[name] = [type(error).__name__, error.status_code, error.code]
    return found


if __name__ == "__main__":
    main()
