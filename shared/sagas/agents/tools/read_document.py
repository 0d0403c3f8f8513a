"""`read_document`: read a file that was given with this task or written by this task. No other file has a name here."""

from collections.abc import Mapping
from typing import Any

from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Observation, Tool, ToolFailed, ToolUse, text_field, whole_field

NAME_CHARACTERS_MAX = 100
WINDOW_CHARACTERS = 12_000
OFFSET_MAX = 1_000_000


class ReadDocument:
    """The tool `read_document`."""

    name = "read_document"
    description = "Read a file of this task by its name. Long files come in parts: ask again with a greater offset."
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "name": text_field("The file's name", NAME_CHARACTERS_MAX),
            "offset": whole_field("Where in the text to begin; 0 by default", 0, OFFSET_MAX),
        },
        "required": ["name"],
        "additionalProperties": False,
    }

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        offset = int(arguments.get("offset", 0))
        file = use.file(arguments["name"])
        if file is None:
            names = ", ".join(use.file_names()) or "none"
            raise ToolFailed("no_such_file", f"This task has no such file. Its files: {names}.")
        window = file.content[offset : offset + WINDOW_CHARACTERS]
        left = len(file.content) - offset - len(window)
        more = f"\n---\n{left} characters follow: ask with offset {offset + len(window)}." if left > 0 else ""
        sources = () if file.is_artifact else (file.name,)
        return Observation(text=f"{window}{more}", sources=sources, is_private=not file.is_artifact)


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    del parts
    return ReadDocument()
