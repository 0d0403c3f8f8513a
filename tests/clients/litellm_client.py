"""LiteLLM as a client, unchanged: what it gets from the OpenAI routes. Run as a program, JSON in and out."""

import json
import sys
from typing import Any

import litellm

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
MODEL = "openai/gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Say something"}]
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}]


def main() -> None:
    told = json.load(sys.stdin)
    options: Any = {"api_base": told["base_url"], "api_key": told["api_key"], "max_retries": 0}
    plain: Any = litellm.completion(model=MODEL, messages=MESSAGES, **options)
    chunks: Any = litellm.completion(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **options
    )
    streamed = list(chunks)
    called: Any = litellm.completion(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required", **options)
    shape = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA, "strict": True}}
    shaped: Any = litellm.completion(model=MODEL, messages=MESSAGES, response_format=shape, **options)
    vectors: Any = litellm.embedding(
        model="openai/text-embedding-3-small", input=["one", "two"], dimensions=8, **options
    )
    responded: Any = litellm.responses(model=MODEL, input="Say something", **options)
    answers = {
        "plain": plain.choices[0].message.content,
        "usage": plain.usage.total_tokens,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices),
        "streamed_usage": [chunk.usage.total_tokens for chunk in streamed if getattr(chunk, "usage", None)][-1:],
        "arguments": json.loads(called.choices[0].message.tool_calls[0].function.arguments),
        "schema": json.loads(shaped.choices[0].message.content),
        "embeddings": [len(row["embedding"]) for row in vectors.data],
        "response": responded.output[0].content[0].text,
        "refused": refused(told["base_url"], told["api_key"]),
    }
    sys.stdout.write(json.dumps(answers))


def refused(base_url: str, key: str) -> Any:
    """How failures reach somebody who uses LiteLLM."""
    found: dict[str, Any] = {}
    for name, api_key, more in (("nobody", "ics_" + "0" * 48, {}), ("too_dear", key, {"max_tokens": 16_000, "n": 16})):
        try:
            litellm.completion(
                model=MODEL, messages=MESSAGES, api_base=base_url, api_key=api_key, max_retries=0, **more
            )
        except Exception as error:  # noqa: BLE001  # whatever it makes of it is the answer
            found[name] = [type(error).__name__, getattr(error, "status_code", None)]
    return found


if __name__ == "__main__":
    main()
