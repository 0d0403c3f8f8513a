"""smolagents through the five cases: its model for OpenAI's API, and its agent that calls tools."""

import json
from typing import Any

from smolagents import OpenAIServerModel, ToolCallingAgent, tool

SHAPED = {
    "type": "json_schema",
    "json_schema": {
        "name": "trip",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


def model_of(told: Any) -> Any:
    return OpenAIServerModel(told["model"], api_base=told["base_url"], api_key=told["api_key"])


def asked(text: str) -> Any:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def plain(told: Any) -> Any:
    return model_of(told).generate([asked(told["ask"]["plain"])]).content


def stream(told: Any) -> Any:
    pieces = model_of(told).generate_stream([asked(told["ask"]["plain"])])
    return [piece.content for piece in pieces if piece.content]


def tool_loop(told: Any) -> Any:
    """Its agent ends by a call of `final_answer`, which the tool's result asks the stand-in provider for."""
    calls = []
    text = told["reply"]
    finish = {"tool_calls": [{"name": "final_answer", "arguments": {"answer": text}}]}

    @tool
    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: Where.
        """
        calls.append({"city": city})
        return f"sunny <<stand-in {json.dumps(finish)}>>"

    agent = ToolCallingAgent(tools=[weather], model=model_of(told), max_steps=3, verbosity_level=0)
    return {"calls": calls, "text": agent.run(told["ask"]["tool_loop"])}


def structured(told: Any) -> Any:
    answer = model_of(told).generate([asked(told["ask"]["structured"])], response_format=SHAPED)
    return json.loads(answer.content)


def two_turns(told: Any) -> Any:
    model, ask = model_of(told), told["ask"]
    first = model.generate([asked(ask["first"])])
    said = {"role": "assistant", "content": [{"type": "text", "text": first.content}]}
    return [first.content, model.generate([asked(ask["first"]), said, asked(ask["second"])]).content]
