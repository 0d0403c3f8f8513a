"""`plan`: record the agent's plan, which the user sees and the agent revises."""

from collections.abc import Mapping
from typing import Any

from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Observation, Tool, ToolUse, text_field

STEPS_MAX = 20
TITLE_CHARACTERS_MAX = 200


class PlanTool:
    """The tool `plan`. Each call states the whole plan; the last call counts."""

    name = "plan"
    description = "Say or revise your plan for this task: all its steps, in order, each with how far it is."
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "steps": {
                "type": "array",
                "minItems": 1,
                "maxItems": STEPS_MAX,
                "items": {
                    "type": "object",
                    "properties": {
                        "title": text_field("What is to be done", TITLE_CHARACTERS_MAX),
                        "status": {
                            "type": "string",
                            "maxLength": 10,
                            "enum": ["open", "doing", "done", "dropped"],
                            "description": "How far it is",
                        },
                    },
                    "required": ["title", "status"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["steps"],
        "additionalProperties": False,
    }

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        del use
        steps = tuple({"title": step["title"], "status": step["status"]} for step in arguments["steps"])
        return Observation(text=f"Noted: {len(steps)} steps.", plan=steps)


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    del parts
    return PlanTool()
