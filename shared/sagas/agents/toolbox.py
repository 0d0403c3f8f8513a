"""Tools of agents: the list that the routes, the estimates, the reference and the worker read.

A tool is the module of the tool's name in `shared/sagas/agents/tools`, and an entry here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from shared.ai.agents.thinking import ToolSpec
from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Tool
from shared.sagas.metering.authority import Scopes
from shared.users.principal import Scope

FOLDER = "shared.sagas.agents.tools"


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """Tool by name. Its module is imported at the first use, so that no other function loads the module."""

    name: str
    scope: Scope | None = None
    """Scope that an API key needs beside `agents` for its tasks to use the tool; None if `agents` is enough."""
    is_paid: bool = False
    """True if a call of the tool may hold credits."""
    is_in_every_task: bool = False
    """True for a tool that every task has, so that no request names the tool."""

    def build(self, parts: ToolParts) -> Tool:
        """Import the module of the tool, build the tool, and return the tool."""
        tool: Tool = import_module(f"{FOLDER}.{self.name}").build_tool(parts)
        assert tool.name == self.name, "a tool has the name of its module"
        return tool


TOOLS = (
    ToolEntry("plan", is_in_every_task=True),
    ToolEntry("calculator"),
    ToolEntry("web_fetch"),
    ToolEntry("read_document"),
    ToolEntry("write_artifact"),
    ToolEntry("ask_model", scope="chat", is_paid=True),
    ToolEntry("generate_image", scope="images", is_paid=True),
)
CHOICES = tuple(entry.name for entry in TOOLS if not entry.is_in_every_task)
"""Names that a request may choose tools from."""
PAID = frozenset(entry.name for entry in TOOLS if entry.is_paid)
"""Names of the tools that may hold credits."""
_SCOPES: Mapping[str, Scope] = {entry.name: entry.scope for entry in TOOLS if entry.scope is not None}


def build_tools(parts: ToolParts) -> Mapping[str, Tool]:
    """Build all tools, by name."""
    return {entry.name: entry.build(parts) for entry in TOOLS}


def spec_of(tool: Tool) -> ToolSpec:
    """Return the description of a tool for the model."""
    return ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)


def with_tools_of_every_task(names: Sequence[str]) -> list[str]:
    """Return the chosen tools and those that every task has, in the order of `TOOLS`."""
    return [entry.name for entry in TOOLS if entry.is_in_every_task or entry.name in names]


def usable_tools(tools: Sequence[str], scopes: Scopes) -> tuple[str, ...]:
    """Return the names of those `tools` that these scopes allow; None allows all."""
    return tuple(name for name in tools if missing_scope(name, scopes) is None)


def missing_scope(tool: str, scopes: Scopes) -> Scope | None:
    """Return the scope that the tool needs and the key does not have; None if nothing is missing."""
    needed = _SCOPES.get(tool)
    return None if scopes is None or needed is None or needed in scopes else needed


def scopes_in_words() -> str:
    """Return the scopes that tools need, for the documentation: "`chat` for `ask_model`, `images` for …"."""
    return ", ".join(f"`{scope}` for `{name}`" for name, scope in _SCOPES.items())
