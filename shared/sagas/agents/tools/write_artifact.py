"""`write_artifact`: write a file of this task for the user to download. A second write replaces the file."""

import re
from collections.abc import Mapping
from typing import Any

from shared.sagas.agents.tools.parts import ToolParts
from shared.sagas.agents.tools.tool import Observation, TaskFile, Tool, ToolFailed, ToolUse, text_field

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?", re.ASCII)
NAME_CHARACTERS_MAX = 100
CONTENT_CHARACTERS_MAX = 150_000
CONTENT_BYTES_MAX = 150_000
FILES_MAX = 20
"""Most files of a task, so that all files together stay below the size that one slice can read at once."""
KINDS = {
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "txt": "text/plain",
}
"""Media types by file ending. Every other file is served as plain text, so that no browser runs a model's output."""


class WriteArtifact:
    """The tool `write_artifact`. The tool only returns the file; the commit that records the step writes the file."""

    name = "write_artifact"
    description = "Write a text file for the user to download, such as report.md or data.csv; replaces one of its name."
    parameters: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "name": text_field("Its name with an ending: letters, digits and _ . -", NAME_CHARACTERS_MAX),
            "content": text_field("The whole text", CONTENT_CHARACTERS_MAX),
        },
        "required": ["name", "content"],
        "additionalProperties": False,
    }

    def use(self, arguments: Mapping[str, Any], use: ToolUse) -> Observation:
        """Run the tool, in bounded time, and return the observation; see `Tool.use`."""
        name, content = arguments["name"], arguments["content"]
        if not is_file_name(name):
            raise ToolFailed("bad_name", "A name is letters, digits and _ . - without a path.")
        if len(content.encode()) > CONTENT_BYTES_MAX:
            raise ToolFailed("too_large", f"A file has at most {CONTENT_BYTES_MAX} bytes.")
        known = use.file(name)
        if known is not None and not known.is_artifact:
            raise ToolFailed("bad_name", "That is the user's own file; choose another name.")
        if known is None and len(use.file_names()) >= FILES_MAX:
            raise ToolFailed("too_many_files", f"A task has at most {FILES_MAX} files.")
        file = TaskFile(name=name, content=content, content_type=content_type(name))
        return Observation(text=f"Written: {name}, {len(content)} characters.", files=(file,))


def build_tool(parts: ToolParts) -> Tool:
    """Build the tool."""
    del parts
    return WriteArtifact()


def is_file_name(name: str) -> bool:
    """Return True if the name can be the name of a task's file: no path, nothing hidden."""
    return NAME.fullmatch(name) is not None and ".." not in name


def content_type(name: str) -> str:
    """Return the media type with which a file of this name is served."""
    return KINDS.get(name.rpartition(".")[2].lower(), "text/plain")
