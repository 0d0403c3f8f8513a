"""LlamaIndex's OpenAILike through the five cases."""

from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def model_of(told: Any, **more: Any) -> Any:
    options = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 128_000, **more}
    return OpenAILike(model=told["model"], api_base=told["base_url"], api_key=told["api_key"], max_retries=0, **options)


def plain(told: Any) -> Any:
    return model_of(told).complete(told["ask"]["plain"]).text


def stream(told: Any) -> Any:
    chunks = model_of(told).stream_chat([ChatMessage(role="user", content=told["ask"]["plain"])])
    return [chunk.delta for chunk in chunks if chunk.delta]


async def tool_loop(told: Any) -> Any:
    calls = []

    def weather(city: str) -> str:
        """Tell the weather."""
        calls.append({"city": city})
        return "sunny"

    agent = FunctionAgent(tools=[FunctionTool.from_defaults(weather)], llm=model_of(told))
    answer = await agent.run(told["ask"]["tool_loop"])
    return {"calls": calls, "text": str(answer)}


def structured(told: Any) -> Any:
    """By a tool, LlamaIndex's way where a model can call them; then by the model's own schema."""
    question = told["ask"]["structured"]
    by_tool = model_of(told).as_structured_llm(Trip).complete(question).raw
    native = model_of(told, should_use_structured_outputs=True).as_structured_llm(Trip).complete(question).raw
    assert native == by_tool
    return native.model_dump()


def two_turns(told: Any) -> Any:
    model, ask = model_of(told), told["ask"]
    first = model.chat([ChatMessage(role="user", content=ask["first"])])
    turns = [ChatMessage(role="user", content=ask["first"]), first.message]
    second = model.chat([*turns, ChatMessage(role="user", content=ask["second"])])
    return [first.message.content, second.message.content]


def text_completion(told: Any) -> Any:
    """By `POST /completions`, whose answers end after 16 tokens unless more are asked for."""
    model = model_of(told, is_chat_model=False, is_function_calling_model=False, max_tokens=100)
    return model.complete(told["ask"]["plain"]).text
