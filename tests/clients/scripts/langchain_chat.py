"""langchain-openai through the five cases, by `api`: chat completions or responses."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

SUITE_SECONDS_MAX = 300
ONE_LOOP = ("asyncio_mode=auto", "asyncio_default_test_loop_scope=session")
"""Connections of langchain-openai outlive a test, and end with the event loop that they were made in."""
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *(part for each in ONE_LOOP for part in ("-o", each)))


class Trip(BaseModel):
    """What is asked for in a shape."""

    city: str
    days: int


def options_of(told: Any) -> Any:
    return {"base_url": told["base_url"], "api_key": told["api_key"], "max_retries": 0}


def model_of(told: Any, **more: Any) -> Any:
    return ChatOpenAI(
        model=told["model"], use_responses_api=told["api"] == "responses", stream_usage=True, **options_of(told), **more
    )


def plain(told: Any) -> Any:
    return model_of(told).invoke(told["ask"]["plain"]).text


def stream(told: Any) -> Any:
    return [chunk.text for chunk in model_of(told).stream(told["ask"]["plain"]) if chunk.text]


def tool_loop(told: Any) -> Any:
    calls = []

    @tool
    def weather(city: str) -> str:
        """Tell the weather."""
        calls.append({"city": city})
        return "sunny"

    model, messages = model_of(told).bind_tools([weather]), [HumanMessage(told["ask"]["tool_loop"])]
    while (answer := model.invoke(messages)).tool_calls:
        results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
        messages += [answer, *results]
    return {"calls": calls, "text": answer.text}


def structured(told: Any) -> Any:
    """By the model's own schema, and by a tool."""
    question = told["ask"]["structured"]
    native = model_of(told).with_structured_output(Trip).invoke(question)
    assert native == model_of(told).with_structured_output(Trip, method="function_calling").invoke(question)
    return native.model_dump()


def two_turns(told: Any) -> Any:
    model, ask = model_of(told, **told.get("turns", {})), told["ask"]
    first = model.invoke(ask["first"])
    second = model.invoke([HumanMessage(ask["first"]), first, HumanMessage(ask["second"])])
    return [first.text, second.text]


def by_response_id(told: Any) -> Any:
    """Two turns, the second of which names the first answer instead of sending it."""
    return two_turns({**told, "turns": {"use_previous_response_id": True}})


def embeddings(told: Any) -> Any:
    embedder = OpenAIEmbeddings(
        model="text-embedding-3-small", dimensions=8, check_embedding_ctx_length=False, **options_of(told)
    )
    return [len(vector) for vector in embedder.embed_documents(["one", "two"])]


def standard_suite(told: Any) -> Any:
    """LangChain's own tests of chat models: how many passed, and which did not."""
    home = Path(told["home"])
    suite, report = home / "test_standard.py", home / "report.xml"
    shutil.copy(Path(told["script"]).with_name("langchain_standard.py"), suite)
    done = subprocess.run(
        [sys.executable, *PYTEST, f"--junitxml={report}", str(suite)],
        cwd=home,
        env={**os.environ, "TOLD": json.dumps(told)},
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS_MAX,
        check=False,
    )
    sys.stderr.write(done.stdout)
    cases = list(ET.parse(report).iter("testcase"))
    skipped = [case for case in cases if case.find("skipped") is not None]
    failed = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return {"failed": failed, "passed": len(cases) - len(skipped) - len(failed)}
