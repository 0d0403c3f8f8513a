"""pydantic-ai through the five cases, by `api`: chat completions or responses."""

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def model_of(told: Any) -> Any:
    kind = OpenAIResponsesModel if told["api"] == "responses" else OpenAIChatModel
    return kind(told["model"], provider=OpenAIProvider(base_url=told["base_url"], api_key=told["api_key"]))


async def plain(told: Any) -> Any:
    return (await Agent(model_of(told)).run(told["ask"]["plain"])).output


async def stream(told: Any) -> Any:
    async with Agent(model_of(told)).run_stream(told["ask"]["plain"]) as run:
        return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]


async def tool_loop(told: Any) -> Any:
    calls = []

    def weather(city: str) -> str:
        """Tell the weather."""
        calls.append({"city": city})
        return "sunny"

    run = await Agent(model_of(told), tools=[weather]).run(told["ask"]["tool_loop"])
    return {"calls": calls, "text": run.output}


async def structured(told: Any) -> Any:
    """By the model's own schema, which must give what the output tool gives, pydantic-ai's default."""
    question = told["ask"]["structured"]
    native = await Agent(model_of(told), output_type=NativeOutput(Trip)).run(question)
    by_tool = await Agent(model_of(told), output_type=Trip).run(question)
    assert native.output == by_tool.output
    return native.output.model_dump()


async def two_turns(told: Any) -> Any:
    agent, ask = Agent(model_of(told)), told["ask"]
    first = await agent.run(ask["first"])
    second = await agent.run(ask["second"], message_history=first.all_messages())
    return [first.output, second.output]
