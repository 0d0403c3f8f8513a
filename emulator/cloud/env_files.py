"""Plain settings of a project, in the files that the Firebase CLI reads: `.env`, and `.env.<project>` or its alias."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from emulator.cloud.problems import CloudProblem

LINE = re.compile(
    r"""^\s*(?:export)?\s*([\w./]+)\s*=[\f\t\v]*(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|[^#\r\n]*)?\s*(?:\#[^\n]*)?$""",
    re.MULTILINE | re.DOTALL,
)
"""A line `NAME=value`, as the CLI reads it: quotes may hold several lines, `#` begins a comment."""
QUOTED = re.compile(r"""(["'])(.*)\1""", re.DOTALL)
ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v", "\\\\": "\\", "\\'": "'", '\\"': '"'}
ALIASES = ".firebaserc"
"""File of the Firebase CLI with other names of projects."""
ESCAPE = re.compile(r"\\[nrtv\\'\"]")


def project_files(root: Path, project: str) -> tuple[Path, ...]:
    """Return the existing files of a project, the strongest last: `.env`, then the file of the project or its alias.

    Raises CloudProblem if both the project's id and an alias have a file, which the CLI refuses.
    """
    own = [root / f".env.{name}" for name in (project, *_aliases(root, project))]
    found = [file for file in own if file.is_file()]
    if len(found) > 1:
        raise CloudProblem(f"{found[0].name} and {found[1].name} are of the same project: keep one of the two files.")
    return tuple(file for file in (root / ".env", *found) if file.is_file())


def project_settings(root: Path, project: str) -> dict[str, str]:
    """Return the plain settings of a project, by name."""
    return {name: value for file in project_files(root, project) for name, value in parse(file.read_text()).items()}


def parse(text: str) -> dict[str, str]:
    """Return the settings in a text of lines `NAME=value`. A line of another form is the CLI's to refuse."""
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    return {found[1]: _value((found[2] or "").strip()) for found in LINE.finditer(normal)}


def _value(text: str) -> str:
    quoted = QUOTED.fullmatch(text)
    if quoted is None:
        return text
    return ESCAPE.sub(lambda found: ESCAPES[found[0]], quoted[2]) if quoted[1] == '"' else quoted[2]


def _aliases(root: Path, project: str) -> tuple[str, ...]:
    """Return the other names of a project in `.firebaserc`."""
    try:
        projects: Mapping[str, str] = json.loads((root / ALIASES).read_text()).get("projects", {})
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise CloudProblem(f"{ALIASES} is no JSON: {error}.") from error
    return tuple(alias for alias, name in projects.items() if name == project and alias != project)
