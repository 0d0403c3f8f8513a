"""LangChain's `ChatOpenAI`, unchanged: what it gets from the OpenAI routes. Run as a program, JSON in and out."""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


@tool
def look_up(city: str, days: int) -> str:
    """Look a trip up."""
    return f"{city} for {days}"


def main() -> None:
    told = json.load(sys.stdin)
    options: Any = {"base_url": told["base_url"], "api_key": told["api_key"], "max_retries": 0}
    model = ChatOpenAI(model="gpt-4o-mini", **options)
    question = HumanMessage("Say something")
    plain = model.invoke([question])
    streamed = list(model.stream([question], stream_usage=True))
    called = model.bind_tools([look_up], tool_choice="required").invoke([question])
    result = ToolMessage("It is so.", tool_call_id=called.tool_calls[0]["id"])
    trip = model.with_structured_output(Trip, method="json_schema").invoke("Plan it")
    by_tool = model.with_structured_output(Trip, method="function_calling").invoke("Plan it")
    responded = ChatOpenAI(model="gpt-4o-mini", use_responses_api=True, **options).invoke([question])
    vectors = OpenAIEmbeddings(
        model="text-embedding-3-small", dimensions=8, check_embedding_ctx_length=False, **options
    ).embed_documents(["one", "two"])
    answers = {
        "plain": plain.content,
        "usage": (plain.usage_metadata or {}).get("total_tokens"),
        "streamed": "".join(str(chunk.content) for chunk in streamed),
        "streamed_usage": sum((chunk.usage_metadata or {}).get("total_tokens", 0) for chunk in streamed),
        "arguments": called.tool_calls[0]["args"],
        "after_tool": model.invoke([question, called, result]).content,
        "schema": trip.model_dump() if isinstance(trip, Trip) else trip,
        "schema_by_tool": by_tool.model_dump() if isinstance(by_tool, Trip) else by_tool,
        "response": responded.text if isinstance(responded.text, str) else responded.text(),
        "embeddings": [len(vector) for vector in vectors],
    }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
