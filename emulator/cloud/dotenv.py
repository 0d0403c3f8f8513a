"""Settings file of a project: read as the Firebase CLI reads it, and changed line by line, so that comments stay."""

import os
import re
from pathlib import Path

from emulator.cloud.env_files import project_files, project_settings
from emulator.tools import ROOT

PLAIN = re.compile(r"[^\s#'\"\\]*", re.ASCII)
"""Value that needs no quotes."""
ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\v", "\\v"), ('"', '\\"'))


def line_of(name: str, value: str) -> str:
    """Return the line that sets a name. The value is quoted if needed."""
    if PLAIN.fullmatch(value):
        return f"{name}={value}"
    for text, escaped in ESCAPES:
        value = value.replace(text, escaped)
    return f'{name}="{value}"'


class SettingsFile:
    """Plain settings of one project. Every read sees the present file, so that a person may edit the file meanwhile."""

    def __init__(self, project: str, root: Path = ROOT) -> None:
        self._project = project
        self._root = root

    @property
    def path(self) -> Path:
        """Return the project's own file: `.env.<project>`, or the existing file of an alias of the project."""
        own = [file for file in project_files(self._root, self._project) if file.name != ".env"]
        return own[-1] if own else self._root / f".env.{self._project}"

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def all(self) -> dict[str, str]:
        """Return all settings that have a value, those of `.env` among them. Raises CloudProblem."""
        return {name: value for name, value in project_settings(self._root, self._project).items() if value}

    def get(self, name: str, default: str = "") -> str:
        return self.all().get(name) or default

    def set(self, name: str, value: str) -> None:
        """Set one name: in its own line, else in the commented line of the name, else in a new line at the end."""
        lines = self.path.read_text().splitlines() if self.exists else []
        wanted = line_of(name, value)
        for pattern in (rf"\s*(?:export\s+)?{name}\s*=", rf"#\s*{name}\s*="):
            places = [number for number, line in enumerate(lines) if re.match(pattern, line)]
            if places:
                lines[places[-1]] = wanted
                break
        else:
            lines.append(wanted)
        self.write("\n".join(lines) + "\n")

    def write(self, text: str) -> None:
        """Replace the whole file at once. Only this user may read the file."""
        path = self.path
        beside = path.with_name(f"{path.name}.{os.getpid()}.local")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(text)
        beside.replace(path)
