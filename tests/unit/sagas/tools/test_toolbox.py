"""The toolbox is the one list of tools: each tool is a module and an entry, and the rest derives from the list."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import shared.sagas.agents.tools
from functions.http.agent_tasks import AgentTaskIn
from shared.ai.models.catalogue import Model
from shared.kernel.money import Micro
from shared.sagas.agents.estimates import TaskEstimates
from shared.sagas.agents.prompt import build
from shared.sagas.agents.toolbox import (
    CHOICES,
    TOOLS,
    ToolEntry,
    missing_scope,
    scopes_in_words,
    spec_of,
    usable_tools,
)
from shared.sagas.agents.tools.tool import Tool, ToolFailed, parse_arguments
from tests.support.agents import AgentWorld

CONTRACT = {"__init__", "parts", "tool"}


@pytest.fixture(scope="module")
def world() -> AgentWorld:
    return AgentWorld()


def test_every_module_of_the_folder_is_an_entry():
    modules = {file.stem for file in Path(shared.sagas.agents.tools.__path__[0]).glob("*.py")}

    assert modules - CONTRACT == {entry.name for entry in TOOLS}


def test_every_tool_is_built_under_its_name(world):
    assert [(name, tool.name) for name, tool in world.services.agents.tools.items()] == [
        (entry.name, entry.name) for entry in TOOLS
    ]


def test_a_request_may_choose_every_tool_but_the_plan():
    accepted = AgentTaskIn().load({"goal": "g", "budget": "1", "tools": list(CHOICES)})

    assert accepted["tools"] == list(CHOICES)
    assert {entry.name for entry in TOOLS} - set(CHOICES) == {"plan"}


@pytest.mark.parametrize("entry", [entry for entry in TOOLS if entry.scope], ids=lambda entry: entry.name)
def test_a_tool_with_a_scope_needs_the_scope_of_its_entry(entry: ToolEntry):
    assert missing_scope(entry.name, frozenset({"agents"})) == entry.scope
    assert missing_scope(entry.name, None) is None
    assert entry.name not in usable_tools(CHOICES, frozenset({"agents"}))
    assert f"`{entry.scope}` for `{entry.name}`" in scopes_in_words()


def test_every_tool_s_schema_refuses_an_unknown_argument(world):
    for tool in world.services.agents.tools.values():
        with pytest.raises(ToolFailed, match=r"has no field|must have"):
            parse_arguments(tool.parameters, '{"unknown": 1}')


def test_an_estimate_counts_the_tools_that_a_thought_is_sent(world):
    model: Model = world.services.models.catalogue.chat("smart")
    tools = list(world.services.agents.tools.values())

    def expected(given: Sequence[Tool]) -> int:
        estimates = TaskEstimates(world.services.models.tariff, given)
        return estimates.estimate(model, goal="g", budget=Micro(10**9)).input_tokens_expected

    assert expected([]) < expected(tools[:1]) < expected(tools)


def test_an_estimate_expects_the_input_of_the_first_thought(world):
    world.user()
    task = world.begin()
    model = world.services.models.catalogue.chat("smart")
    specs = [spec_of(tool) for tool in world.services.agents.tools.values()]

    estimate = world.services.agents.estimates.estimate(model, goal=task.goal, budget=task.budget)

    assert estimate.input_tokens_expected == build(task, (), (), specs, model).input_expected
