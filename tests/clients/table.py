"""The clients that run against `/v1/openai` unchanged, and what each of them lacks.

`docs/clients/openai.md` shows this table, `make clients` plays it. A client's version is the one that its environment
pins: `requirements/{environment}.txt` for Python, `packages/{environment}/package-lock.json` for Node, and the
project's own requirements where the environment is PROJECT. What cannot be installed is replayed from `recorded/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from emulator.upstream import REPLY
from tests.clients.cases import CASES, PLACE, TRIP

PROJECT = "project"
"""The environment that the project's own tests run in: nothing is installed for its clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row: a client's package, the script that plays the cases with it, and where the script runs."""

    name: str
    package: str
    script: str
    """Its file in `scripts/`."""
    environment: str
    runtime: Literal["python", "node", "recorded"] = "python"
    options: Mapping[str, object] = field(default_factory=dict)
    """Given to the script beside what every script is told."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Cases that the client itself does not offer, each with the reason. They are not played."""
    fails: Mapping[str, str] = field(default_factory=dict)
    """Cases that are played and fail by the client's own fault, each with the reason."""
    beside: Mapping[str, object] = field(default_factory=dict)
    """What the script plays beside the five cases, each with the value that it must give."""
    scripts: Sequence[Mapping[str, object]] = ()
    """How the stand-in provider answers questions that are the client's own."""
    note: str = ""
    is_short: bool = False
    """True if `make test` plays it too."""

    @property
    def cases(self) -> list[str]:
        """The cases that are played."""
        return [case for case in (*CASES, *self.beside) if case not in self.lacks]


BY_API = {"chat": "chat completions", "responses": "responses"}


def by_api(name: str, *apis: str, beside: Mapping[str, Mapping[str, object]] | None = None, **row: Any) -> list[Client]:
    """Return the rows of a client that speaks several of OpenAI's APIs. `beside`: by API."""
    more = beside or {}
    return [
        Client(name=f"{name}, {BY_API[api]}", options={"api": api}, beside=more.get(api, {}), **row)
        for api in apis or BY_API
    ]


MODES = ("TOOLS", "TOOLS_STRICT", "JSON_SCHEMA", "RESPONSES_TOOLS", "JSON", "MD_JSON")

HELLOS = ("你好啊集团", "こんにちは株式会社")
STANDARD_SUITE: tuple[Mapping[str, object], ...] = (
    {"contains": "magic_function(3)", "tool_calls": [{"name": "magic_function", "arguments": {"input": 3}}]},
    {"contains": "San Francisco", "tool_calls": [{"name": "get_weather", "arguments": {"location": "San Francisco"}}]},
    {"contains": "'setup' and 'punchline' keys", "reply": '{"setup": "text", "punchline": "text"}'},
    *(
        {
            "contains": name,
            "tool_calls": [{"name": "unicode_customer", "arguments": {"customer_name": name, "description": "text"}}],
        }
        for name in HELLOS
    ),
)
"""Answers that LangChain's standard suite asks for by name."""

PYTHON_CLIENTS: tuple[Client, ...] = (
    *by_api("`openai` (Python)", package="openai", script="openai_sdk.py", environment=PROJECT, is_short=True),
    *by_api("`openai` (Python), version 2", package="openai", script="openai_sdk.py", environment="litellm"),
    *by_api("`pydantic-ai`", package="pydantic-ai-slim", script="pydantic_ai_agent.py", environment="agents"),
    Client(
        name="`instructor`",
        package="instructor",
        script="instructor_client.py",
        environment="instructor",
        lacks={"tool_loop": "instructor makes objects of answers; it runs no tools."},
        beside={"modes": dict.fromkeys(MODES, TRIP), "partial": TRIP},
    ),
    *by_api("`openai-agents` (Python)", package="openai-agents", script="openai_agents.py", environment="agents"),
    Client(name="`smolagents`", package="smolagents", script="smolagents_agent.py", environment="agents"),
    Client(name="`llm`", package="llm", script="llm_cli.py", environment="agents"),
    Client(
        name="LlamaIndex, `OpenAILike`",
        package="llama-index-llms-openai-like",
        script="llama_index_llm.py",
        environment="llama_index",
        beside={"text_completion": REPLY},
    ),
    *by_api(
        "`langchain-openai`",
        package="langchain-openai",
        script="langchain_chat.py",
        environment="langchain",
        beside={
            "chat": {"embeddings": [8, 8], "standard_suite": {"failed": [], "passed": 48}},
            "responses": {"by_response_id": [REPLY, REPLY], "standard_suite": {"failed": [], "passed": 48}},
        },
        scripts=STANDARD_SUITE,
        note="LangChain's standard suite, `langchain-tests`, passes as well: its 48 tests without audio and cassettes.",
    ),
    *by_api(
        "`litellm`",
        package="litellm",
        script="litellm_client.py",
        environment="litellm",
        beside={
            "chat": {
                "embeddings": [8, 8],
                "refused": {"nobody": ["AuthenticationError", 401], "too_dear": ["APIError", 402]},
            },
        },
    ),
)

AI_PROVIDERS = {
    "responses": "`@ai-sdk/openai`, its default (responses)",
    "chat": "`@ai-sdk/openai`, `openai.chat`",
    "compatible": "`@ai-sdk/openai-compatible`",
}
NODE_SDKS, CODING_AGENTS = "sdks", "coding"
OF_OPENCODE = (
    "`opencode run` and `--continue`. The pieces of a stream and the structured "
    "output come from `opencode serve`, which editors and OpenCode's SDK use: the command line has neither."
)
OF_QWEN = (
    "`qwen -p` and `--continue`. The tool of the loop is the agent's own shell, and so it is for OpenCode and Codex."
)
OF_CODEX = (
    "`codex exec` and `codex exec resume`. The pieces of a stream come from `codex app-server`, which "
    "editors use: the command line prints whole messages."
)

NODE_CLIENTS: tuple[Client, ...] = (
    *(
        Client(
            name=f"`openai` (Node), {words}",
            package="openai",
            script="openai_sdk.mjs",
            environment=environment,
            runtime="node",
            options={"api": api},
            beside={"text_completion": REPLY} if api == "chat" else {},
            is_short=environment == PROJECT,
        )
        for environment in (PROJECT, NODE_SDKS)
        for api, words in BY_API.items()
    ),
    *(
        Client(
            name=f"`ai` with {words}",
            package="ai",
            script="ai_sdk.mjs",
            environment=NODE_SDKS,
            runtime="node",
            options={"provider": provider},
            beside={"streamed_tool_loop": {"calls": [PLACE], "text": REPLY}},
        )
        for provider, words in AI_PROVIDERS.items()
    ),
    *(
        Client(
            name=f"`{package}`, {words}",
            package=package,
            script=script,
            environment=NODE_SDKS,
            runtime="node",
            options={"api": api},
        )
        for package, script in (
            ("@openai/agents", "openai_agents.mjs"),
            ("@langchain/openai", "langchain_openai.mjs"),
        )
        for api, words in BY_API.items()
    ),
    *(
        Client(
            name=f"OpenCode with `{npm}`",
            package="opencode-ai",
            script="opencode.mjs",
            environment=CODING_AGENTS,
            runtime="node",
            options={"npm": npm},
            note=OF_OPENCODE,
        )
        for npm in ("@ai-sdk/openai-compatible",)
    ),
    *(
        Client(
            name=f"Qwen Code, {BY_API[api]}",
            package="@qwen-code/qwen-code",
            script="qwen_code.mjs",
            environment=CODING_AGENTS,
            runtime="node",
            options={"auth": auth},
            note=OF_QWEN,
        )
        for api, auth in (("chat", "openai"), ("responses", "openai-responses"))
    ),
    Client(
        name="Codex CLI, responses",
        package="@openai/codex",
        script="codex.mjs",
        environment=CODING_AGENTS,
        runtime="node",
        note=OF_CODEX,
    ),
)

RECORDED_CLIENTS: tuple[Client, ...] = (
    Client(
        name="`openai-go`, replayed",
        package="openai-go",
        script="openai_go.json",
        environment="openai_go.json",
        runtime="recorded",
        beside={"silence": REPLY},
        note="Recorded requests of the version that ends a stream at a comment with a blank line behind it. The "
        "answers are read by that rule, one of them after 17 seconds of silence.",
    ),
    Client(
        name="Cursor, replayed",
        package="cursor",
        script="cursor.json",
        environment="cursor.json",
        runtime="recorded",
        lacks=dict.fromkeys(("plain", "structured"), "Cursor streams every answer and asks for none in a shape."),
        beside={"anthropic_parts": {"calls": [PLACE], "text": REPLY}},
        note="In the shapes of public recordings, and the tool loop in Anthropic's parts too.",
        is_short=True,
    ),
)
"""Clients that cannot be installed: what they send is replayed. Script and environment are the recording."""

CLIENTS = (*PYTHON_CLIENTS, *NODE_CLIENTS, *RECORDED_CLIENTS)


def chosen(name: str) -> list[Client]:
    """Return the clients whose name or script contains `name`; all if it is empty. Raises LookupError if none does."""
    found = [client for client in CLIENTS if name in client.name or name in client.script]
    if not found:
        raise LookupError(f"No client is named {name!r}.")
    return found
