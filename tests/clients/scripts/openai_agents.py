"""OpenAI's Agents SDK for Python through the five cases, by `api`: chat completions or responses."""

from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(disabled=True)  # traces go to OpenAI itself


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def agent_of(told: Any, **more: Any) -> Any:
    kind = OpenAIResponsesModel if told["api"] == "responses" else OpenAIChatCompletionsModel
    client = AsyncOpenAI(base_url=told["base_url"], api_key=told["api_key"], max_retries=0)
    return Agent(name="guide", instructions="Be brief.", model=kind(told["model"], client), **more)


async def plain(told: Any) -> Any:
    return (await Runner.run(agent_of(told), told["ask"]["plain"])).final_output


async def stream(told: Any) -> Any:
    run = Runner.run_streamed(agent_of(told), told["ask"]["plain"])
    events = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    return [event.delta for event in events if event.type == "response.output_text.delta"]


async def tool_loop(told: Any) -> Any:
    calls = []

    def weather(city: str) -> str:
        """Tell the weather."""
        calls.append({"city": city})
        return "sunny"

    run = await Runner.run(agent_of(told, tools=[function_tool(weather)]), told["ask"]["tool_loop"])
    return {"calls": calls, "text": run.final_output}


async def structured(told: Any) -> Any:
    return (await Runner.run(agent_of(told, output_type=Trip), told["ask"]["structured"])).final_output.model_dump()


async def two_turns(told: Any) -> Any:
    agent, ask = agent_of(told), told["ask"]
    first = await Runner.run(agent, ask["first"])
    second = await Runner.run(agent, [*first.to_input_list(), {"role": "user", "content": ask["second"]}])
    return [first.final_output, second.final_output]
